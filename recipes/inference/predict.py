"""`auricle predict` for bundles of music emotion: valence and arousal of songs, on their scale."""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import dataclass

import torch
import torchaudio

from ...lobes.bundles.bundle import Bundle
from ...lobes.bundles.predicted_values import (
    predict_curve,
    predict_values,
    regression_target,
    window_starts,
)
from ...processing.data.audio import AudioError, probe_audio
from ..music_emotion.mpeg import read_song

__all__ = ["TASK", "SongEmotion", "emotion_of_song", "read_song_at", "written"]

TASK = "music_emotion"
_DECIMALS = 3


@dataclass(frozen=True)
class SongEmotion:
    """What a bundle says of one song.

    Attributes
    ----------
    file : the song
    values : {"valence": ..., "arousal": ...}, on `scale`: means over windows
    scale : {"low", "high"}
    target : "static", learned from labels per song, or "dynamic", from labels over time
    duration_s : of the song
    windows : how many it was cut into; `window_s` long, half of that between starts, the last at
        the song's end
    curve : {"time_s": [...], "valence": [...], ...} or None
    """

    file: str
    values: dict[str, float]
    scale: dict[str, float]
    target: str
    duration_s: float
    windows: int
    window_s: float | None
    curve: dict[str, list[float]] | None = None


def read_song_at(path: str | os.PathLike, sample_rate: int) -> torch.Tensor:
    """A whole song as a mono waveform (T,) at `sample_rate` Hz, of any rate and channels.

    Raises
    ------
    AudioError
        A file that cannot be read, or that holds no samples.
    """
    rate = probe_audio(path).sample_rate_hz
    wav = read_song(path)
    if not len(wav) or not torch.isfinite(wav).all():
        problem = "holds NaN or infinite samples" if len(wav) else "holds no samples"
        raise AudioError(
            path, problem, "restore or remove the file", "nan" if len(wav) else "empty"
        )
    return torchaudio.functional.resample(wav, rate, sample_rate)


def emotion_of_song(bundle: Bundle, path: str | os.PathLike, curve: bool = False) -> SongEmotion:
    """Valence and arousal of one song by a regression bundle.

    Arguments
    ---------
    bundle : of task `TASK`
    path : the song
    curve : also give the values over time, which takes a bundle of labels over time.

    Raises
    ------
    ValueError
        A file that cannot be read, a bundle that is no regression, a curve of one that has none.
    """
    target = regression_target(bundle)
    wav = read_song_at(path, bundle.sample_rate)
    over_time = None
    if curve:
        times_s, values = predict_curve(bundle, wav)
        over_time = {"time_s": times_s.tolist()}
        over_time |= dict(zip(bundle.labels, values.T.tolist(), strict=True))
        mean = values.mean(0)
    else:
        mean = predict_values(bundle, wav)
    return SongEmotion(
        str(path),
        dict(zip(bundle.labels, mean.tolist(), strict=True)),
        dict(bundle.description["scale"]),
        target,
        len(wav) / bundle.sample_rate,
        len(window_starts(bundle, len(wav))),
        bundle.clip_s,
        over_time,
    )


def written(found: SongEmotion, as_json: bool = False) -> str:
    """A song as one line of text, as one JSON object, or its curve as CSV with a header."""
    if as_json:
        record = {"file": found.file, **found.values, "scale": found.scale, "target": found.target}
        record |= {"duration_s": round(found.duration_s, 3), "windows": found.windows}
        record["window_s"] = found.window_s
        if found.curve is not None:
            record["curve"] = found.curve
        return json.dumps(record, ensure_ascii=False, allow_nan=False)
    if found.curve is None:
        numbers = "\t".join(f"{name} {value:.{_DECIMALS}f}" for name, value in found.values.items())
        return f"{found.file}\t{numbers}\ton {found.scale['low']:g} to {found.scale['high']:g}"
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(found.curve)
    for time_s, *values in zip(*found.curve.values(), strict=True):
        table.writerow([f"{time_s:g}", *(f"{value:.{_DECIMALS}f}" for value in values)])
    return text.getvalue().rstrip("\n")
