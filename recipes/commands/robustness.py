"""Parser of `auricle robustness`: EER under noise, reverberation, codecs and other distortions."""

from __future__ import annotations

from .common import add_command, add_shared, options_for

__all__ = ["add_parser", "run"]


def add_parser(commands) -> None:
    """Add the command."""
    robustness = add_command(
        commands, "robustness", run, "EER under noise, reverberation, codecs and other distortions"
    )
    robustness.add_argument(
        "bundles",
        nargs="+",
        metavar="BUNDLE",
        help="trained models, FOLDER or NAME=FOLDER; each further one is compared with the first",
    )
    shared = ("trials", "trials_format", "speakers", "data_folder")
    add_shared(robustness, *shared, trials={"required": True})
    robustness.add_argument(
        "--out",
        default="robustness",
        metavar="FOLDER",
        help="where robustness.json, .md and .png go; default: robustness",
    )
    robustness.add_argument(
        "--conditions",
        type=lambda text: text.split(","),
        metavar="NAME,NAME",
        help="noise, reverberation, telephone, mulaw, codec, clipping, speed, or one kind of them "
        "(white, babble, music, mp3, opus, vorbis); default: all; clean always",
    )
    robustness.add_argument(
        "--sides",
        choices=["test", "both"],
        default="test",
        help="which recordings of a trial are distorted: the second (default), or both",
    )
    robustness.add_argument(
        "--musan",
        metavar="FOLDER",
        help="noise, speech and music of MUSAN in place of generated sounds",
    )
    draws = "draws of speakers for the intervals; default: 1000; 0: no intervals, no comparison"
    seed = "of the distortions and the intervals' draws"
    add_shared(
        robustness, "n_resamples", "seed", "json", n_resamples={"help": draws}, seed={"help": seed}
    )


def run(arguments) -> int:
    """Measure the bundles, print the table, draw the picture."""
    from ..inference.robustness import robustness

    robustness(**options_for(robustness, arguments))
    return 0
