"""Predictions of a bundle for one recording: a label, tags, values, tokens, or an embedding."""

import csv
import io
import math
from collections.abc import Iterator

import torch
from torch.nn.functional import adaptive_avg_pool1d, pad

from ...processing.scoring.regression.scales import LABEL_STEP_S, from_unit
from ...processing.transcription.ctc_decoding import GreedyDecoder
from ...processing.transcription.units import Units
from ..layers.recording_windows import cut_recordings
from ..tasks import Prediction, check_finite
from .description import BundleError
from .trained import Trained

_DECIMALS = 3
# Windows that go through a model at once: a song of an hour must not need an hour's memory.
_WINDOWS_AT_ONCE = 8


def classify(bundle: Trained, wav: torch.Tensor) -> Prediction:
    """The most probable label and its probability.

    A recording shorter than the training clips is padded with zeros; a longer one is cut into
    clips half a clip apart, whose probabilities are averaged.
    """
    probabilities = _outputs(bundle, wav).exp().mean(0)
    best = int(probabilities.argmax())
    label, probability = bundle.labels[best], float(probabilities[best])
    return Prediction(
        {"label": label, "probability": probability}, f"{label}\t{probability:.{_DECIMALS}f}"
    )


def tag(bundle: Trained, wav: torch.Tensor) -> Prediction:
    """The probability of every tag, the most probable first; clips as in `classify`."""
    probabilities = _outputs(bundle, wav).sigmoid().mean(0).tolist()
    tags = sorted(zip(bundle.labels, probabilities, strict=True), key=lambda pair: -pair[1])
    text = "\t".join(f"{name} {probability:.{_DECIMALS}f}" for name, probability in tags)
    return Prediction({"tags": dict(tags)}, text)


def _outputs(bundle: Trained, wav: torch.Tensor) -> torch.Tensor:
    """What the head gives for the clips of a recording, (W, C)."""
    if bundle.clip_s and bundle.description.get("window_step_s"):
        return torch.cat([step[:, 0] for step in _steps(bundle, wav)])
    if not (bundle.clip_s and bundle.description.get("masked_padding")):
        return bundle(_clips(bundle, wav))
    size = round(bundle.clip_s * bundle.sample_rate)
    clips, lengths, _ = cut_recordings(wav[None], None, size)
    parts = zip(clips.split(_WINDOWS_AT_ONCE), lengths.split(_WINDOWS_AT_ONCE), strict=True)
    return torch.cat([bundle(*part) for part in parts])


def _clips(bundle: Trained, wav: torch.Tensor) -> torch.Tensor:
    """(T,) -> (B, clip) with half a clip between starts, zeros behind the end."""
    if not bundle.clip_s:
        return wav[None]
    size = round(bundle.clip_s * bundle.sample_rate)
    if len(wav) <= size:
        return pad(wav, (0, size - len(wav)))[None]
    steps = -(-(len(wav) - size) // (size // 2))
    padded = pad(wav, (0, size + steps * (size // 2) - len(wav)))
    return padded.unfold(0, size, size // 2)


def embed(bundle: Trained, wav: torch.Tensor) -> Prediction:
    """The embedding of the whole recording, (D,) in float32."""
    embedding = bundle.embed(wav[None]).reshape(-1).float()
    values = {"size": len(embedding)}
    return Prediction(values, f"embedding of {len(embedding)} values", {"embedding": embedding})


def transcribe(bundle: Trained, wav: torch.Tensor) -> Prediction:
    """The tokens of a recording as they are scored (phones, characters or words), decoded greedily."""
    units = Units.from_state(bundle.description["units"])
    steps = bundle(wav[None])
    check_finite(float(steps.double().sum()))
    (indices,) = GreedyDecoder()(steps, torch.tensor([steps.shape[1]]))
    tokens = units.decode(indices)
    return Prediction({"unit": units.scored_as, "tokens": tokens}, units.text(tokens))


def regress(bundle: Trained, wav: torch.Tensor, curve: bool = False) -> Prediction:
    """The values of a recording on the scale of its labels, means over windows; or their curve.

    Arguments
    ---------
    curve : bool
        Also give the values over time, which takes a bundle of labels over time; the text is then
        CSV with a row per step.

    Raises
    ------
    BundleError
        A curve of a bundle that has none, or a damaged description.
    """
    target = regression_target(bundle)
    over_time = None
    if curve:
        times_s, values = predict_curve(bundle, wav)
        over_time = {"time_s": times_s.tolist()}
        over_time |= dict(zip(bundle.labels, values.T.tolist(), strict=True))
        means = values.mean(0)
    else:
        means = predict_values(bundle, wav)
    scale = dict(bundle.description["scale"])
    values = dict(zip(bundle.labels, means.tolist(), strict=True))
    record = {**values, "scale": scale, "target": target}
    record |= {"duration_s": round(len(wav) / bundle.sample_rate, 3)}
    starts = window_starts(bundle, len(wav))
    record |= {"windows": len(starts), "window_s": bundle.clip_s}
    if over_time is not None:
        return Prediction({**record, "curve": over_time}, _csv(over_time))
    numbers = "\t".join(f"{name} {value:.{_DECIMALS}f}" for name, value in values.items())
    text = f"{numbers}\ton {scale['low']:g} to {scale['high']:g}"
    if len(starts) > 1:
        step_s, last_s = (starts[place] / bundle.sample_rate for place in (1, -1))
        text += (
            f"\tmean of {len(starts)} windows of {bundle.clip_s:g} s, one every {step_s:g} s from 0 s, "
            f"the last from {last_s:.1f} s"
        )
    return Prediction(record, text)


def _csv(curve: dict[str, list[float]]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(curve)
    for time_s, *values in zip(*curve.values(), strict=True):
        table.writerow([f"{time_s:g}", *(f"{value:.{_DECIMALS}f}" for value in values)])
    return text.getvalue().rstrip("\n")


@torch.no_grad()
def predict_values(bundle: Trained, wav: torch.Tensor) -> torch.Tensor:
    """What a regression bundle says of one waveform.

    The waveform is cut into windows of the training clips' length, see `window_starts`; of one that
    is shorter only what is there counts. The mean over windows is returned; of a model of labels
    over time the mean over its curve.

    Shape
    -----
    wav (T,) at `bundle.sample_rate` -> (D,) in float64, in the order of `bundle.labels`

    Raises
    ------
    BundleError
        A bundle that is no regression, or that lacks what one has to tell.
    """
    if regression_target(bundle) == "dynamic":
        return predict_curve(bundle, wav)[1].mean(0)
    # An encoder of frames is averaged over the clip, as in training.
    values = torch.cat([steps.mean(1) for steps in _steps(bundle, wav)])
    return from_unit(values.mean(0), bundle.description["scale"])


@torch.no_grad()
def predict_curve(bundle: Trained, wav: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Values over time, of a bundle that learned labels over time (`target` "dynamic").

    Windows as in `predict_values`; where they overlap, values are averaged. An end of less than
    half a step has no value of its own.

    Shape
    -----
    wav (T,) -> times (N,) in s, each the beginning of the `LABEL_STEP_S` that a value is for;
    values (N, D) in float64

    Raises
    ------
    BundleError
        As `predict_values`; a bundle that learned one label per song.
    """
    if (target := regression_target(bundle)) != "dynamic":
        raise BundleError(
            f"this bundle learned {target} labels, one per song: it gives no curve over time"
        )
    rate = bundle.sample_rate
    starts = window_starts(bundle, len(wav))
    window = min(len(wav), _window_samples(bundle))
    shares = max(1, round(window / rate / LABEL_STEP_S))
    values = torch.cat([adaptive_avg_pool1d(steps.mT, shares).mT for steps in _steps(bundle, wav)])
    starts = torch.tensor(starts).double() / rate / LABEL_STEP_S
    # Half way between two times means the earlier, for every share of a window alike.
    place = (starts + 0.5 - 1e-6).floor().long()[:, None] + torch.arange(shares)
    count = math.ceil(len(wav) / rate / LABEL_STEP_S - 1e-6)
    count = max(1, min(count, int(place.max()) + 1))
    place, values = place.flatten(), values.flatten(0, 1)
    in_range = place < count
    place, values = place[in_range], values[in_range]
    total = values.new_zeros(count, values.shape[1]).index_add_(0, place, values)
    mean = total / torch.bincount(place, minlength=count)[:, None]
    times_s = LABEL_STEP_S * torch.arange(count).double()
    return times_s, from_unit(mean, bundle.description["scale"])


def regression_target(bundle: Trained) -> str:
    """ "static" or "dynamic": what kind of labels a regression bundle learned.

    Raises
    ------
    BundleError
        A bundle that is no regression, or that lacks what one has to tell.
    """
    description = bundle.description
    if (head := description["head"]["name"]) != "regression":
        raise BundleError(
            f"this bundle was trained for {description.get('task')} with the head {head!r}: values such "
            "as valence and arousal come from the head 'regression'"
        )
    scale, target = description.get("scale"), description.get("target")
    ends = [scale.get(end) for end in ("low", "high")] if isinstance(scale, dict) else [None]
    if not all(isinstance(end, (int, float)) for end in ends) or not ends[0] < ends[-1]:
        raise BundleError(f"the bundle is damaged: its scale is {scale!r}, not low and high")
    if target not in ("static", "dynamic"):
        raise BundleError(f"the bundle is damaged: its target is {target!r}, not static or dynamic")
    if target == "dynamic" and bundle.embedding_model.output != "frames":
        raise BundleError(
            "the bundle is damaged: labels over time need an encoder of frames, and "
            f"{description['encoder']['name']} gives one embedding per clip"
        )
    return target


def window_starts(bundle: Trained, num_samples: int) -> list[int]:
    """First samples of the windows of a waveform: half a window apart, the last ends with it.

    One window, the waveform itself, where it is no longer than the clips of training. A bundle with
    `window_step_s` has them so far apart, and leaves out what is behind the last whole one; one with
    `window_margin_s` hears so much silence before the waveform, where the first begins, and behind.
    """
    window = _window_samples(bundle)
    num_samples += 2 * _margin_samples(bundle)
    if num_samples <= window:
        return [0]
    if step_s := bundle.description.get("window_step_s"):
        step = max(1, round(step_s * bundle.sample_rate))
        return [*range(0, num_samples - window + 1, step)]
    return [*range(0, num_samples - window, window // 2), num_samples - window]


def _window_samples(bundle: Trained) -> float:
    return round(bundle.clip_s * bundle.sample_rate) if bundle.clip_s else math.inf


def _margin_samples(bundle: Trained) -> int:
    return round((bundle.description.get("window_margin_s") or 0) * bundle.sample_rate)


def _steps(bundle: Trained, wav: torch.Tensor) -> Iterator[torch.Tensor]:
    """(windows, N', D) in float64, from -1 to 1 by convention; some windows at a time."""
    window = _window_samples(bundle)
    starts, margin = window_starts(bundle, len(wav)), _margin_samples(bundle)
    wav = pad(wav, (margin, margin))
    if len(wav) < window < math.inf and bundle.embedding_model.output == "utterance":
        # Some nets take clips of one length only; what is padded does not count.
        clip = pad(wav, (0, window - len(wav)))[None]
        yield bundle.steps(clip, torch.tensor([len(wav) / window])).double()
        return
    window = min(len(wav), window)
    for first in range(0, len(starts), _WINDOWS_AT_ONCE):
        batch = starts[first : first + _WINDOWS_AT_ONCE]
        clips = torch.stack([wav[start : start + window] for start in batch])
        yield bundle.steps(clips).double()
