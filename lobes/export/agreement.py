"""Agreement of an exported file with its model, on noise, speech, silence and short clips."""

import functools
import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from scipy.signal import lfilter

from ..bundles.bundle import Bundle
from .record import ExportError

#: Largest difference, as a part of the range of the model's values, unless rounding makes more.
TOLERANCE = 1e-4
#: Lengths of the clips besides the shortest, as parts of a clip of training (at most so long in s).
PARTS, LONGEST_S = (0.23, 0.61, 1.0, 1.37), 4.0
#: Valid parts of the items of a batch.
VALID = (1.0, 0.71, 0.3)

Run = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def speech(num_samples: int, sample_rate: int, seed: int = 0) -> torch.Tensor:
    """What passes for speech: pulses of a gliding pitch through formants, in syllables; (T,).

    Example
    -------
    >>> speech(800, 8000).shape
    torch.Size([800])
    """
    random, time_s = np.random.default_rng(seed), np.arange(num_samples) / sample_rate
    pitch_hz = 120 + 40 * np.sin(2 * np.pi * 0.7 * time_s + seed)
    turns = np.cumsum(pitch_hz) / sample_rate
    sound = np.diff(np.floor(turns), prepend=0) + 0.02 * random.standard_normal(num_samples)
    for formant_hz, width_hz in ((600, 90), (1300, 120), (2600, 180)):
        if formant_hz < 0.45 * sample_rate:
            radius = math.exp(-math.pi * width_hz / sample_rate)
            angle = 2 * math.pi * formant_hz / sample_rate
            sound = lfilter([1 - radius], [1, -2 * radius * math.cos(angle), radius**2], sound)
    sound = sound * np.clip(np.sin(2 * np.pi * 2.3 * time_s + 0.4), 0, 1)
    return torch.from_numpy(0.3 * sound / max(np.abs(sound).max(), 1e-9)).float()


def probes(num_samples: int, bundle: Bundle) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """(name, wavs (B, T), lengths (B,)): each sound alone, then all three in a batch."""
    noise = torch.randn(num_samples, generator=torch.Generator().manual_seed(num_samples))
    sounds = {
        "noise": 0.1 * noise,
        "speech": speech(num_samples, bundle.sample_rate),
        "silence": torch.zeros(num_samples),
    }
    for name, wav in sounds.items():
        yield name, wav[None], torch.ones(1)
    lengths = torch.tensor([max(part, 1 / num_samples) for part in VALID])
    yield "a batch of unequal lengths", torch.stack(list(sounds.values())), lengths


@torch.no_grad()
def reference(
    bundle: Bundle, output: str, wavs: torch.Tensor, lengths: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """What the model gives, and which of its steps are valid, (B, N') or None for all."""
    if output == "frames":
        values = bundle.frames(wavs, lengths)[0]
        counts = bundle.compute_features.frames_of_items(lengths, wavs.shape[1])
    else:
        values = (bundle if output == "scores" else bundle.embed)(wavs, lengths)
        if bundle.embedding_model.output == "utterance":
            return values if output == "scores" else values.squeeze(1), None
        counts = bundle.num_steps(lengths, wavs.shape[1])
    return values, torch.arange(values.shape[1]) < counts[:, None]


def longest_samples(bundle: Bundle) -> int | None:
    """The longest clip that the model takes; None where there is no such bound."""
    if not bundle.embedding_model.needs_in_frames:
        return None
    return round(bundle.clip_s * bundle.sample_rate)


def check(run: Run, bundle: Bundle, output: str) -> dict:
    """Compare a file with the model it is of, at five lengths, alone and in batches.

    Arguments
    ---------
    run : (wavs (B, T), lengths (B,)) -> what the file gives.
    bundle : the model.
    output : which of its values.

    Returns
    -------
    dict with `shortest_samples`, the shortest clip for which the two agree, and `deviation`, their
    largest difference as a part of the range of the model's values.

    Raises
    ------
    ExportError
        They do not agree; the message says where.
    """
    clip = round(min(bundle.clip_s or 1.0, LONGEST_S) * bundle.sample_rate)
    lengths = {round(part * clip) + 1 for part in PARTS}
    if longest := longest_samples(bundle):
        lengths = {min(count, longest) for count in lengths} | {longest, round(0.83 * longest)}
    pairs = [pair for count in sorted(lengths) for pair in _pairs(run, bundle, output, count)]
    _deviation(pairs)
    hop, window = bundle.compute_features.hop, bundle.compute_features.window
    least = min(lengths)
    for shortest in sorted({1, hop, window, window + 1, 2 * window, 4 * window, least}):
        try:
            whole = [*pairs, *_pairs(run, bundle, output, shortest)]
            return {"shortest_samples": shortest, "deviation": _deviation(whole)}
        except Exception:  # whatever a model or a runtime raises of a clip that it cannot take
            if shortest >= least:
                raise
    raise AssertionError("the least of the lengths was left out")


def _pairs(run: Run, bundle: Bundle, output: str, num_samples: int) -> list[tuple]:
    """(where, values of the model, values of the file, `_rounding`) of the probes of one length."""
    pairs = []
    for name, wavs, lengths in probes(num_samples, bundle):
        where = f"{name}, {num_samples} samples"
        expected, valid = reference(bundle, output, wavs, lengths)
        try:
            got = run(wavs, lengths).float()
        except Exception as error:  # each runtime has its own classes
            raise ExportError(f"the file does not run on {where}: {_first_line(error)}") from None
        if got.shape != expected.shape:
            raise ExportError(
                f"the file gives {tuple(got.shape)} on {where}, the model {tuple(expected.shape)}: "
                "a size was fixed when it was recorded"
            )
        if valid is not None:
            expected, got = expected[valid], got[valid]
        rounding = functools.partial(_rounding, bundle, output, wavs, lengths)
        pairs.append((where, expected.float(), got, rounding))
    return pairs


def _rounding(bundle: Bundle, output: str, wavs: torch.Tensor, lengths: torch.Tensor) -> float:
    """How much the model's own values change where its frontend rounds in another way.

    On silence, normalisation divides by the root of a variance that is rounding alone.
    """

    def rounded(module, inputs, feats):
        signs = torch.randn(feats.shape, generator=torch.Generator().manual_seed(0)).sign()
        return feats * (1 + 2**-23 * signs)

    expected, valid = reference(bundle, output, wavs, lengths)
    hook = bundle.compute_features.register_forward_hook(rounded)
    try:
        changed, _ = reference(bundle, output, wavs, lengths)
    finally:
        hook.remove()
    change = changed - expected
    return float((change if valid is None else change[valid]).abs().max())


def _deviation(pairs: list[tuple]) -> float:
    """The largest difference as a part of the range of the model's values; see `check`."""
    values = torch.cat([expected.flatten() for _, expected, _, _ in pairs])
    # A model that gives one and the same everywhere is held to its size.
    scale = max(float(values.max() - values.min()), 1e-3 * float(values.abs().max()), 1e-12)
    worst = 0.0
    for where, expected, got, rounding in pairs:
        part = float((got - expected).abs().max()) / scale if expected.numel() else 0.0
        if not part <= TOLERANCE and not part <= rounding() / scale:  # NaN, too
            raise ExportError(
                f"the file and the model differ by {part:.2g} of the range of the values on "
                f"{where}; allowed is {TOLERANCE:g}"
            )
        worst = max(worst, part)
    return worst


def _first_line(error: Exception) -> str:
    return (str(error).strip() or repr(error)).split("\n")[0][:300]
