"""Brain of transcription: CTC loss over phones, characters or subwords, edit rate."""

import itertools

import speechbrain as sb
import torch

from ...processing.plots.common import save_figure
from ...processing.plots.confusion import token_confusion
from ...processing.scoring.transcription.sequence import EditCounts
from ...processing.transcription.unit_options import RATES
from ...processing.transcription.units import Units
from .base import BaseBrain
from .optimization import annealing_factor

#: An error rate at which a network has not begun to emit more than blanks and a few frequent units.
NOTHING_YET = 0.9


class CTCBrain(BaseBrain):
    """Classifier per frame; CTC loss in, edit rate out.

    A batch has `id`, `sig`, `target` (unit indices, 1-d) and `reference` (the tokens that are
    scored). The number of steps of an item is what its own samples give in the model, not a share
    of the batch's.

    Arguments
    ---------
    model : Model
    units : Units
        What is recognised; index 0 is the blank.
    decoders : dict
        "valid" and "test": callables (log-probabilities (B, N, C), steps (B,)) -> index lists.
    args, kwargs : as `BaseBrain`.

    References
    ----------
    Graves et al., Connectionist Temporal Classification, ICML 2006. The loss of an item is divided
    by its number of units, as torch's "mean" does.
    """

    def __init__(self, model, units: Units, decoders: dict, *args, **kwargs):
        super().__init__(model, *args, **kwargs)
        self.units = units
        self.decoders = decoders
        self.headline = RATES[units.scored_as]

    def compute_forward(self, batch, stage):
        """Log-probabilities (B, N, C) of the units, and each item's steps (B,)."""
        batch = batch.to(self.device)
        wavs, lengths = batch.sig
        if stage == sb.Stage.TRAIN:
            wavs = self.training_waves(wavs, lengths, batch)
        steps = self.model.num_steps(lengths, wavs.shape[1])
        return self.run_model(wavs, lengths, stage), steps

    def item_losses(self, predictions, batch):
        log_probabilities, steps = predictions
        target, lengths = batch.target
        sizes = torch.round(lengths.double() * target.shape[1]).long()
        loss = torch.nn.functional.ctc_loss(
            log_probabilities.transpose(0, 1), target, steps, sizes, blank=0, reduction="none"
        )
        return loss / sizes

    def new_score(self, stage):
        self._decode = self.decoders["valid" if stage == sb.Stage.VALID else "test"]
        return EditCounts(self.units.scored_as, self.units.convention)

    def add_to_score(self, predictions, batch):
        hypotheses = self._decode(*predictions)
        self.score.append(
            batch.id, batch.reference, [self.units.decode(line) for line in hypotheses]
        )

    def annealing_factor(self):
        """What the past error rates make of the learning rate.

        With CTC a network gives blanks only for a while, and its error rate stands near 1: a rate
        that fell then would keep it there. Epochs count from the first with less than
        `NOTHING_YET`.
        """
        hparams = self.hparams
        rates = [record["valid"][self.headline] for record in self.history.epochs]
        scores = list(itertools.dropwhile(lambda rate: rate >= NOTHING_YET, rates))
        return annealing_factor(
            hparams.annealing,
            scores,
            hparams.annealing_factor,
            hparams.annealing_threshold,
            hparams.annealing_patience,
        )

    def pictures(self, folder, name):
        confusion = self.test_record.get("confusion")
        if confusion is None:  # words
            return []
        figure = token_confusion(confusion["counts"], confusion["labels"], f"Test: {name}")
        return [save_figure(figure, folder / "confusions.png")]

    def describe_test(self):
        test = self.test_record
        bounds = test["interval"][self.headline]
        interval = (
            f"95 % interval {100 * bounds[0]:.1f} to {100 * bounds[1]:.1f} over utterances"
            if bounds
            else test["interval"]["method"]
        )
        edits = ", ".join(f"{test[kind]} {kind}" for kind in ("substitutions", "deletions"))
        convention = (
            f"{test['phone_set']}, silence {test['silence_rule']}; " if "phone_set" in test else ""
        )
        return (
            f"Test {self.headline.upper()} {100 * test[self.headline]:.1f} % ({interval}; "
            f"{convention}{edits}, {test['insertions']} insertions in {test['reference_tokens']} "
            f"tokens of {test['n']} utterances)"
        )
