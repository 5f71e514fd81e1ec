"""Check of `bundle.json`: every entry has a type and a range, and none names a file."""

import math

from ...processing.system.rules import (
    is_number,
    is_whole,
    number,
    or_null,
    wrong_values,
)
from ...processing.system.terminal import printable

FORMAT = 1
MAX_BYTES = 2**23

#: Of a description that names none, as those from before there were other heads.
UNNAMED_HEAD = {"name": "classifier", "options": {}}

_MAX_RATE_HZ, _MAX_CLIP_S, _MAX_LENGTH, _MAX_ERROR = 768_000, 3600, 1000, 2000
#: Beyond it JSON and float64 do not hold every whole number.
_MAX_WHOLE = 2**53
#: Options that name a file or a folder, alone or behind another word ("teacher_path").
_FILES = ("path", "file", "folder", "directory", "dir", "checkpoint", "url")


class BundleError(ValueError):
    """A folder that is not a bundle, or one that does not fit what is asked of it."""

    def __init__(self, text: str):
        # What it quotes is of the bundle, and may be of any length.
        super().__init__(printable(text[:_MAX_ERROR], lines=True))


def _is_text(value) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_LENGTH and printable(value) == value


def _is_part(value) -> bool:
    return (
        isinstance(value, dict)
        and _is_text(value.get("name"))
        and isinstance(value.get("options"), dict)
    )


def _is_encoder(value) -> bool:
    fits = _is_part(value) and "in_frames" in value
    return fits and (value["in_frames"] is None or is_whole(value["in_frames"], 1))


_TEXT = (_is_text, f"text of at most {_MAX_LENGTH} characters and no control character")
_PART = (_is_part, "a name and options")
_NEEDED = {
    "sample_rate": (
        lambda value: is_whole(value, 1) and value <= _MAX_RATE_HZ,
        f"a whole number of Hz from 1 to {_MAX_RATE_HZ}",
    ),
    "clip_s": or_null(
        (
            lambda value: is_number(value, 0, _MAX_CLIP_S) and value > 0,
            f"s up to {_MAX_CLIP_S}",
        )
    ),
    "labels": (
        lambda value: isinstance(value, list) and all(map(_is_text, value)),
        f"a list of texts of at most {_MAX_LENGTH} characters and no control character",
    ),
    "normalization": _TEXT,
    "frontend": _PART,
    "encoder": (_is_encoder, "a name, options, and in_frames: a whole number or null"),
    "head": _PART,
}
_OTHER = {
    "task": _TEXT,
    "window_step_s": or_null(
        (
            lambda value: is_number(value, 0, _MAX_CLIP_S) and value >= 1e-3,
            f"s from 0.001 to {_MAX_CLIP_S}",
        )
    ),
    "window_margin_s": or_null(number(0, 1, "s from 0 to 1")),
    "margin_scale": or_null(number(0, 1e6, "a number from 0 to 1e6")),
    "weights_sha256": (
        lambda value: isinstance(value, str) and len(value) == 64,
        "a SHA-256 of 64 digits",
    ),
}


def problems(description) -> list[str]:
    """What is wrong with a description, as lines of text; all at once.

    Example
    -------
    >>> problems([1])
    ['it is no object of JSON']
    """
    if not isinstance(description, dict):
        return ["it is no object of JSON"]
    if missing := [name for name in _NEEDED if name not in description]:
        return [f"it lacks {', '.join(missing)}"]
    text = "{name} must be {what}, got {value!r:.80}"
    wrong = wrong_values(description, {**_NEEDED, **_OTHER}, text)
    if wrong:
        return wrong
    clip_s = description["clip_s"]
    if clip_s is not None and clip_s * description["sample_rate"] < 2:
        wrong.append(f"clip_s must be two samples or more, got {clip_s}")
    for part in ("frontend", "encoder", "head"):
        wrong += _option_problems(f"{part}.options", description[part]["options"])
    return wrong


def _option_problems(where: str, value) -> list[str]:
    if isinstance(value, dict):
        wrong = []
        for key, inner in value.items():
            place = f"{where}.{key:.80}"
            if not _is_text(key):
                wrong.append(f"{place}: no name of an option")
            elif inner is not None and key.rpartition("_")[2] in _FILES:
                wrong.append(f"{place}: a bundle reads no file but its own; leave it out")
            else:
                wrong += _option_problems(place, inner)
        return wrong
    if isinstance(value, list):
        return [line for inner in value for line in _option_problems(where, inner)]
    if value is None or isinstance(value, bool):
        return []
    if isinstance(value, str):
        fits = _is_text(value) and not {"/", "\\"} & {*value}
        what = "text that is no path"
    else:
        fits = is_number(value, -_MAX_WHOLE, _MAX_WHOLE) and math.isfinite(value)
        what = "a number of at most 16 digits"
    return [] if fits else [f"{where} must be {what}, got {value!r:.80}"]
