"""Predictions of a bundle for one recording: a label, values, tokens, or an embedding."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import torch
from torch import nn

from ...processing.transcription.ctc_decoding import GreedyDecoder
from ...processing.transcription.units import Units
from ..tasks import Prediction
from .predicted_values import predict_curve, predict_values, regression_target, window_starts

if TYPE_CHECKING:
    from .bundle import Bundle

_DECIMALS = 3


def classify(bundle: Bundle, wav: torch.Tensor) -> Prediction:
    """The most probable label and its probability.

    A recording shorter than the training clips is padded with zeros; a longer one is cut into
    clips half a clip apart, whose probabilities are averaged.
    """
    probabilities = bundle(_clips(bundle, wav)).exp().mean(0)
    best = int(probabilities.argmax())
    label, probability = bundle.labels[best], float(probabilities[best])
    return Prediction(
        {"label": label, "probability": probability}, f"{label}\t{probability:.{_DECIMALS}f}"
    )


def _clips(bundle: Bundle, wav: torch.Tensor) -> torch.Tensor:
    """(T,) -> (B, clip) with half a clip between starts, zeros behind the end."""
    if not bundle.clip_s:
        return wav[None]
    size = round(bundle.clip_s * bundle.sample_rate)
    if len(wav) <= size:
        return nn.functional.pad(wav, (0, size - len(wav)))[None]
    steps = -(-(len(wav) - size) // (size // 2))
    padded = nn.functional.pad(wav, (0, size + steps * (size // 2) - len(wav)))
    return padded.unfold(0, size, size // 2)


def embed(bundle: Bundle, wav: torch.Tensor) -> Prediction:
    """The embedding of the whole recording, (D,) in float32."""
    embedding = bundle.embed(wav[None]).reshape(-1).float()
    values = {"size": len(embedding)}
    return Prediction(values, f"embedding of {len(embedding)} values", {"embedding": embedding})


def transcribe(bundle: Bundle, wav: torch.Tensor) -> Prediction:
    """The tokens of a recording as they are scored (phones, characters or words), decoded greedily."""
    units = Units.from_state(bundle.description["units"])
    steps = bundle(wav[None])
    (indices,) = GreedyDecoder()(steps, torch.tensor([steps.shape[1]]))
    tokens = units.decode(indices)
    return Prediction({"unit": units.scored_as, "tokens": tokens}, units.text(tokens))


def regress(bundle: Bundle, wav: torch.Tensor, curve: bool = False) -> Prediction:
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
    record |= {"windows": len(window_starts(bundle, len(wav))), "window_s": bundle.clip_s}
    if over_time is not None:
        return Prediction({**record, "curve": over_time}, _csv(over_time))
    numbers = "\t".join(f"{name} {value:.{_DECIMALS}f}" for name, value in values.items())
    return Prediction(record, f"{numbers}\ton {scale['low']:g} to {scale['high']:g}")


def _csv(curve: dict[str, list[float]]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(curve)
    for time_s, *values in zip(*curve.values(), strict=True):
        table.writerow([f"{time_s:g}", *(f"{value:.{_DECIMALS}f}" for value in values)])
    return text.getvalue().rstrip("\n")
