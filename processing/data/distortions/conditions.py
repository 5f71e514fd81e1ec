"""List the conditions of the robustness suite and apply one to a recording."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..seeding import generator_for
from . import acoustics, transmission
from .codecs import CODECS, code, missing_encoder

#: (kind of noise) -> a sound of that kind, drawn from a generator: (num_samples, generator) -> (T,)
Background = Callable[[int, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Condition:
    """One distortion at one strength.

    Arguments
    ---------
    group : one of `GROUPS`, by which conditions are chosen.
    kind : the distortion: white, babble, music, room, mp3, ...
    value : its strength, None where there is but one.
    unit : of the value.
    """

    group: str
    kind: str
    value: float | None = None
    unit: str = ""

    @property
    def name(self) -> str:
        """Its name in tables, e.g. "babble 10 dB"."""
        if self.value is None:
            return self.kind
        return f"{self.kind} {self.value:g} {self.unit}".strip()

    def missing(self) -> str | None:
        """The reason why it cannot be computed here; None where it can."""
        return missing_encoder(self.kind) if self.kind in CODECS else None


SNRS_DB = (20, 10, 5, 0)
#: All conditions in the order of the tables.
CONDITIONS = tuple(
    Condition(group, kind, value, unit)
    for group, kind, values, unit in (
        ("clean", "clean", (None,), ""),
        ("noise", "white", SNRS_DB, "dB"),
        ("noise", "babble", SNRS_DB, "dB"),
        ("noise", "music", SNRS_DB, "dB"),
        ("reverberation", "room", (0.3, 0.6, 1.0), "s"),
        ("telephone", "300-3400 Hz", (None,), ""),
        ("mulaw", "mu-law 8 kHz", (None,), ""),
        ("codec", "mp3", (64, 32, 16), "kbit/s"),
        ("codec", "opus", (24, 12, 6), "kbit/s"),
        ("codec", "vorbis", (0.5, 0.0), "quality"),
        ("clipping", "clipped", (1, 5, 20), "%"),
        ("speed", "speed", (0.9, 1.1), ""),
    )
    for value in values
)
GROUPS = tuple(dict.fromkeys(condition.group for condition in CONDITIONS))


def choose(groups: Sequence[str] | None = None) -> tuple[Condition, ...]:
    """The conditions of some groups, or kinds (None: all), in the suite's order, clean first.

    Raises
    ------
    ValueError
        A name that is neither a group nor a kind.

    Example
    -------
    >>> [condition.name for condition in choose(["speed", "mulaw"])]
    ['clean', 'mu-law 8 kHz', 'speed 0.9', 'speed 1.1']
    """
    if groups is None:
        return CONDITIONS
    kinds = [kind for kind in dict.fromkeys(c.kind for c in CONDITIONS) if " " not in kind]
    unknown = [name for name in groups if name not in (*GROUPS, *kinds)]
    if unknown or not groups:
        raise ValueError(
            f"unknown conditions {', '.join(unknown) or '(none given)'}: there are the groups "
            f"{', '.join(GROUPS)}, and in them {', '.join(k for k in kinds if k not in GROUPS)}"
        )
    names = {"clean", *groups}
    return tuple(c for c in CONDITIONS if c.group in names or c.kind in names)


def generator_of(condition: Condition, recording: str, seed: int) -> np.random.Generator:
    """The random generator of a recording under a condition, independent of all others.

    A noise is the same at all its levels, so that these differ in level alone.
    """
    what = condition.kind if condition.group == "noise" else condition.name
    return generator_for("robustness", seed, what, recording)


def distort(
    waveform,
    rate_hz: int,
    condition: Condition,
    generator: np.random.Generator,
    background: Background | None = None,
) -> np.ndarray:
    """A recording under a condition.

    Arguments
    ---------
    waveform : (T,), full scale 1.
    rate_hz : sample rate.
    condition : one of `CONDITIONS`, or one like them.
    generator : where what is random comes from; `generator_of` gives it.
    background : for noise: (num_samples, generator) -> the sound to add; white noise needs none.

    Shape
    -----
    (T,) -> (T,) float32; under "speed" (ceil(T / factor),)

    Raises
    ------
    MissingEncoder
        A codec that the installed libsndfile cannot write.
    ValueError
        Silence under noise, no background where one is needed, an unknown condition.

    Example
    -------
    >>> tone = np.sin(np.arange(8000) * 0.3)
    >>> condition = Condition("noise", "white", 10, "dB")
    >>> distort(tone, 8000, condition, generator_of(condition, "a/1.wav", 0)).shape
    (8000,)
    """
    waveform, value = np.asarray(waveform), condition.value
    group, kind = condition.group, condition.kind
    if group == "clean":
        return waveform.astype(np.float32)
    if group == "noise":
        if background is not None:
            noise = background(len(waveform), generator)
        elif kind == "white":
            noise = generator.standard_normal(len(waveform))
        else:
            raise ValueError(f"{kind} needs a background: give a function that draws one")
        return acoustics.add_noise(waveform, noise, value, rate_hz)
    if group == "reverberation":
        return acoustics.reverberate(waveform, rate_hz, generator, value)
    if group == "telephone":
        return transmission.telephone_band(waveform, rate_hz)
    if group == "mulaw":
        return transmission.telephone_mu_law(waveform, rate_hz)
    if group == "codec":
        return code(waveform, rate_hz, kind, value)
    if group == "clipping":
        return transmission.clip_loudest(waveform, value / 100)
    if group == "speed":
        return transmission.change_speed(waveform, value)
    raise ValueError(f"unknown group of conditions {group!r}; there are {', '.join(GROUPS)}")
