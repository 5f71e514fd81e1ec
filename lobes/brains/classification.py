"""Classification of utterances: cross-entropy in, accuracy out."""

from __future__ import annotations

import speechbrain as sb
import torch

from ...processing.plots import common as plots
from ...processing.scoring.classification import ConfusionCounts
from .base import BaseBrain

__all__ = ["ClassificationBrain"]


class ClassificationBrain(BaseBrain):
    """Frontend, encoder, classifier; cross-entropy with label smoothing and mixup.

    A batch has `id`, `sig`, `target` (class indices) and `group` (speakers: what the confidence
    interval resamples). `augment_wavs`, when given, is called in
    training as `(wavs, labels) -> wavs`.

    Arguments
    ---------
    labels : list of str
        Class names in the order of the class indices.
    augment_wavs : callable or None
    """

    headline = "accuracy"

    def __init__(self, labels, *args, augment_wavs=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.labels = list(labels)
        self.augment_wavs = augment_wavs

    def compute_forward(self, batch, stage):
        batch = batch.to(self.device)
        wavs, lengths = batch.sig
        self._mixed = None
        if stage == sb.Stage.TRAIN:
            if self.augment_wavs is not None:
                wavs = self.augment_wavs(wavs, batch.target)
            if self.hparams.mixup.alpha > 0:
                wavs, partner, share = self.hparams.mixup(wavs)
                self._mixed = (partner, share)
            self.history.audio_seconds += wavs.numel() / self.hparams.sample_rate
        embedding, _ = self.embed(wavs, lengths, stage)
        return self.part("classifier", stage)(embedding).squeeze(1)

    def loss_per_item(self, predictions, batch, stage):
        def cross_entropy(target):
            return torch.nn.functional.nll_loss(predictions, target, reduction="none")

        target = torch.as_tensor(batch.target, device=predictions.device)
        loss = cross_entropy(target)
        if stage != sb.Stage.TRAIN:
            return loss
        if self._mixed is not None:
            partner, share = self._mixed
            loss = share * loss + (1 - share) * cross_entropy(target[partner])
        smoothing = self.hparams.label_smoothing
        return (1 - smoothing) * loss - smoothing * predictions.mean(-1)

    def new_score(self, stage):
        return ConfusionCounts(self.labels)

    def add_to_score(self, predictions, batch):
        self.score.append(batch.id, batch.target, predictions.argmax(-1), batch.group)

    def pictures(self, folder, name):
        path = folder / "confusion_matrix.png"
        counts = self.test_record["confusion"]
        return [plots.confusion_matrix(counts, self.labels, path, f"Test: {name}")]

    def describe_test(self):
        test = self.test_record
        low, high = test["interval"]["accuracy"]
        return (
            f"Test accuracy {100 * test['accuracy']:.1f} % (95 % interval {100 * low:.1f} to "
            f"{100 * high:.1f} over {test['interval']['over']}s, {test['n']} clips), "
            f"macro F1 {100 * test['macro_f1']:.1f} %"
        )
