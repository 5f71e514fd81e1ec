"""`auricle predict`: its options; the work is in `auricle.recipes.inference.predict`."""

from __future__ import annotations

from pathlib import Path

from ..reports.printing import print_error
from .common import add_command

__all__ = ["add_parser", "run"]


def add_parser(commands) -> None:
    """Add the command."""
    predict = add_command(
        commands,
        "predict",
        run,
        "what a pretrained bundle answers for audio files, as its task has it: a label and its "
        "probability; valence and arousal on the scale of the labels; phones; or an embedding, "
        "written to a file",
    )
    predict.add_argument("bundle", help="a folder that a run wrote: <output_folder>/bundle")
    predict.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="where a model was trained on clips, a longer file is cut into overlapping ones of "
        "their length, and what is found in them is averaged",
    )
    predict.add_argument("--json", action="store_true", help="print one JSON object per file")
    predict.add_argument(
        "--curve",
        action="store_true",
        help="of a bundle that learned labels over time (target dynamic): print CSV with a row per "
        "0.5 s, time_s,valence,arousal, where a row's time is the beginning of its 0.5 s; several "
        "files need --json",
    )
    predict.add_argument(
        "--out",
        metavar="DIR",
        default=".",
        help="folder for embeddings, FILE's name with .npy; default: the current one",
    )


def run(arguments) -> int:
    """Print a line per file; 2 where one could not be read."""
    if arguments.curve and len(arguments.files) > 1 and not arguments.json:
        arguments.usage_error(
            f"--curve prints the table of one file, got {len(arguments.files)}: give one, or --json"
        )
    from ...lobes import bundles
    from ..inference.predict import keep_arrays, predict_file, written

    bundle = bundles.load(arguments.bundle)
    options = {"curve": True} if arguments.curve else {}
    if arguments.curve and bundle.description.get("target") != "dynamic":
        raise ValueError(
            f"--curve needs a bundle that learned labels over time (target dynamic), and "
            f"{arguments.bundle} was trained for {bundle.description.get('task')} (target "
            f"{bundle.description.get('target')})"
        )
    status = 0
    for file in arguments.files:
        try:
            prediction = predict_file(bundle, file, **options)
            prediction = keep_arrays(prediction, file, Path(arguments.out))
            print(written(prediction, file, arguments.json))
        except ValueError as error:
            # One bad file must not keep the others from being answered for.
            print_error(error)
            status = 2
    return status
