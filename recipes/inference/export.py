"""Export of bundles (`auricle export`): the file, its check, and its score in 8 bits."""

import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...lobes.bundles.bundle import WEIGHTS, Bundle, load
from ...lobes.bundles.trained import Trained
from ...lobes.export import OnnxModel
from ...lobes.export.export import FORMAT_OF, check_target, exported_bytes, write
from ...lobes.export.quantization import inputs_of
from ...lobes.export.record import ExportError
from ...processing.system.files import file_digest
from .calibration_files import FILE, read_calibration
from .evaluation import scored

#: Recordings that are heard to find the ranges of activations.
MOST_CALIBRATION = 100


def format_of(path: str | os.PathLike, format: str | None) -> str:
    """The format that is asked for, else that of the file's suffix.

    Raises
    ------
    ExportError
        A suffix of another format, or of none.
    """
    suffix = Path(path).suffix
    of_suffix = FORMAT_OF.get(suffix)
    if of_suffix is None or format not in (None, of_suffix):
        fitting = [end for end, one in FORMAT_OF.items() if format in (None, one)]
        raise ExportError(f"{path}: the file ends in {' or '.join(fitting)}, got {suffix!r}")
    return of_suffix


@dataclass(frozen=True)
class Int8:
    """How a model is rounded to 8 bits.

    Attributes
    ----------
    calibration : labelled recordings, whose activations set the ranges.
    check : labelled recordings, on which the task is scored before and after.
    max_loss : the most that the headline score may lose.
    find : from a source of labelled recordings and a model to what `scored` takes.
    """

    calibration: str
    check: str
    max_loss: float
    find: Callable[[str, Trained], Any]


def export(
    folder: str | os.PathLike,
    path: str | os.PathLike,
    format: str,
    output: str | None = None,
    int8: Int8 | None = None,
) -> dict:
    """Export a bundle to a file that was seen to give what it gives; returns the file's record.

    Arguments
    ---------
    folder : of the bundle.
    path : of the file; an earlier export there is replaced.
    format : one of `FORMAT_OF`.
    output : as `ExportedModel`; None: what the bundle's task reads.
    int8 : how an ONNX file is rounded to 8 bits; None: it is not.

    Raises
    ------
    BundleError, ExportError
        What cannot be opened, exported or replaced; a loss of more than `int8.max_loss`.
    """
    check_target(path)
    bundle = open_bundle(folder)
    output, batches = output or bundle.task.reads, None
    if int8 is not None:
        if output != bundle.task.reads:
            raise ExportError(
                f"in 8 bits the task is scored, which reads {bundle.task.reads}, not {output}"
            )
        heard, checked = (int8.find(data, bundle) for data in (int8.calibration, int8.check))
        _, batches = _score(bundle, heard, MOST_CALIBRATION)
    data, record = exported_bytes(bundle, format, output, _calibration(folder), batches)
    record = {**record, "bytes": len(data)}
    if int8 is not None:
        before, _ = _score(bundle, checked)
        after, _ = _score(OnnxModel(data, str(path)), checked)
        loss = before - after if bundle.task.higher_is_better else after - before
        record["checked"] = {"score": bundle.task.headline, "before": before, "after": after}
        if not loss <= int8.max_loss:
            raise ExportError(
                f"in 8 bits {bundle.task.headline} goes from {before:.4f} to {after:.4f} on "
                f"{int8.check}, and {int8.max_loss:g} may be lost: nothing is written. Calibrate on "
                "recordings that are more like those, or allow more (--max-loss)"
            )
    write(path, data)
    return record


def _score(model: Trained, labelled, most: int | None = None) -> tuple[float, list]:
    """The headline score on some or all labelled recordings, and what a bundle was run on."""
    if most is not None:
        labelled.rows[:] = labelled.rows[:: -(-len(labelled.rows) // most)]
    with inputs_of(model) if isinstance(model, Bundle) else nullcontext() as batches:
        summary = scored(model, labelled)[0]["scores"]
    names = (model.task.headline, "per", "cer", "wer")  # by the units of a transcript
    return next(float(summary[name]) for name in names if name in summary), batches


def open_bundle(folder: str | os.PathLike) -> Bundle:
    """A bundle that knows the digest of its weights, which those of earlier versions do not say."""
    bundle = load(folder)
    bundle.description.setdefault("weights_sha256", file_digest(Path(folder) / WEIGHTS))
    return bundle


def _calibration(folder: str | os.PathLike) -> dict | None:
    return read_calibration(folder).to_dict() if (Path(folder) / FILE).exists() else None
