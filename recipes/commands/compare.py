"""Parser of `auricle compare`: whether two systems differ on the same trials or songs."""

from __future__ import annotations

import os

from .common import add_command, add_shared, changed_options, options_for

__all__ = ["add_parser", "run"]

TRIAL_METRICS = ("eer", "min_dcf_0.01", "min_dcf_0.05")
#: What only scores of trials have.
_OF_TRIALS = ("trials", "trials_format", "speakers", "partial")


def add_parser(commands) -> None:
    """Add the command."""
    compare = add_command(
        commands,
        "compare",
        run,
        "whether two systems differ on the same verification trials, or two music emotion models "
        "on the same songs",
    )
    compare.add_argument(
        "a",
        metavar="A",
        help="one system: scores of trials (auricle score --save-scores), or predictions (a music "
        "emotion run's folder, or its test_predictions.json)",
    )
    compare.add_argument("b", metavar="B", help="the other, on the same trials or songs")
    compare.add_argument(
        "--metric",
        help=f"of scores of trials {{{','.join(TRIAL_METRICS)}}}, default: eer; of predictions "
        "{ccc,r2,rmse,pearson}, each also of one dimension (ccc_valence), default: ccc",
    )
    draws = {"help": "draws of speakers or songs for the interval; default: 1000"}
    add_shared(compare, "n_resamples", "seed", "json", n_resamples=draws)
    add_shared(
        compare.add_argument_group("scores of trials"),
        *_OF_TRIALS,
        trials={"help": "the list; default: the labels of A"},
        partial={"help": "the files are meant to hold more than the list"},
    )


def run(arguments) -> int:
    """Print both scores, their difference with interval and p, and a verdict."""
    from ..inference.comparison import compare_predictions, compare_systems, prediction_file

    a, b = arguments.a, arguments.b
    kinds = [prediction_file(side) is not None for side in (a, b)]
    if kinds[0] != kinds[1]:
        predictions, other = (a, b) if kinds[0] else (b, a)
        what = "does not" if os.path.exists(other) else "is not there"
        raise ValueError(
            f"{predictions} holds predictions and {other} {what}: give two files of one kind"
        )
    arguments.metric = arguments.metric or ("ccc" if kinds[0] else "eer")
    if kinds[0]:
        if given := changed_options(arguments, _OF_TRIALS):
            arguments.usage_error(f"{given[0]} is for scores of trials; {a} holds predictions")
        compare_predictions(**options_for(compare_predictions, arguments))
        return 0
    if arguments.metric not in TRIAL_METRICS:
        arguments.usage_error(
            f"--metric {arguments.metric} is not one of scores of trials: "
            + ", ".join(TRIAL_METRICS)
        )
    if arguments.partial and not arguments.trials:
        arguments.usage_error("--partial says that the files hold more than --trials FILE: give it")
    compare_systems(**options_for(compare_systems, arguments))
    return 0
