"""`auricle predict`: label audio files with a pretrained bundle."""

from __future__ import annotations

import json
import sys

from .common import add_command

__all__ = ["add_parser", "run"]


def add_parser(commands) -> None:
    """Add the command."""
    predict = add_command(commands, "predict", run, "label audio files with a pretrained bundle")
    predict.add_argument("bundle", help="a folder that a run wrote: <output_folder>/bundle")
    predict.add_argument("files", nargs="+", metavar="FILE")
    predict.add_argument("--json", action="store_true", help="print one JSON object per file")


def run(arguments) -> int:
    """Print a line per file; 2 where one could not be read."""
    from ...lobes import pretrained

    bundle = pretrained.load(arguments.bundle)
    status = 0
    for file in arguments.files:
        try:
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
