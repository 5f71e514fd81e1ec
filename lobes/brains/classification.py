"""Brain of classification: cross-entropy with label smoothing and mixup, accuracy."""

import speechbrain as sb
import torch
from torch.nn.functional import nll_loss

from ...processing.plots.common import save_figure
from ...processing.plots.confusion import confusion_matrix
from ...processing.scoring.classification import ConfusionCounts
from .base import BaseBrain


class ClassificationBrain(BaseBrain):
    """Cross-entropy with label smoothing and mixup.

    A batch has `id`, `sig`, `target` (class indices) and `group` (speakers: what the confidence
    interval resamples).

    Arguments
    ---------
    model : Model
    labels : list of str
        Class names in the order of the class indices.
    args, kwargs : as `BaseBrain`.

    Hyperparameters
    ---------------
    mixup (alpha 0: none), label_smoothing
    """

    def __init__(self, model, labels, *args, **kwargs):
        super().__init__(model, *args, **kwargs)
        self.labels = list(labels)

    def compute_forward(self, batch, stage):
        """Log-probabilities (B, C)."""
        batch = batch.to(self.device)
        wavs, lengths = batch.sig
        self._mixed = None
        if stage == sb.Stage.TRAIN:
            wavs = self.training_waves(wavs, lengths, batch)
            if self.hparams.mixup.alpha > 0:
                wavs, partner, share = self.hparams.mixup(wavs)
                self._mixed = (partner, share)
        return self.run_model(wavs, lengths, stage)

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
        return ConfusionCounts(self.labels)

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
            f"macro F1 {100 * test['macro_f1']:.1f} %"
        )
