"""Brain of regression: values per clip or over time, CCC or squared error, CCC over groups."""

from collections.abc import Mapping, Sequence

import speechbrain as sb
import torch
from torch.nn.functional import adaptive_avg_pool1d

from ...processing.plots import emotion as emotion_plots
from ...processing.plots.common import save_figure
from ...processing.scoring.regression.files import FILE_NAME, write_scores
from ...processing.scoring.regression.metrics import RegressionScores
from ...processing.scoring.regression.scales import from_unit
from ..heads.concordance import RegressionLoss
from ..layers.masks import frame_mask, valid_lengths
from .base import BaseBrain


def points_of_labels(
    steps: torch.Tensor, step_counts: torch.Tensor, label_counts: torch.Tensor, points: int
) -> torch.Tensor:
    """Mean of the encoder's steps that lie within each label's share of the clip.

    A clip's labels divide its valid length evenly (0.5 s each at 2 Hz), whatever else is in the
    batch.

    Arguments
    ---------
    step_counts, label_counts : (B,), valid steps and labels, at least 1.
    points : labels of the longest clip.

    Shape
    -----
    (B, N, D) -> (B, points, D); zero behind the last label.

    Example
    -------
    >>> steps = torch.tensor([[1.0, 3.0, 5.0, 7.0]])[..., None]
    >>> points_of_labels(steps, torch.tensor([4]), torch.tensor([2]), 3)[..., 0]
    tensor([[2., 6., 0.]])
    """
    result = steps.new_zeros(len(steps), points, steps.shape[2])
    counts = zip(step_counts.tolist(), label_counts.tolist(), strict=True)
    for item, (valid, labels) in enumerate(counts):
        valid, labels = max(1, int(valid)), max(1, int(labels))
        pooled = adaptive_avg_pool1d(steps[item, :valid].T.unsqueeze(0), labels)
        result[item, :labels] = pooled[0].T
    return result


class RegressionBrain(BaseBrain):
    """CCC loss, squared error or both.

    A batch has `id`, `sig`, `group` (the song) and `target`, mapped from the labels' scale to
    -1 to 1: (B, D) for a label per clip, or (B, N, D) with lengths for labels over time, which
    divide the clip evenly; then also `times_s` (B, N), in s from the beginning of the song. An
    encoder of frames is averaged over the clip, or over each label's share of it.

    The loss of validation is that of the whole set, at the level of the score, and no mean over
    batches, which for CCC is another number.

    Arguments
    ---------
    model : Model
    dimensions : list of str
        What the outputs are, in order.
    scale : dict
        {"low", "high"} of the labels; predictions are mapped back to it and scored there.
    args, kwargs : as `BaseBrain`.

    Hyperparameters
    ---------------
    loss ("ccc", "mse", "mix"), loss_mix (share of CCC in "mix"), ccc_window (items of past batches
    in the CCC; 0: the present batch alone).
    """

    def __init__(
        self, model, dimensions: Sequence[str], scale: Mapping[str, float], *args, **kwargs
    ):
        super().__init__(model, *args, **kwargs)
        self.dimensions, self.scale = list(dimensions), dict(scale)
        hparams = self.hparams
        self.loss = RegressionLoss(hparams.loss, hparams.loss_mix, hparams.ccc_window)
        if self.checkpointer is not None and hparams.ccc_window:
            # Optional: checkpoints of 0.1.0 lack it, and SpeechBrain says so.
            self.checkpointer.add_recoverable(
                "ccc_window", self.loss.concordance, optional_load=True
            )

    def on_stage_start(self, stage, epoch=None):
        super().on_stage_start(stage, epoch)
        self.loss.train(stage == sb.Stage.TRAIN)
        if stage == sb.Stage.TRAIN and not self.step:  # an epoch resumed in its middle remembers
            self.loss.reset()

    def compute_forward(self, batch, stage):
        """Predictions like the target, (B, D) or (B, N, D), from -1 to 1 by convention."""
        batch = batch.to(self.device)
        wavs, lengths = batch.sig
        if stage == sb.Stage.TRAIN:
            wavs = self.training_waves(wavs, lengths, batch)
        values = self.run_model(wavs, lengths, stage)
        target, label_counts = self._target(batch)
        dynamic = target.ndim == 3
        frames = self.model.embedding_model.output == "frames"
        if dynamic and not frames:
            raise ValueError(
                "labels over time need an encoder of frames, and this one gives one embedding per "
                "clip: choose one whose output is frames, or labels per clip"
            )
        if not frames:
            return values
        if values.shape[1] == 1 and not dynamic:
            return values.squeeze(1)
        steps = self.model.num_steps(lengths, wavs.shape[1]).clamp(max=values.shape[1])
        if dynamic:
            return points_of_labels(values, steps, label_counts, target.shape[1])
        return points_of_labels(values, steps, torch.ones_like(steps), 1).squeeze(1)

    def _target(self, batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Targets (B, D) or (B, N, D) in float32, and how many labels each item has (B,)."""
        target, relative = batch.target, None
        if isinstance(target, sb.dataio.batch.PaddedData):
            target, relative = target
        elif not torch.is_tensor(target):
            target = torch.stack([torch.as_tensor(row) for row in target])
        target = target.to(self.device, torch.float32)
        if target.ndim != 3:
            return target, torch.ones(len(target), dtype=torch.long, device=target.device)
        if relative is None:
            relative = torch.ones(len(target))
        return target, valid_lengths(relative, target.shape[1]).to(target.device)

    # -- loss --------------------------------------------------------------------------------------

    def training_loss(self, predictions, batch):
        target, counts = self._target(batch)
        mask = frame_mask(counts, target.shape[1]) if target.ndim == 3 else None
        return self.loss(predictions, target, mask)

    def _merged_record(self):
        record = super()._merged_record()
        # Squared error on -1 to 1, where the loss is; the mean over dimensions of the squares.
        squares = [record[f"rmse_unit_scale_{name}"] ** 2 for name in self.dimensions]
        loss = self.loss.combine(record["ccc"], sum(squares) / len(squares))
        return {"loss": loss, **record}

    # -- scores ------------------------------------------------------------------------------------

    def new_score(self, stage):
        intervals = 1000 if stage == sb.Stage.TEST else 0
        return RegressionScores(self.dimensions, self.scale, n_resamples=intervals)

    def add_to_score(self, predictions, batch):
        target, counts = self._target(batch)
        predictions, target = (self._on_scale(values) for values in (predictions, target))
        if target.ndim == 2:
            self.score.append(batch.id, predictions, target, batch.group)
            return
        times_s = batch.times_s
        times_s = times_s.data if isinstance(times_s, sb.dataio.batch.PaddedData) else times_s
        self.score.append_sequences(batch.id, predictions, target, times_s, counts, batch.group)

    def _on_scale(self, values: torch.Tensor) -> torch.Tensor:
        return from_unit(values.detach().double(), self.scale)

    def keep_predictions(self, folder):
        return write_scores(folder / FILE_NAME, self.score)

    def pictures(self, folder, name):
        songs, song, times_s, predictions, targets = self.score.points()
        paths = []
        if self.score.level == "point":
            chosen = [songs[i] for i in range(0, len(songs), max(1, len(songs) // 4))][:4]
            curves = {}
            for title in chosen:
                at = song == songs.index(title)
                curves[title] = (times_s[at], targets[at], predictions[at])
            figure = emotion_plots.dynamic_curves(
                curves, f"Test: {name}", self.dimensions, self.scale
            )
            paths.append(save_figure(figure, folder / "emotion_curves.png"))
        if {"valence", "arousal"} <= set(self.dimensions):
            axes = [self.dimensions.index(which) for which in ("valence", "arousal")]
            figure = emotion_plots.valence_arousal_plane(
                targets[:, axes], predictions[:, axes], f"Test: {name}", self.scale
            )
            paths.append(save_figure(figure, folder / "valence_arousal.png"))
        return paths

    def describe_test(self):
        test = self.test_record
        each = ", ".join(f"{name} {test[f'ccc_{name}']:.3f}" for name in self.dimensions)
        interval = ""
        if test["interval"]:
            low, high = test["interval"]["ccc"]
            interval = (
                f"95 % interval {low:.3f} to {high:.3f} over {test['interval']['n_groups']} "
                f"{test['interval']['over']}s; "
            )
        scale = test["scale"]
        return (
            f"Test CCC {test['ccc']:.3f} ({interval}{each}), R2 {test['r2']:.3f}, "
            f"RMSE {test['rmse']:.3f} on {scale['low']:g} to {scale['high']:g}, "
            f"at {test['level']} level"
        )
