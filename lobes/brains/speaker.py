"""Brain of speaker verification: margin softmax over training speakers, EER over trials."""

import speechbrain as sb
import torch

from ...processing.plots.common import save_figure
from ...processing.plots.det import det_curve
from ...processing.scoring.verification.calibration import Calibration
from ...processing.scoring.verification.embedding_scores import EmbeddingScores
from ...processing.scoring.verification.metrics import error_curve
from ...processing.scoring.verification.trial_scores import SCORES_NAME, write_scores
from ...processing.scoring.verification.trials import TrialList
from ..distillation.distiller import PROJECTION, Distiller
from ..distillation.losses import gradient_shares
from ..heads.angular_margin import margin_at
from .base import BaseBrain

#: How often the shares of the losses in the gradient are measured, in steps.
SHARES_EVERY = 20


class SpeakerBrain(BaseBrain):
    """Margin softmax over the cosines of the head, optionally a teacher; scored on trials.

    A batch has `id` (the recording's name), `sig` and, in training, `target` (class indices).
    Recordings of validation and test are of speakers who were not trained on: they are embedded,
    and the trials of the list are scored by cosine, over all ranks together.

    Arguments
    ---------
    model : Model
    trials : dict
        "valid" and "test": the lists.
    distiller : Distiller or None
        What the embeddings shall be like besides.
    args, kwargs : as `BaseBrain`.

    Attributes
    ----------
    tested : str
        Which of the lists `evaluate` scores.
    calibration : Calibration or None
        Adds calibrated scores to what `evaluate` finds.
    """

    def __init__(
        self,
        model,
        trials: dict[str, TrialList],
        *args,
        distiller: Distiller | None = None,
        **kwargs,
    ):
        extra = None if distiller is None else distiller.modules
        super().__init__(model, *args, extra_modules=extra, **kwargs)
        self.trials = trials
        self.distiller = distiller
        self.tested = "test"
        self.calibration: Calibration | None = None
        if self.hparams.pretrain_epochs and not hasattr(model.embedding_model, "pretraining_loss"):
            raise ValueError(
                f"pretrain_epochs is {self.hparams.pretrain_epochs}, but this encoder has no "
                "pre-training as lstm_autoencoder has: set it to 0"
            )

    @property
    def pretraining(self) -> bool:
        """Whether the present epoch is one of the encoder's own pre-training."""
        return self.epoch <= self.hparams.pretrain_epochs

    def compute_forward(self, batch, stage):
        batch = batch.to(self.device)
        wavs, lengths = batch.sig
        if stage != sb.Stage.TRAIN:
            return self.model.embed(wavs, lengths).squeeze(1)
        wavs = self.training_waves(wavs, lengths, batch)
        if self.pretraining:
            return self.pretrain(wavs, lengths)
        cosines, embedding = self.run_model(wavs, lengths, stage, with_embedding=True)
        targets = None
        if self.distiller is not None:
            targets = self.distiller.targets(wavs, lengths, batch.id)
        return embedding, cosines, targets

    def pretrain(self, wavs, lengths) -> torch.Tensor:
        """Loss (B,) of the encoder's own task; nothing else learns."""
        with torch.no_grad():
            feats, lengths = self.model.frames(wavs, lengths)
        return self.model.embedding_model.pretraining_loss(feats, lengths)

    def optimizers_step(self):
        if self.pretraining and self.distributed_launch:
            # What does not go through `forward` is not exchanged by DDP.
            for parameter in self.model.embedding_model.parameters():
                if parameter.grad is not None:
                    torch.distributed.all_reduce(parameter.grad)
                    parameter.grad /= torch.distributed.get_world_size()
        super().optimizers_step()

    def training_loss(self, predictions, batch):
        if self.pretraining:
            return predictions.mean()
        embedding, cosines, targets = predictions
        target = torch.as_tensor(batch.target, device=cosines.device)
        loss = self.hparams.margin_softmax(cosines, target, self.margin)
        if targets is None:
            return loss.mean()
        logits = self.hparams.margin_softmax.logits(cosines)
        project = self.modules[PROJECTION] if PROJECTION in self.modules else None
        distance = self.distiller.loss(embedding.squeeze(1), logits, targets, target, project)
        terms = self.distiller.terms(loss, distance)
        # Where DDP looks for unused parameters, the losses do not depend on the embedding it returns.
        if self.step % SHARES_EVERY == 1 and not self.find_unused_parameters:
            self._note(gradient_shares({name: x.mean() for name, x in terms.items()}, embedding))
        return sum(terms.values()).mean()

    @property
    def margin(self) -> float:
        """Margin of the present step."""
        hparams = self.hparams
        return margin_at(
            self.epochs_done, hparams.margin, hparams.margin_start_epoch, hparams.margin_end_epoch
        )

    def _note(self, shares: dict[str, float]) -> None:
        """Running mean over an epoch of each loss's share of the gradient."""
        self._noted = 1 if not self.train_numbers else self._noted + 1
        for name, share in shares.items():
            key = f"{name}_gradient_share"
            before = self.train_numbers.get(key, 0.0)
            self.train_numbers[key] = before + (share - before) / self._noted

    # -- scores ------------------------------------------------------------------------------------

    def new_score(self, stage):
        if stage == sb.Stage.VALID:
            return EmbeddingScores(self.trials["valid"], brief=True)
        return EmbeddingScores(
            self.trials[self.tested],
            calibration=self.calibration,
            n_resamples=1000 if self.tested == "test" else 0,
        )

    def add_to_score(self, predictions, batch):
        self.score.append(batch.id, predictions)

    def keep_predictions(self, folder):
        return write_scores(folder / SCORES_NAME, self.score.trials, self.score.scores)

    def pictures(self, folder, name):
        curve = error_curve(self.score.scores, self.score.trials.is_target)
        return [save_figure(det_curve({name: curve}, f"Test: {name}"), folder / "det.png")]

    def describe_test(self):
        test = self.test_record
        low, high = test["interval"]["eer"]
        counts = test["counts"]
        return (
            f"Test EER {100 * test['eer']:.2f} % (95 % interval {100 * low:.2f} to "
            f"{100 * high:.2f} over {test['interval']['n_speakers']} speakers; "
            f"{counts['target']} target and {counts['nontarget']} non-target trials of "
            f"{test['trials']['source']}), minDCF(0.01) {test['min_dcf_0.01']:.3f}"
        )
