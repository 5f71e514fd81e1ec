"""`auricle attention`: where in a recording a patch transformer looks."""

from pathlib import Path
from typing import Literal

from ..reports.printing import show
from ..training.command_line import UsageError


def run(
    bundle: str,
    file: str,
    /,
    *,
    out: str,
    start: float | None = None,
    heads: Literal["mean", "max", "min"] = "mean",
    discard: float = 0.0,
    json: bool = False,
) -> None:
    """Draw where in a recording a patch transformer (vit, ast) looks: attention rollout over its
    spectrogram, in s and Hz.

    Arguments
    ---------
    bundle : BUNDLE
        A run's <output_folder>/bundle.
    file : FILE
        The recording.
    out : FILE.png
        The picture.
    start : S
        Where the clip begins, in s. Default: where the training's window began, or 0 where the
        recording ends before. It is as long as the training clips.
    heads
        How heads are joined.
    discard : SHARE
        Share of each layer's smallest weights that is left out. Default: 0.
    json
        Print JSON.
    """
    if Path(out).suffix.lower() != ".png":
        raise UsageError(f"--out {out}: the picture is a .png file")
    from ...lobes import bundles
    from ..inference.attention import attention_of_file, draw

    model = bundles.load(bundle)
    attention = attention_of_file(model, file, start, heads, discard)
    begin, top = attention.start_s, attention.strongest
    title = f"{model.description['encoder']['name']}: {Path(file).name}, from {begin:g} s"
    picture = draw(attention, out, title)
    rows, columns = attention.rollout.shape
    record = {"file": file, "start_s": begin, "patches": [rows, columns]}
    record |= {"rollout": attention.rollout.tolist(), "strongest": top, "picture": str(picture)}
    lines = [
        f"{file}: {rows} by {columns} patches from {begin:g} s; the strongest is "
        f"{top['start_s']:.2f} to {top['end_s']:.2f} s, {top['low_hz']:.0f} to "
        f"{top['high_hz']:.0f} Hz, {top['times_even']:.1f} times the mean",
        f"Picture: {picture}",
    ]
    show(record, lines, json, indent=None)
