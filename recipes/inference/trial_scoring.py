"""Scores of a trial list by a verification system, and the bundle that embeds for it."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...processing.scoring.recording_names import first_folder, plain_name
from ...processing.scoring.verification.embedding_files import SUFFIXES, read_embeddings
from ...processing.scoring.verification.embeddings import Embeddings, cosine_scores
from ...processing.scoring.verification.pair_scores import read_scored_trials
from ...processing.scoring.verification.score_normalization import normalized_scores
from ...processing.scoring.verification.trials import TrialList, read_trials
from ...processing.system.files import file_digest
from .input_files import naming, read_names, read_speakers
from .options import System


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of a list and how they came about.

    Arguments
    ---------
    trials, scores : the list, and (n,) float64 in its order.
    how : what the scores are, as a calibration has to know them; None values are unknown.
    speaker_of : the speakers by recording, or None for the first folder of the names.
    speakers_file : where `speaker_of` is from.
    """

    trials: TrialList
    scores: np.ndarray
    how: dict = field(default_factory=dict)
    speaker_of: Mapping[str, str] | None = None
    speakers_file: str | None = None


def score_system(system: System, *, progress: bool = True) -> Scored:
    """Score the trials.

    Raises
    ------
    ValueError
        Whatever is wrong with a file, by its name; a cohort that shares a speaker with the trials
        or is of another model.
    """
    fold = {"fold_case": system.fold_case}
    speaker_of = read_speakers(system.speakers, **fold) if system.speakers else None
    known = (speaker_of, system.speakers)
    listed = (system.trials, system.trials_format)
    trials = read_trials(*listed, **fold) if system.trials else None
    if system.scores:
        trials, scores = read_scored_trials(system.scores, trials, partial=system.partial, **fold)
        return Scored(trials, scores, {"source": "scores", "file": system.scores}, *known)
    embed = None
    if system.bundle:
        crops = system.crops, system.crop_s
        embed = embedder(system.bundle, system.data_folder, *crops, progress=progress)
    if system.embeddings:
        embeddings, about = _read_embeddings(system.embeddings, system.fold_case)
    else:
        embeddings, about = embed(list(trials.names))
    # before the cohort is embedded, which takes longer than to find out that a name is wrong
    with naming(system.embeddings or system.bundle):
        trials.locate(embeddings.names, partial=system.partial)
    from_where = {
        "bundle": system.embeddings or system.bundle,
        "model_digest": about.get("model_digest"),
    }
    how = cosine_scoring(from_where, about.get("crops"), about.get("crop_s"))
    how |= {
        "backend": system.backend,
        "mean_subtraction": system.mean_subtraction,
        "norm": system.norm,
    }
    cohort = None
    if system.cohort:
        cohort = _cohort(system, trials, embed, about, speaker_of)
        how["cohort"] = {"file": system.cohort, "recordings": len(cohort)}
    speaker = _speakers(speaker_of)
    if system.backend == "plda":
        scores, how["plda"] = _plda(system, trials, embeddings, cohort, speaker)
        return Scored(trials, scores, how, *known)
    mean = cohort.mean() if system.mean_subtraction else None
    if system.norm == "none":
        scores = cosine_scores(trials, embeddings, mean=mean, partial=system.partial)
        return Scored(trials, scores.astype(np.float64), how, *known)
    how["cohort_by"] = system.cohort_by
    if system.cohort_by == "speaker":
        cohort = cohort.by_speaker({name: speaker(name) for name in cohort.names})
        how["cohort"]["speakers"] = len(cohort)
    if system.norm == "as":
        how["top_n"] = system.top_n or min(300, len(cohort))
    scores = normalized_scores(
        trials,
        embeddings,
        cohort,
        system.norm,
        top_n=system.top_n,
        mean=mean,
        partial=system.partial,
    )
    return Scored(trials, scores, how, *known)


def _plda(system, trials, embeddings, cohort, speaker) -> tuple[np.ndarray, dict]:
    from ...processing.scoring.verification.plda import fit_plda, load_plda, plda_scores, save_plda

    if system.plda and Path(system.plda).exists():
        if cohort is not None:
            raise ValueError(
                f"--plda {system.plda} exists and would be used as it is: leave out --cohort, or "
                "name a new file to train and write one"
            )
        if system.plda_dim is not None:
            raise ValueError(f"--plda-dim is for training: {system.plda} is trained already")
        model = load_plda(system.plda)
    elif cohort is None:
        raise ValueError(f"--plda {system.plda}: no such file; --cohort FILE trains and writes one")
    else:
        of = {name: speaker(name) for name in cohort.names}
        model = fit_plda(cohort, of, dimensions=system.plda_dim)
        if system.plda:
            save_plda(system.plda, model)
    return plda_scores(trials, embeddings, model, partial=system.partial), model.about


# -- where embeddings are from -----------------------------------------------------------------------


def open_verifier(folder: str | os.PathLike):
    """Load a bundle that was trained for speaker verification, and say what its weights are.

    Returns
    -------
    (Bundle or OnnxModel, about), `about` with the bundle's folder or file and the digest of its weights.

    Raises
    ------
    BundleError
        What `open_model` refuses, and a bundle of another task.
    """
    from ...lobes.export import OnnxModel, open_model

    bundle = open_model(folder)
    bundle.require("verification")
    if isinstance(bundle, OnnxModel):
        return bundle, {"bundle": str(folder), "model_digest": bundle.digest}
    return bundle, about_bundle(folder)


def about_bundle(folder: str | os.PathLike) -> dict:
    """Which model a bundle is: its folder, and the digest of its weights."""
    from ...lobes.bundles.bundle import WEIGHTS

    return {"bundle": str(folder), "model_digest": file_digest(Path(folder) / WEIGHTS)}


def cosine_scoring(about: dict, crops: int | None = 0, crop_s: float | None = None) -> dict:
    """What `Scored.how` says of bare cosines between a bundle's embeddings.

    Arguments
    ---------
    about : of `about_bundle`.
    crops, crop_s : as for `extract`.
    """
    return {
        "source": "embeddings",
        "file": about["bundle"],
        "model_digest": about["model_digest"],
        "backend": "cosine",
        "mean_subtraction": False,
        "norm": "none",
        "top_n": None,
        "crops": crops,
        "crop_s": crop_s if crops else None,
        "cohort": None,
        "cohort_by": None,
    }


def embedder(
    bundle: str | os.PathLike,
    data_folder: str | os.PathLike,
    crops: int = 0,
    crop_s: float = 4.0,
    *,
    progress: bool = False,
) -> Callable[[list[str]], tuple[Embeddings, dict]]:
    """Open a bundle once; returns a function from names to their embeddings and what made them.

    Arguments
    ---------
    bundle : folder of a bundle for speaker verification.
    data_folder : where the recordings are.
    crops, crop_s : as for `extract`.
    progress : show a bar.
    """
    from .extraction import extract, folder_reader

    model, about = open_verifier(bundle)
    about |= {"crops": crops, "crop_s": crop_s if crops else None}
    read = folder_reader(data_folder, model.sample_rate)

    def embed(names: list[str]) -> tuple[Embeddings, dict]:
        embeddings = extract(model, names, read, crops=crops, crop_s=crop_s, progress=progress)
        return embeddings, about

    return embed


def _read_embeddings(path, fold_case: bool) -> tuple[Embeddings, dict]:
    embeddings, about = read_embeddings(path)
    names = [plain_name(name, fold_case) for name in embeddings.names]
    return Embeddings(names, embeddings.vectors), about


def _cohort(system, trials, embed, about, speaker_of) -> Embeddings:
    path = Path(system.cohort)
    if path.suffix in SUFFIXES:
        cohort, of = _read_embeddings(path, system.fold_case)
        for key, what in (("model_digest", "another model"), ("crops", "other crops")):
            if None not in (about.get(key), of.get(key)) and about[key] != of[key]:
                raise ValueError(
                    f"--cohort {path} holds embeddings of {what} than those of the trials "
                    f"({key} {str(of[key])[:12]} and {str(about[key])[:12]}): embed both alike"
                )
    elif embed is None:
        raise ValueError(
            f"--cohort {path} is to hold embeddings ({' or '.join(SUFFIXES)}); a list of names "
            "needs --bundle, to embed them with"
        )
    else:
        cohort, _ = embed(read_names(path))
    try:  # speakers that the labels contradict would hide a test speaker
        trials.speakers(speaker_of)
    except ValueError as error:
        raise ValueError(
            f"whether --cohort {path} holds test speakers cannot be told: {error} (--speakers FILE)"
        ) from None
    speaker = _speakers(speaker_of)
    tested = {speaker(name) for name in trials.names}
    shared = next((name for name in cohort.names if speaker(name) in tested), None)
    if shared is not None:
        raise ValueError(
            f"--cohort {path}: {shared!r} is of speaker {speaker(shared)!r}, who is in the trials "
            f"of {trials.source}: a cohort is of other speakers, from the training data"
        )
    return cohort


def _speakers(speaker_of: Mapping[str, str] | None) -> Callable[[str], str]:
    if speaker_of is None:
        return first_folder

    def speaker(name: str) -> str:
        if name not in speaker_of:
            raise ValueError(f"--speakers has no speaker for {name!r}")
        return speaker_of[name]

    return speaker
