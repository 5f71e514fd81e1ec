"""Perturb the speed of crops; a faster or slower voice counts as a new speaker."""

from collections.abc import Sequence
from fractions import Fraction

import torch

from ..audio import resampler
from ..seeding import seed_for

# A polyphase filter has as many phases as the ratio's numerator.
_MAX_DENOMINATOR = 100


class SpeedPerturbation:
    """Play a crop faster or slower, so that pitch, formants and tempo change together.

    The result sounds like another speaker and gets a class of its own: speaker k at factor number i
    is class ``k + i * num_speakers``. The draw is a pure function of (seed, epoch, name of the
    recording), as that of `RandomCrop`.

    Arguments
    ---------
    num_speakers : int
        Speakers before perturbation.
    factors : sequence of float
        Speeds, different from each other, the first of them 1; 1.1 is faster and higher. Empty: no
        perturbation. Each is taken as a fraction with a denominator of at most 100.
    seed : int

    Raises
    ------
    ValueError
        A factor outside 0.5 to 2, one that comes twice, or a first factor that is not 1.

    References
    ----------
    T. Ko et al., Audio augmentation for speech recognition, Interspeech 2015; as new speakers:
    H. Yamamoto et al., Speaker augmentation and bandwidth extension for deep speaker embedding,
    Interspeech 2019. Order of the factors and class numbers: wenet-e2e/wespeaker@03620b7. That plays
    the whole recording through sox and crops afterwards; here only what the crop needs is read.

    Example
    -------
    >>> speed = SpeedPerturbation(num_speakers=5994)
    >>> speed.num_classes
    17982
    >>> speed.label(7, 2)
    11995
    >>> speed.num_samples_to_read(32000, 2)
    35200
    >>> speed.apply(torch.randn(35200), 2).shape
    torch.Size([32000])
    """

    def __init__(
        self, num_speakers: int, factors: Sequence[float] = (1.0, 0.9, 1.1), seed: int = 0
    ):
        factors = list(factors) or [1.0]
        try:
            fractions = [Fraction(factor).limit_denominator(_MAX_DENOMINATOR) for factor in factors]
            good = fractions[0] == 1 and all(0.5 <= fraction <= 2 for fraction in fractions)
        except (TypeError, ValueError, OverflowError):
            good = False
        if not good or len(set(fractions)) < len(fractions):
            raise ValueError(
                f"speed factors are numbers from 0.5 to 2, each once and the first of them 1 (the "
                f"speed as recorded, whose classes are the speakers), e.g. [1.0, 0.9, 1.1]; got "
                f"{factors}"
            )
        if isinstance(num_speakers, bool) or int(num_speakers) != num_speakers or num_speakers < 1:
            raise ValueError(f"num_speakers is a whole number above 0, got {num_speakers!r}")
        self.num_speakers = int(num_speakers)
        self.factors = [float(fraction) for fraction in fractions]
        self.seed = seed
        self._fractions = fractions

    @property
    def num_classes(self) -> int:
        """Classes of a classifier: speakers times factors."""
        return self.num_speakers * len(self.factors)

    def draw(self, name: str, epoch: int) -> int:
        """Number of the factor of a recording in an epoch; all are equally likely."""
        return seed_for("speed", self.seed, int(epoch), name) % len(self.factors)

    def label(self, speaker: int, factor: int) -> int:
        """Class of a speaker (his number) at a factor (its number)."""
        if not (0 <= speaker < self.num_speakers and 0 <= factor < len(self.factors)):
            raise ValueError(
                f"speaker {speaker} and factor {factor}: there are {self.num_speakers} speakers and "
                f"{len(self.factors)} factors, counted from 0"
            )
        return speaker + factor * self.num_speakers

    def speaker(self, label: int) -> int:
        """Speaker (his number) whose voice, at whatever factor, class `label` is."""
        return label % self.num_speakers

    def num_samples_to_read(self, num_samples: int, factor: int) -> int:
        """Samples of a recording that become `num_samples` when played at a factor: rounded up."""
        fraction = self._fractions[factor]
        return -(-num_samples * fraction.numerator // fraction.denominator)

    def apply(self, wav: torch.Tensor, factor: int, num_samples: int | None = None) -> torch.Tensor:
        """Play a waveform at a factor.

        Arguments
        ---------
        wav : tensor (..., T)
        factor : int
            Its number in `factors`.
        num_samples : int or None
            Cut to this length; the rounding up of `num_samples_to_read` may leave one more.

        Shape
        -----
        (..., T) -> (..., ceil(T / factor)), or no more than `num_samples`
        """
        fraction = self._fractions[factor]
        if fraction != 1:
            played = resampler(fraction.numerator, fraction.denominator)(wav.float())
            wav = played.to(wav.dtype)
        return wav if num_samples is None else wav[..., :num_samples]
