"""Options that say which system scores which trials, and which of them go together."""

from __future__ import annotations

import argparse
from dataclasses import fields

from ..inference.verification_system import System
from .common import add_shared, changed_options, spellings

__all__ = ["FORMS", "SYSTEM", "add_system_options", "check_system"]

FORMS = (
    "give either --hyp FILE --ref FILE (transcripts), or --trials FILE with one of --embeddings "
    "FILE, --bundle FOLDER --data-folder FOLDER, --scores FILE"
)
#: The fields of `System`, each an option.
SYSTEM = tuple(field.name for field in fields(System))
#: What cannot be changed any more where there are scores already.
_OF_EMBEDDINGS = (
    *("backend", "plda", "plda_dim", "mean_subtraction"),
    *("cohort", "norm", "top_n", "crops"),
)


def add_system_options(parser: argparse.ArgumentParser) -> None:
    """Add what makes scores of trials."""
    trials = parser.add_argument_group("verification trials")
    add_shared(trials, "trials", "trials_format")
    trials.add_argument(
        "--embeddings", metavar="FILE", help=".safetensors or .npz, as `auricle embed` writes"
    )
    trials.add_argument(
        "--bundle", metavar="FOLDER", help="a trained model, which embeds the recordings first"
    )
    folder = {"required": False, "help": "with --bundle: where the audio is"}
    add_shared(trials, "data_folder", data_folder=folder)
    trials.add_argument(
        "--scores", metavar="FILE", help="'A B SCORE [target|nontarget]', of whatever system"
    )
    add_shared(trials, "speakers", "partial")
    how = parser.add_argument_group("how trials are scored")
    how.add_argument("--backend", choices=["cosine", "plda"], default=System.backend)
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
        default=System.cohort_by,
        help="what is compared with in --norm: speakers' mean embeddings (default) or recordings",
    )
    how.add_argument(
        "--norm",
        choices=["none", "z", "t", "s", "as"],
        default=System.norm,
        help="normalise cosine scores with --cohort; 'as': adaptive s-norm",
    )
    how.add_argument(
        *spellings("--top-n"),
        type=int,
        metavar="N",
        help="of the adaptive s-norm; default: 300, or the whole cohort where it is smaller",
    )
    add_shared(how, "crops", "crop_s")


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
    if arguments.scores and (changed := changed_options(arguments, _OF_EMBEDDINGS)):
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
