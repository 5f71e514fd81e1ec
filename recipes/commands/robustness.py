"""`auricle robustness`: its options; the work is in `auricle.recipes.inference.robustness`."""

from __future__ import annotations

from .common import add_command, spellings

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
    robustness.add_argument("--trials", required=True, metavar="FILE", help="the list")
    robustness.add_argument(
        *spellings("--trials-format"),
        choices=["auto", "voxceleb", "kaldi", "wespeaker"],
        default="auto",
        help="of the list; default: as it looks",
    )
    robustness.add_argument(
        "--speakers",
        metavar="FILE",
        help="lines 'RECORDING SPEAKER' (Kaldi's utt2spk); default: a name's first folder",
    )
    robustness.add_argument(
        *spellings("--data-folder"), required=True, metavar="FOLDER", help="where the audio is"
    )
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
    robustness.add_argument(
        *spellings("--n-resamples"),
        type=int,
        default=1000,
        metavar="N",
        help="draws of speakers for the intervals; default: 1000; 0: no intervals, no comparison",
    )
    robustness.add_argument(
        "--seed", type=int, default=0, help="of the distortions and the intervals' draws"
    )
    robustness.add_argument("--json", action="store_true", help="print JSON")


def run(arguments) -> int:
    """Measure the bundles, print the table, draw the picture."""
    from ..inference.robustness import robustness

    robustness(
        arguments.bundles,
        arguments.trials,
        arguments.data_folder,
        out=arguments.out,
        conditions=arguments.conditions,
        sides=arguments.sides,
        musan=arguments.musan,
        trials_format=arguments.trials_format,
        speakers=arguments.speakers,
        n_resamples=arguments.n_resamples,
        seed=arguments.seed,
        as_json=arguments.json,
    )
    return 0
