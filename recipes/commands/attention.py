"""`auricle attention`: its options; the work is in `auricle.recipes.inference.attention`."""

from __future__ import annotations

import json
from pathlib import Path

from .common import add_command

__all__ = ["add_parser", "run"]


def add_parser(commands) -> None:
    """Add the command."""
    attention = add_command(
        commands,
        "attention",
        run,
        "draw where in a recording a patch transformer (vit, ast) looks: attention rollout over "
        "its spectrogram, in s and Hz",
    )
    attention.add_argument("bundle", metavar="BUNDLE", help="a run's <output_folder>/bundle")
    attention.add_argument("file", metavar="FILE", help="the recording")
    attention.add_argument("--out", required=True, metavar="FILE.png", help="the picture")
    attention.add_argument(
        "--start",
        type=float,
        metavar="S",
        help="where the clip begins, in s; default: where the training's window began, or 0 where "
        "the recording ends before. It is as long as the training clips",
    )
    attention.add_argument(
        "--heads", choices=["mean", "max", "min"], default="mean", help="how heads are joined"
    )
    attention.add_argument(
        "--discard",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of each layer's smallest weights that is left out; default: 0",
    )
    attention.add_argument("--json", action="store_true", help="print JSON")


def run(arguments) -> int:
    """Save the picture and print where the strongest patch lies."""
    if Path(arguments.out).suffix.lower() != ".png":
        arguments.usage_error(f"--out {arguments.out}: the picture is a .png file")
    from ...lobes.bundles import bundle as pretrained
    from ..inference.attention import attention_of_file, draw

    bundle = pretrained.load(arguments.bundle)
    found = attention_of_file(
        bundle, arguments.file, arguments.start, arguments.heads, arguments.discard
    )
    encoder = bundle.description["encoder"]["name"]
    title = f"{encoder}: {Path(arguments.file).name}, from {found.start_s:g} s"
    picture = draw(found, arguments.out, title)
    rows, columns = found.rollout.shape
    top = found.strongest
    if arguments.json:
        record = {"file": arguments.file, "start_s": found.start_s, "patches": [rows, columns]}
        record |= {"rollout": found.rollout.tolist(), "strongest": top, "picture": str(picture)}
        print(json.dumps(record, allow_nan=False))
        return 0
    print(
        f"{arguments.file}: {rows} by {columns} patches from {found.start_s:g} s; the strongest is "
        f"{top['start_s']:.2f} to {top['end_s']:.2f} s, {top['low_hz']:.0f} to "
        f"{top['high_hz']:.0f} Hz, {top['times_even']:.1f} times the mean"
    )
    print(f"Picture: {picture}")
    return 0
