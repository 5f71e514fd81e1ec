"""Draw the speakers of the mini corpora: an espeak-ng voice, a room and a microphone each."""

import math
from dataclasses import dataclass

import numpy as np

from ..rooms import place_response
from ..seeding import generator_for

# Variants of the wheel that pass for people. Left out: the Klatt voices (two of them do not repeat
# their bytes, see espeak.py), robots, whisperers, and those too slow for a word in a second.
FEMALE_VARIANTS = (
    "Alicia Andrea Annie anika aunty belinda f1 f2 f3 f4 f5 grandma linda shelby steph steph2 "
    "steph3 zac"
).split()
MALE_VARIANTS = (
    "Alex Andy Denis Diogo Gene Gene2 Henrique Jacky Lee Mario Michael Mike Nguyen antonio boris "
    "ed grandpa gustave ian iven iven2 iven3 john kaukovalta m1 m2 m3 m4 m5 m6 m7 m8 marcelo max "
    "michel miguel norbert pablo paul pedro quincy rob robert sandro travis victor"
).split()

# espeak-ng's names; "en" is British. The share of speakers follows the repetitions.
ACCENTS = (
    ("en-us",) * 6
    + ("en-us-nyc", "en-029", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-gb-x-rp")
    + ("en",) * 2
)

# The resampler is told that espeak-ng's 22,050 Hz were one of these: formants, pitch and speed move
# together by -9 to +11 %, as with a longer or shorter vocal tract. Multiples of 400 Hz keep the
# resampler's kernels small.
_PRETENDED_RATES_HZ = tuple(range(20000, 24800, 400))


@dataclass(frozen=True)
class Speaker:
    """A voice and the place where it is recorded; everything else varies from clip to clip."""

    index: int
    accent: str
    variant: str
    gender: str
    rate_wpm: int
    pitch: int
    pitch_range: int
    pretended_rate_hz: int
    """Take espeak-ng's samples as having this rate: moves formants and pitch."""
    reverberation_time_s: float
    direct_to_reverberant_db: float
    level_dbfs: float
    """RMS of the speech, before the clip's own variation."""
    snr_db: float
    noise_tilt_db_per_octave: float
    hum_hz: float
    """50 or 60 where the mains hum, else 0."""

    @property
    def voice(self) -> str:
        """The name that espeak-ng takes."""
        return f"{self.accent}+{self.variant}"

    def response(self, corpus: str, seed: int, sample_rate_hz: int) -> np.ndarray:
        """Impulse response of this speaker's room and microphone. Shape: () -> (K,)"""
        rng = generator_for(corpus, seed, "room", self.index)
        return place_response(
            rng, sample_rate_hz, self.reverberation_time_s, self.direct_to_reverberant_db
        )


def make_speakers(corpus: str, seed: int, num_speakers: int) -> list[Speaker]:
    """Draw `num_speakers` speakers; no two share accent and variant.

    Example
    -------
    >>> people = make_speakers("speech_commands", seed=0, num_speakers=64)
    >>> len({person.voice for person in people})
    64
    """
    variants = [(name, "f") for name in FEMALE_VARIANTS] + [(name, "m") for name in MALE_VARIANTS]
    num_possible = len(variants) * len(set(ACCENTS))
    if not 1 <= num_speakers <= num_possible:
        raise ValueError(f"num_speakers is {num_speakers}; 1 to {num_possible} are possible")
    rng = generator_for(corpus, seed, "speakers")
    taken: set[tuple[str, str]] = set()
    speakers: list[Speaker] = []
    while len(speakers) < num_speakers:
        # Once through all variants before any of them gets a second accent.
        for i in rng.permutation(len(variants)):
            variant, gender = variants[i]
            accent = ACCENTS[int(rng.integers(len(ACCENTS)))]
            if (accent, variant) in taken or len(speakers) == num_speakers:
                continue
            taken.add((accent, variant))
            speakers.append(
                Speaker(
                    index=len(speakers),
                    accent=accent,
                    variant=variant,
                    gender=gender,
                    rate_wpm=int(rng.integers(130, 216)),
                    pitch=int(rng.integers(30, 75)),
                    pitch_range=int(rng.integers(20, 90)),
                    pretended_rate_hz=int(rng.choice(_PRETENDED_RATES_HZ)),
                    reverberation_time_s=round(float(rng.uniform(0.08, 0.45)), 3),
                    direct_to_reverberant_db=round(float(rng.uniform(-2.0, 12.0)), 1),
                    level_dbfs=round(float(rng.uniform(-36.0, -16.0)), 1),
                    snr_db=round(float(rng.uniform(4.0, 28.0)), 1),
                    noise_tilt_db_per_octave=round(float(rng.uniform(-7.0, 0.0)), 1),
                    hum_hz=float(rng.choice([0.0, 0.0, 50.0, 60.0])),
                )
            )
    return speakers


def make_cast(corpus: str, seed: int, women: int, men: int) -> dict[str, list[Speaker]]:
    """So many women ("f") and men ("m"); a variant comes twice only when all have come once."""
    wanted = {"f": (women, FEMALE_VARIANTS), "m": (men, MALE_VARIANTS)}
    rounds = max(math.ceil(count / len(variants)) for count, variants in wanted.values())
    people = make_speakers(corpus, seed, rounds * sum(len(v) for _, v in wanted.values()))
    return {
        gender: [person for person in people if person.gender == gender][:count]
        for gender, (count, _) in wanted.items()
    }
