"""What Brains of clips share: recordings of any length heard as clips of one length."""

import torch

from ..layers.recording_windows import cut_recordings, mean_by_recording
from .base import BaseBrain, Stage

#: Clips that go through a model at once when recordings are scored.
_CLIPS_AT_ONCE = 64


class ClipBrain(BaseBrain):
    """A Brain whose model hears clips; a longer recording is scored by the mean over its clips.

    Arguments
    ---------
    model : Model
    labels : list of str
        Names of the outputs in order.
    args, kwargs : as `BaseBrain`.
    clip_samples : int or None
        Length of a clip: what is shorter is padded, and its relative length says so. None: the
        recordings of a batch are heard whole, padded to the longest.

    Hyperparameters
    ---------------
    mixup (alpha 0: none)
    """

    def __init__(self, model, labels, *args, clip_samples: int | None = None, **kwargs):
        super().__init__(model, *args, **kwargs)
        self.labels, self.clip_samples = list(labels), clip_samples

    def hear(self, batch, stage) -> torch.Tensor:
        """The model's output for a batch, (B, C); for recordings of several clips by `averaged`."""
        wavs, lengths = batch.sig
        self._mixed = None
        if stage == Stage.TRAIN:
            wavs = self.training_waves(wavs, lengths, batch)
            if self.hparams.mixup.alpha > 0:
                wavs, partner, share = self.hparams.mixup(wavs)
                lengths = torch.maximum(lengths, lengths[partner])
                self._mixed = (partner, share)
        if self.clip_samples is None:
            return self.run_model(wavs, lengths, stage)
        clips, lengths, items = cut_recordings(wavs, lengths, self.clip_samples)
        if len(clips) == len(wavs):
            return self.run_model(clips, lengths, stage)
        parts = zip(clips.split(_CLIPS_AT_ONCE), lengths.split(_CLIPS_AT_ONCE), strict=True)
        outputs = [self.run_model(*part, stage) for part in parts]
        return self.averaged(torch.cat(outputs), items)

    def averaged(self, outputs: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """Outputs of clips (W, C) as one per recording (B, C): their mean probabilities."""
        return mean_by_recording(outputs.exp(), items).clamp_min(1e-30).log()
