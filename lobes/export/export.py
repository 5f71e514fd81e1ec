"""Export a bundle: record it, write it, and keep the file only where it gives what the model gives."""

import functools
import os
from collections.abc import Iterable
from pathlib import Path

import torch

from ...processing.system.files import replacing
from ...processing.system.version import __version__
from ..bundles.bundle import Bundle
from ..bundles.description import BundleError
from .agreement import check, longest_samples
from .form import ExportedModel
from .onnx_file import OPSET, onnx_bytes, onnx_model
from .quantization import rounded
from .record import VERSION, ExportError, metadata
from .recording import recorded
from .runtime import OnnxModel
from .torch_files import loaded, record_text, torch_bytes, traced

#: Format of a file by its suffix.
FORMAT_OF = {".onnx": "onnx", ".ts": "torchscript", ".pt": "torchscript", ".pt2": "pt2"}


def exported_bytes(
    bundle: Bundle,
    format: str,
    output: str,
    calibration: dict | None = None,
    batches: Iterable | None = None,
) -> tuple[bytes, dict]:
    """A bundle as the bytes of one file that was seen to agree with it, and the file's record.

    Arguments
    ---------
    bundle : in evaluation mode.
    format : "onnx", "torchscript" or "pt2".
    output : "scores", "embedding" or "frames", see `ExportedModel`.
    calibration : what turns its scores into probabilities, to be kept in the file.
    batches : (wavs, lengths) on which an ONNX file that agrees is then rounded to 8 bits; None: it
        is not.

    Raises
    ------
    ExportError
        A model that cannot be recorded or written, or a file that does not agree with it, see
        `agreement.check`.
    """
    about = bundle.description
    name = f"{about['frontend']['name']} + {about['encoder']['name']} as {format}"
    clip = round((bundle.clip_s or 1.0) * bundle.sample_rate)
    record = {
        "export": VERSION,
        "auricle": __version__,
        "format": format,
        "opset": OPSET if format == "onnx" else None,
        "output": output,
        "encoder_output": bundle.embedding_model.output,
        "window": bundle.compute_features.window,
        "shortest_samples": 1,
        "longest_samples": longest_samples(bundle),
        "int8": False,
        "deviation": 0.0,
        "description": about,
        "calibration": calibration,
    }
    try:
        model = ExportedModel(bundle, output)
        example = torch.randn(2, clip), torch.tensor([1.0, 0.7])
        graph = functools.partial(recorded, model, *example, record["longest_samples"])
        if format == "onnx":
            program = onnx_model(graph(), output)
            encode, run_of = onnx_bytes, lambda data: OnnxModel(data, name).run
        else:
            program = traced(model, clip) if format == "torchscript" else graph()
            encode, run_of = torch_bytes, functools.partial(loaded, format=format)
        record |= check(run_of(encode(program, metadata(record))), bundle, output)
        if batches is not None:
            # Scores in 8 bits are others, and need a calibration of their own.
            record |= {"int8": True, "calibration": None}
            program = rounded(program, batches)
        return encode(program, metadata(record)), record
    except (ExportError, BundleError) as error:
        raise ExportError(f"{name} is not exported: {error}") from None


def is_export(path: str | os.PathLike) -> bool:
    """Whether a file was exported by auricle, told by what it says of itself."""
    path = Path(path)
    if path.suffix != ".onnx":
        return record_text(path) is not None
    try:
        OnnxModel.load(path)
    except BundleError:
        return False
    return True


def check_target(path: str | os.PathLike) -> None:
    """Refuse to replace what is no export.

    Raises
    ------
    ExportError
    """
    path = Path(path)
    if path.is_symlink() or (path.exists() and not (path.is_file() and is_export(path))):
        raise ExportError(f"{path} is there and was not exported by auricle: give another name")
    if not path.parent.is_dir():
        raise ExportError(f"{path.parent} is no folder: make it first")


def write(path: str | os.PathLike, data: bytes) -> Path:
    """Write a file whole or not at all, in the place of an earlier export only."""
    check_target(path)
    with replacing(path) as part:
        part.write_bytes(data)
    return Path(path)
