"""What an exported file says of itself: the model it is of, its output and the lengths it takes."""

import json

from ...processing.system.files import parse_json
from ...processing.system.rules import is_whole, number, one_of, or_null, whole, wrong_values
from ..bundles.description import MAX_BYTES, BundleError, problems
from .form import OUTPUTS

#: Key of the record in a file's metadata.
KEY = "auricle"
VERSION = 1
FORMATS = ("onnx", "torchscript", "pt2")

_RULES = {
    "export": (lambda value: value == VERSION, f"{VERSION}, which this auricle reads"),
    "format": one_of(FORMATS),
    "output": one_of(OUTPUTS),
    "encoder_output": one_of(("utterance", "frames")),
    "window": whole(1),
    "shortest_samples": whole(1),
    "longest_samples": or_null((lambda value: is_whole(value, 1), "a whole number of samples")),
    "int8": (lambda value: isinstance(value, bool), "true or false"),
    "deviation": number(0, 1e6),
    "description": (lambda value: isinstance(value, dict), "the description of a bundle"),
    "calibration": or_null((lambda value: isinstance(value, dict), "a calibration")),
}


class ExportError(ValueError):
    """A model that cannot be exported, or a file that does not give what the model gives."""


def metadata(record: dict) -> dict[str, str]:
    """The entries of a file's metadata: the record, and what other programs look for by itself."""
    description, calibration = record["description"], record["calibration"] or {}
    plain = {
        "task": description.get("task", "classification"),
        "sample_rate": description["sample_rate"],
        "labels": description["labels"],
        "clip_s": description["clip_s"],
        "output": record["output"],
        "threshold": calibration.get("threshold"),
        KEY: record,
    }
    return {
        name: value if isinstance(value, str) else json.dumps(value, allow_nan=False)
        for name, value in plain.items()
        if value is not None
    }


def read_record(text: str | bytes | None, owner: str) -> dict:
    """The record of a file, checked.

    Raises
    ------
    BundleError
        A file without one, or one with an entry that lacks, or of another type or out of range.
    """
    if text is None:
        raise BundleError(f"{owner} was not exported by auricle: it does not say what it is of")
    try:
        data = text.encode() if isinstance(text, str) else text
        record = parse_json(data, owner, MAX_BYTES)
    except ValueError as error:
        raise BundleError(f"{owner} is damaged: {error}") from None
    if not isinstance(record, dict) or (missing := [name for name in _RULES if name not in record]):
        lacks = ", ".join(missing) if isinstance(record, dict) else "an object of JSON"
        raise BundleError(f"{owner} is damaged: what it says of itself lacks {lacks}")
    wrong = wrong_values(record, _RULES, "{name} must be {what}, got {value!r:.80}")
    wrong = wrong or problems(record["description"])
    if wrong:
        raise BundleError(f"{owner} is damaged:\n  " + "\n  ".join(wrong[:10]))
    return record
