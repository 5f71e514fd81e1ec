"""The options that say which system scores which trials: of `score`, `calibrate` and `embed`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from .common import spellings

__all__ = [
    "FORMS",
    "add_crop_options",
    "add_interval_options",
    "add_system_options",
    "check_system",
    "given_options",
    "read_system_options",
    "spellings",
    "system_of",
]

FORMS = (
    "give either --hyp FILE --ref FILE (transcripts), or --trials FILE with one of --embeddings "
    "FILE, --bundle FOLDER --data-folder FOLDER, --scores FILE"
)
#: What they are when nothing is said; the names are those of `trial_scoring.System`.
SYSTEM = {
    "trials": None,
    "trials_format": "auto",
    "embeddings": None,
    "bundle": None,
    "data_folder": None,
    "scores": None,
    "backend": "cosine",
    "plda": None,
    "plda_dim": None,
    "mean_subtraction": False,
    "cohort": None,
    "cohort_by": "speaker",
    "norm": "none",
    "top_n": None,
    "crops": 0,
    "crop_s": 4.0,
    "speakers": None,
    "partial": False,
}
#: What cannot be changed any more where there are scores already.
_OF_EMBEDDINGS = (
    "backend",
    "plda",
    "plda_dim",
    "mean_subtraction",
    "cohort",
    "norm",
    "top_n",
    "crops",
)


def add_system_options(parser: argparse.ArgumentParser) -> None:
    """Add what makes scores of trials."""
    trials = parser.add_argument_group("verification trials")
    trials.add_argument("--trials", metavar="FILE", help="the list")
    trials.add_argument(
        *spellings("--trials-format"),
        choices=["auto", "voxceleb", "kaldi", "wespeaker"],
        default=SYSTEM["trials_format"],
        help="'1|0 A B', 'A B target|nontarget', 'A B SCORE target|nontarget'; default: as it "
        "looks",
    )
    trials.add_argument(
        "--embeddings", metavar="FILE", help=".safetensors or .npz, as `auricle embed` writes"
    )
    trials.add_argument(
        "--bundle", metavar="FOLDER", help="a trained model, which embeds the recordings first"
    )
    trials.add_argument(
        *spellings("--data-folder"), metavar="FOLDER", help="with --bundle: where the audio is"
    )
    trials.add_argument(
        "--scores", metavar="FILE", help="'A B SCORE [target|nontarget]', of whatever system"
    )
    trials.add_argument(
        "--speakers",
        metavar="FILE",
        help="lines 'RECORDING SPEAKER' (Kaldi's utt2spk); default: a name's first folder",
    )
    trials.add_argument(
        "--partial",
        action="store_true",
        help="the list is meant to use only some of the embeddings or scores",
    )
    how = parser.add_argument_group("how trials are scored")
    how.add_argument("--backend", choices=["cosine", "plda"], default=SYSTEM["backend"])
    how.add_argument(
        "--plda",
        metavar="FILE",
        help="a PLDA model: read where it exists, else written after training on --cohort",
    )
    how.add_argument(
        *spellings("--plda-dim"),
        type=int,
        metavar="N",
        help="dimensions that PLDA works in, by principal components; default: all, as far as "
        "there are enough recordings",
    )
    how.add_argument(
        *spellings("--mean-subtraction"),
        action="store_true",
        help="subtract the mean embedding of --cohort",
    )
    how.add_argument(
        "--cohort",
        metavar="FILE",
        help="training recordings: embeddings of theirs; with --bundle also a text file of names, "
        "one to a line",
    )
    how.add_argument(
        *spellings("--cohort-by"),
        choices=["speaker", "recording"],
        default=SYSTEM["cohort_by"],
        help="what is compared with in --norm: speakers' mean embeddings (default) or recordings",
    )
    how.add_argument(
        "--norm",
        choices=["none", "z", "t", "s", "as"],
        default=SYSTEM["norm"],
        help="normalise cosine scores with --cohort; 'as': adaptive s-norm",
    )
    how.add_argument(
        *spellings("--top-n"),
        type=int,
        metavar="N",
        help="of the adaptive s-norm; default: 300, or the whole cohort where it is smaller",
    )
    add_crop_options(how)


def add_crop_options(group) -> None:
    """Add how much of a recording is embedded."""
    group.add_argument(
        "--crops",
        type=int,
        default=SYSTEM["crops"],
        metavar="N",
        help="average N evenly spaced crops of every recording; default: 0, the whole recording",
    )
    group.add_argument(
        *spellings("--crop-s"), type=float, default=SYSTEM["crop_s"], help="length of one in s"
    )


def add_interval_options(group, zero: str = "; 0: no intervals") -> None:
    """Add how many draws an interval has; `zero` says what none of them means."""
    group.add_argument(
        *spellings("--n-resamples"),
        type=int,
        default=1000,
        metavar="N",
        help=f"draws of speakers for the intervals; default: 1000{zero}",
    )


def given_options(arguments: argparse.Namespace, defaults: Mapping[str, object]) -> list[str]:
    """Those of the options that are not at their default, spelled as options."""
    return [
        "--" + name.replace("_", "-")
        for name, default in defaults.items()
        if getattr(arguments, name) != default
    ]


def read_system_options(arguments: argparse.Namespace) -> list[str]:
    """The options for trials that were given."""
    return given_options(arguments, SYSTEM)


def check_system(arguments: argparse.Namespace) -> None:
    """Refuse what does not go together, before anything is read."""
    error = arguments.usage_error
    forms = [name for name in ("embeddings", "bundle", "scores") if getattr(arguments, name)]
    if len(forms) != 1:
        got = " and ".join("--" + name for name in forms) or "none of them"
        error(
            "the scores of the trials are to come from one of --embeddings FILE, --bundle FOLDER "
            f"(with --data-folder FOLDER) and --scores FILE; got {got}"
        )
    if arguments.trials is None and not arguments.scores:
        error(f"the following arguments are required: --trials (with --{forms[0]})")
    if bool(arguments.bundle) != bool(arguments.data_folder):
        lacks = "--data-folder" if arguments.bundle else "--bundle"
        error(f"--bundle and --data-folder belong together: {lacks} is missing")
    if arguments.scores:
        changed = given_options(arguments, {name: SYSTEM[name] for name in _OF_EMBEDDINGS})
        if changed:
            error(f"{changed[0]} is for embeddings: the scores of --scores are scores already")
    if arguments.crops and not arguments.bundle:
        error("--crops is for --bundle: embeddings in a file are made already")
    if arguments.top_n is not None and arguments.norm != "as":
        error("--top-n belongs to the adaptive s-norm: --norm as")
    if arguments.backend == "plda":
        if arguments.norm != "none" or arguments.mean_subtraction:
            error(
                "--norm and --mean-subtraction are for cosine scores: PLDA has a mean of its own "
                "and gives likelihood ratios"
            )
        if not arguments.cohort and not arguments.plda:
            error("--backend plda needs --cohort (to train on) or --plda FILE (trained before)")
    elif arguments.plda or arguments.plda_dim is not None:
        error("--plda and --plda-dim belong to --backend plda")
    elif (arguments.norm != "none" or arguments.mean_subtraction) and not arguments.cohort:
        error("--norm and --mean-subtraction need --cohort FILE: recordings of other speakers")
    elif arguments.cohort and arguments.norm == "none" and not arguments.mean_subtraction:
        error(
            "--cohort is used by --norm, --mean-subtraction and --backend plda: none was asked for"
        )


def system_of(arguments: argparse.Namespace):
    """The `trial_scoring.System` that the options describe."""
    from ..inference.trial_scoring import System

    return System(**{name: getattr(arguments, name) for name in SYSTEM})
