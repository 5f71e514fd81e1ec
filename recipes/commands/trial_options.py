"""Which options of a verification system go together."""

from ..inference.options import System
from ..training.command_line import UsageError, changed

FORMS = (
    "give either --hyp FILE --ref FILE (transcripts), or --trials FILE with one of --embeddings "
    "FILE, --bundle FOLDER --data-folder FOLDER, --scores FILE"
)
#: What cannot be changed any more where there are scores already.
_OF_EMBEDDINGS = (
    *("--backend", "--plda", "--plda-dim", "--mean-subtraction"),
    *("--cohort", "--norm", "--top-n", "--crops"),
)


def check_system(system: System) -> None:
    """Refuse options that do not go together, before anything is read.

    Raises
    ------
    UsageError
        Not exactly one source of scores; an option without the one that it needs.
    """
    forms = [name for name in ("embeddings", "bundle", "scores") if getattr(system, name)]
    if len(forms) != 1:
        got = " and ".join("--" + name for name in forms) or "none of them"
        raise UsageError(
            "the scores of the trials are to come from one of --embeddings FILE, --bundle FOLDER "
            f"(with --data-folder FOLDER) and --scores FILE; got {got}"
        )
    if not system.trials and not system.scores:
        raise UsageError(f"the following arguments are required: --trials (with --{forms[0]})")
    if bool(system.bundle) != bool(system.data_folder):
        lacks = "--data-folder" if system.bundle else "--bundle"
        raise UsageError(f"--bundle and --data-folder belong together: {lacks} is missing")
    misfits = [option for option in changed(system) if option in _OF_EMBEDDINGS]
    if system.scores and misfits:
        raise UsageError(
            f"{misfits[0]} is for embeddings: the scores of --scores are scores already"
        )
    if system.fold_case and system.bundle:
        raise UsageError(
            "--fold-case is for names in files of scores and embeddings: with --bundle the names "
            "of the list are opened as they are"
        )
    if system.crops and not system.bundle:
        raise UsageError("--crops is for --bundle: embeddings in a file are made already")
    if system.top_n is not None and system.norm != "as":
        raise UsageError("--top-n belongs to the adaptive s-norm: --norm as")
    normalised = system.norm != "none" or system.mean_subtraction
    if system.backend == "plda":
        if normalised:
            raise UsageError(
                "--norm and --mean-subtraction are for cosine scores: PLDA has a mean of its own "
                "and gives likelihood ratios"
            )
        if not system.cohort and not system.plda:
            raise UsageError(
                "--backend plda needs --cohort (to train on) or --plda FILE (trained before)"
            )
    elif system.plda or system.plda_dim is not None:
        raise UsageError("--plda and --plda-dim belong to --backend plda")
    elif normalised and not system.cohort:
        raise UsageError(
            "--norm and --mean-subtraction need --cohort FILE: recordings of other speakers"
        )
    elif system.cohort and not normalised:
        raise UsageError(
            "--cohort is used by --norm, --mean-subtraction and --backend plda: none was asked for"
        )
