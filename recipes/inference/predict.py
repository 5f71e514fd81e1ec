"""`auricle predict`: what a bundle of any task answers for audio files."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import torch

from ...lobes.bundles.bundle import Bundle
from ...lobes.tasks import Prediction
from ...processing.data.audio import read_audio
from ...processing.system.files import replacing


def read_recording(path: str | os.PathLike, sample_rate: int) -> torch.Tensor:
    """A whole file as a mono waveform (T,) at `sample_rate` Hz, of any rate and channels.

    Raises
    ------
    AudioError
        A file that cannot be read, or that holds no samples.
    """
    return read_audio(path, sample_rate, resample="convert", channels="mix")


def predict_file(bundle: Bundle, path: str | os.PathLike, **options) -> Prediction:
    """What a bundle answers for one file, of any rate, channels and length.

    Raises
    ------
    ValueError
        A file that cannot be read or answered for; it is named.
    """
    wav = read_recording(path, bundle.sample_rate)
    if not bundle.compute_features.num_frames(len(wav)):
        raise ValueError(
            f"{path}: lasts {1000 * len(wav) / bundle.sample_rate:.1f} ms, too short for one frame "
            "of the model"
        )
    return bundle.predict(wav, **options)


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
