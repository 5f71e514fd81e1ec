"""`auricle compare`: its options; the work is in `system_comparison` and `regression_comparison`."""

from __future__ import annotations

import os

from .common import add_command, spellings
from .trial_options import given_options

__all__ = ["add_parser", "run"]

TRIAL_METRICS = ("eer", "min_dcf_0.01", "min_dcf_0.05")
#: What only scores of trials have.
_OF_TRIALS = {"trials": None, "trials_format": "auto", "speakers": None, "partial": False}


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
    compare.add_argument(
        *spellings("--n-resamples"),
        type=int,
        default=1000,
        metavar="N",
        help="draws of speakers or songs for the interval; default: 1000",
    )
    compare.add_argument("--seed", type=int, default=0, help="of the interval's draws")
    compare.add_argument("--json", action="store_true", help="print JSON")
    trials = compare.add_argument_group("scores of trials")
    trials.add_argument("--trials", metavar="FILE", help="the list; default: the labels of A")
    trials.add_argument(
        *spellings("--trials-format"),
        choices=["auto", "voxceleb", "kaldi", "wespeaker"],
        default="auto",
    )
    trials.add_argument(
        "--speakers",
        metavar="FILE",
        help="lines 'RECORDING SPEAKER' (Kaldi's utt2spk); default: a name's first folder",
    )
    trials.add_argument(
        "--partial", action="store_true", help="the files are meant to hold more than the list"
    )


def run(arguments) -> int:
    """Print both scores, their difference with interval and p, and a verdict."""
    from ..inference.regression_comparison import compare_predictions, prediction_file

    a, b = arguments.a, arguments.b
    common = {"n_resamples": arguments.n_resamples, "seed": arguments.seed}
    common["as_json"] = arguments.json
    kinds = [prediction_file(side) is not None for side in (a, b)]
    if kinds[0] != kinds[1]:
        predictions, other = (a, b) if kinds[0] else (b, a)
        what = "does not" if os.path.exists(other) else "is not there"
        raise ValueError(
            f"{predictions} holds predictions and {other} {what}: give two files of one kind"
        )
    if kinds[0]:
        if given := given_options(arguments, _OF_TRIALS):
            arguments.usage_error(f"{given[0]} is for scores of trials; {a} holds predictions")
        compare_predictions(a, b, metric=arguments.metric or "ccc", **common)
        return 0
    from ..inference.system_comparison import compare_systems

    metric = arguments.metric or "eer"
    if metric not in TRIAL_METRICS:
        arguments.usage_error(
            f"--metric {metric} is not one of scores of trials: {', '.join(TRIAL_METRICS)}"
        )
    if arguments.partial and not arguments.trials:
        arguments.usage_error("--partial says that the files hold more than --trials FILE: give it")
    names = ("trials_format", "speakers", "partial")
    compare_systems(
        a,
        b,
        arguments.trials,
        metric=metric,
        **{name: getattr(arguments, name) for name in names},
        **common,
    )
    return 0
