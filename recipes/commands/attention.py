"""Parser of `auricle attention`: where in a recording a patch transformer looks."""

from __future__ import annotations

from pathlib import Path

from .common import add_command, add_shared

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
    add_shared(attention, "json")


def run(arguments) -> int:
    """Save the picture and print where the strongest patch lies."""
    if Path(arguments.out).suffix.lower() != ".png":
        arguments.usage_error(f"--out {arguments.out}: the picture is a .png file")
    from ...lobes.bundles import bundle as pretrained
    from ..inference.attention import attention_of_file, draw
    from ..reports.printing import show

    bundle = pretrained.load(arguments.bundle)
    attention = attention_of_file(
        bundle, arguments.file, arguments.start, arguments.heads, arguments.discard
    )
    encoder = bundle.description["encoder"]["name"]
    title = f"{encoder}: {Path(arguments.file).name}, from {attention.start_s:g} s"
    picture = draw(attention, arguments.out, title)
    rows, columns = attention.rollout.shape
    top = attention.strongest
    record = {"file": arguments.file, "start_s": attention.start_s, "patches": [rows, columns]}
    record |= {"rollout": attention.rollout.tolist(), "strongest": top, "picture": str(picture)}
    lines = [
        f"{arguments.file}: {rows} by {columns} patches from {attention.start_s:g} s; the strongest is "
        f"{top['start_s']:.2f} to {top['end_s']:.2f} s, {top['low_hz']:.0f} to "
        f"{top['high_hz']:.0f} Hz, {top['times_even']:.1f} times the mean",
        f"Picture: {picture}",
    ]
    show(record, lines, arguments.json, indent=None)
    return 0
