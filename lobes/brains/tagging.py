"""Brain of tagging: binary cross-entropy per tag, mean average precision and ROC-AUC."""

import speechbrain as sb
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from ...processing.plots.common import save_figure
from ...processing.plots.tagging import tag_bars
from ...processing.scoring.tagging import TagScores
from ..layers.recording_windows import mean_by_recording
from .clips import ClipBrain


class TaggingBrain(ClipBrain):
    """Binary cross-entropy of every tag with label smoothing and mixup.

    A batch has `id`, `sig`, `target` (B, C), 1 where an item has a tag, and `group`.

    Hyperparameters
    ---------------
    mixup (alpha 0: none), label_smoothing
    """

    #: What the groups are.
    group_unit = "group"

    def compute_forward(self, batch, stage):
        """Logits (B, C)."""
        return self.hear(batch.to(self.device), stage)

    def averaged(self, outputs, items):
        return torch.logit(mean_by_recording(outputs.sigmoid(), items), eps=1e-6)

    def _target(self, batch, device) -> torch.Tensor:
        target = batch.target
        if isinstance(target, sb.dataio.batch.PaddedData):
            target = target.data
        return torch.as_tensor(target).to(device, torch.float32)

    def item_losses(self, predictions, batch):
        target = self._target(batch, predictions.device)
        return binary_cross_entropy_with_logits(predictions, target, reduction="none").mean(-1)

    def training_loss(self, predictions, batch):
        target = self._target(batch, predictions.device)
        if self._mixed is not None:
            partner, share = self._mixed
            target = share[:, None] * target + (1 - share[:, None]) * target[partner]
        smoothing = self.hparams.label_smoothing
        target = (1 - smoothing) * target + smoothing / 2
        return binary_cross_entropy_with_logits(predictions, target)

    def new_score(self, stage):
        return TagScores(self.labels, self.group_unit)

    def add_to_score(self, predictions, batch):
        present = self._target(batch, "cpu")
        self.score.append(batch.id, predictions.detach().sigmoid(), present, batch.group)

    def pictures(self, folder, name):
        figure = tag_bars(self.test_record["per_tag"], f"Test: {name}")
        return [save_figure(figure, folder / "tags.png")]

    def describe_test(self):
        test = self.test_record
        interval = ""
        if test["interval"] and test["interval"]["map"]:
            low, high = test["interval"]["map"]
            over = f"{test['interval']['n_groups']} {test['interval']['over']}s"
            interval = f" (95 % interval {low:.3f} to {high:.3f} over {over})"
        return (
            f"Test mAP {test['map']:.3f}{interval}, ROC-AUC {test['roc_auc']:.3f}, "
            f"{test['n']} recordings, {len(test['labels'])} tags"
        )
