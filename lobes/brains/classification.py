"""Brain of classification: cross-entropy with label smoothing and mixup, accuracy."""

import torch
from torch.nn.functional import nll_loss

from ...processing.plots.common import save_figure
from ...processing.plots.confusion import confusion_matrix
from ...processing.scoring.classification import ConfusionCounts
from .clips import ClipBrain


class ClassificationBrain(ClipBrain):
    """Cross-entropy with label smoothing and mixup.

    A batch has `id`, `sig`, `target` (class indices) and `group` (speakers: what the confidence
    interval resamples).

    Hyperparameters
    ---------------
    mixup (alpha 0: none), label_smoothing
    """

    #: What the groups are.
    group_unit = "speaker"

    def compute_forward(self, batch, stage):
        """Log-probabilities (B, C)."""
        return self.hear(batch.to(self.device), stage)

    def item_losses(self, predictions, batch):
        target = torch.as_tensor(batch.target, device=predictions.device)
        return nll_loss(predictions, target, reduction="none")

    def training_loss(self, predictions, batch):
        loss = self.item_losses(predictions, batch)
        if self._mixed is not None:
            partner, share = self._mixed
            target = torch.as_tensor(batch.target, device=predictions.device)[partner]
            loss = share * loss + (1 - share) * nll_loss(predictions, target, reduction="none")
        smoothing = self.hparams.label_smoothing
        return ((1 - smoothing) * loss - smoothing * predictions.mean(-1)).mean()

    def new_score(self, stage):
        return ConfusionCounts(self.labels, self.group_unit)

    def add_to_score(self, predictions, batch):
        self.score.append(batch.id, batch.target, predictions.argmax(-1), batch.group)

    def pictures(self, folder, name):
        figure = confusion_matrix(self.test_record["confusion"], self.labels, f"Test: {name}")
        return [save_figure(figure, folder / "confusion_matrix.png")]

    def describe_test(self):
        test = self.test_record
        low, high = test["interval"]["accuracy"]
        return (
            f"Test accuracy {100 * test['accuracy']:.1f} % (95 % interval {100 * low:.1f} to "
            f"{100 * high:.1f} over {test['interval']['over']}s, {test['n']} clips), "
            f"balanced accuracy {100 * test['balanced_accuracy']:.1f} %, "
            f"macro F1 {100 * test['macro_f1']:.1f} %"
        )
