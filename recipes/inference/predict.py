"""`auricle predict`: what a bundle of any task answers for audio files."""

import dataclasses
import json
import math
import os
from pathlib import Path

import numpy as np
import torch

from ...lobes.bundles.bundle import Bundle
from ...lobes.tasks import Prediction
from ...processing.data.audio import read_audio
from ...processing.system.files import replacing
from ...processing.system.tables import to_number

#: A file may end this much before the part that is asked for, as in the preparation of songs.
_SHORT_S = 0.5


def read_recording(path: str | os.PathLike, sample_rate: int) -> torch.Tensor:
    """A whole file as a mono waveform (T,) at `sample_rate` Hz, of any rate and channels.

    Raises
    ------
    AudioError
        A file that cannot be read, or that holds no samples.
    """
    return read_audio(path, sample_rate, resample="convert", channels="mix")


def window_of(bundle: Bundle, words: str) -> tuple[float, float]:
    """The part of a file that is asked for: "START,END" in s, or "test", what the test heard.

    Raises
    ------
    ValueError
        Words that are neither; a bundle that does not say what its test heard.
    """
    if words == "test":
        window_s = bundle.description.get("window_s")
        if not window_s:
            raise ValueError("the bundle does not say what part its test heard: --window START,END")
        return tuple(window_s)
    try:
        start_s, end_s = (to_number(word.strip()) for word in words.split(","))
    except ValueError:
        start_s = end_s = math.nan
    if not 0 <= start_s < end_s < math.inf:
        raise ValueError(f"--window {words}: give START,END in s, such as 15,45, or test")
    return start_s, end_s


def predict_file(
    bundle: Bundle,
    path: str | os.PathLike,
    window_s: tuple[float, float] | None = None,
    **options,
) -> Prediction:
    """What a bundle answers for one file, of any rate, channels and length, or for a part of it.

    Raises
    ------
    ValueError
        A file that cannot be read or answered for, or that ends before the part does; it is named.
    """
    wav = read_recording(path, bundle.sample_rate)
    if window_s is not None:
        start_s, end_s = window_s
        lasts_s = len(wav) / bundle.sample_rate
        if end_s - lasts_s > _SHORT_S:
            raise ValueError(
                f"{path}: lasts {lasts_s:.2f} s, less than the window from {start_s:g} to {end_s:g} "
                "s: give an earlier --window START,END, or leave it out"
            )
        wav = wav[round(start_s * bundle.sample_rate) : round(end_s * bundle.sample_rate)]
    if not bundle.compute_features.num_frames(len(wav)):
        raise ValueError(
            f"{path}: lasts {1000 * len(wav) / bundle.sample_rate:.1f} ms, too short for one frame "
            "of the model"
        )
    prediction = bundle.predict(wav, **options)
    if window_s is None:
        return prediction
    return dataclasses.replace(
        prediction,
        values={**prediction.values, "heard_s": list(window_s)},
        text=f"{prediction.text}\theard from {start_s:g} to {end_s:g} s",
    )


def keep_arrays(prediction: Prediction, path: str | os.PathLike, folder: Path) -> Prediction:
    """Write the arrays of a prediction into a folder as `<file's stem>.npy`, and name them in it.

    Raises
    ------
    ValueError
        There is such a file already: it is not overwritten.
    """
    values, texts = dict(prediction.values), []
    for name, array in prediction.arrays.items():
        target = folder / f"{Path(path).stem}.npy"
        if target.exists():
            raise ValueError(f"{path}: {target} is there already: give another folder with --out")
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(target) as part, open(part, "wb") as file:
            np.save(file, torch.as_tensor(array).numpy())
        values[f"{name}_file"] = str(target)
        texts.append(str(target))
    return dataclasses.replace(prediction, values=values, text="\t".join([*texts, prediction.text]))


def written(prediction: Prediction, path: str | os.PathLike, as_json: bool = False) -> str:
    """A prediction as one line with the file before it, as a JSON object, or as a table."""
    if as_json:
        record = {"file": str(path), **prediction.values}
        return json.dumps(record, ensure_ascii=False, allow_nan=False)
    return prediction.text if "\n" in prediction.text else f"{path}\t{prediction.text}"
