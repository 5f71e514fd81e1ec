"""`auricle compare`: its options; the work is in `auricle.recipes.system_comparison`."""

from __future__ import annotations

from .common import add_command, spellings
from .trial_options import add_interval_options

__all__ = ["add_parser", "run"]


def add_parser(commands) -> None:
    """Add the command."""
    compare = add_command(
        commands, "compare", run, "whether two systems differ on the same verification trials"
    )
    compare.add_argument("a", metavar="A", help="scores of one system: auricle score --save-scores")
    compare.add_argument("b", metavar="B", help="scores of the other, of the same trials")
    compare.add_argument("--trials", metavar="FILE", help="the list; default: the labels of A")
    compare.add_argument(
        *spellings("--trials-format"),
        choices=["auto", "voxceleb", "kaldi", "wespeaker"],
        default="auto",
    )
    compare.add_argument("--metric", choices=["eer", "min_dcf_0.01", "min_dcf_0.05"], default="eer")
    compare.add_argument(
        "--speakers",
        metavar="FILE",
        help="lines 'RECORDING SPEAKER' (Kaldi's utt2spk); default: a name's first folder",
    )
    compare.add_argument(
        "--partial", action="store_true", help="the files are meant to hold more than the list"
    )
    add_interval_options(compare, zero="")
    compare.add_argument("--seed", type=int, default=0, help="of the interval's draws")
    compare.add_argument("--json", action="store_true", help="print JSON")


def run(arguments) -> int:
    """Print both rates, their difference with interval and p, and a verdict."""
    from ..system_comparison import compare_systems

    if arguments.partial and not arguments.trials:
        arguments.usage_error("--partial says that the files hold more than --trials FILE: give it")
    names = ("trials_format", "metric", "speakers", "partial", "n_resamples", "seed")
    compare_systems(
        arguments.a,
        arguments.b,
        arguments.trials,
        **{name: getattr(arguments, name) for name in names},
        as_json=arguments.json,
    )
    return 0
