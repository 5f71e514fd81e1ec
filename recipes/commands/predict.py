"""`auricle predict`: label audio files, or tell the emotion of songs, with a pretrained bundle."""

from __future__ import annotations

import json
import sys

from .common import add_command

__all__ = ["add_parser", "run"]


def add_parser(commands) -> None:
    """Add the command."""
    predict = add_command(
        commands,
        "predict",
        run,
        "label audio files with a pretrained bundle; with one of music emotion, print the valence "
        "and arousal of songs on the scale of its labels",
    )
    predict.add_argument("bundle", help="a folder that a run wrote: <output_folder>/bundle")
    predict.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="a longer file than the training clips is cut into overlapping ones of their length, "
        "and what is found in them is averaged",
    )
    predict.add_argument("--json", action="store_true", help="print one JSON object per file")
    predict.add_argument(
        "--curve",
        action="store_true",
        help="of a bundle of music emotion that learned labels over time (target dynamic): print "
        "CSV with a row per 0.5 s, time_s,valence,arousal, where a row's time is the beginning of "
        "its 0.5 s; several files need --json",
    )


def run(arguments) -> int:
    """Print a line per file; 2 where one could not be read."""
    from ...lobes.bundles import bundle as pretrained
    from ...lobes.bundles.predicted_values import regression_target
    from ..inference.predict import TASK, emotion_of_song, written

    if arguments.curve and len(arguments.files) > 1 and not arguments.json:
        arguments.usage_error(
            f"--curve prints the table of one song, got {len(arguments.files)}: give one, or --json"
        )
    bundle = pretrained.load(arguments.bundle)
    task = bundle.description.get("task")
    is_emotion = task == TASK
    if is_emotion:
        target = regression_target(bundle)
        if arguments.curve and target != "dynamic":
            raise ValueError(
                f"--curve needs a bundle that learned labels over time (target dynamic): "
                f"{arguments.bundle} learned one label per song (target {target})"
            )
    elif arguments.curve:
        raise ValueError(
            f"--curve is for bundles of {TASK}: {arguments.bundle} was trained for {task}"
        )
    status = 0
    for file in arguments.files:
        try:
            if is_emotion:
                print(written(emotion_of_song(bundle, file, arguments.curve), arguments.json))
                continue
            label, probability = bundle.predict_file(file)
        except ValueError as error:
            # One bad file must not keep the others from being labelled.
            print(f"auricle: {error}", file=sys.stderr)
            status = 2
            continue
        if arguments.json:
            print(json.dumps({"file": file, "label": label, "probability": probability}))
        else:
            print(f"{file}\t{label}\t{probability:.3f}")
    return status
