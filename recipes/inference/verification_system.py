"""Settings of a verification system: what makes scores of a list's trials."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["System"]


@dataclass(frozen=True)
class System:
    """What makes scores of trials; the fields are named as the options of `auricle score`.

    Arguments
    ---------
    trials : file of the list; None only where `scores` has labels.
    trials_format : "auto", "voxceleb", "kaldi" or "wespeaker".
    embeddings, bundle, scores : one of them: a file of embeddings; a bundle's folder, with
        `data_folder`; a file of scores.
    backend : "cosine" or "plda"; plda : file of the model, read or written; plda_dim : dimensions.
    mean_subtraction : subtract the cohort's mean.
    cohort : file of embeddings, or with `bundle` of names; cohort_by : "speaker" or "recording".
    norm : "none", "z", "t", "s" or "as"; top_n : of "as".
    crops, crop_s : as for `extract`.
    speakers : file of lines 'RECORDING SPEAKER'; None: the first folder of the name.
    partial : the list is meant to use only some of the embeddings or scores.
    """

    trials: str | None = None
    trials_format: str = "auto"
    embeddings: str | None = None
    bundle: str | None = None
    data_folder: str | None = None
    scores: str | None = None
    backend: str = "cosine"
    plda: str | None = None
    plda_dim: int | None = None
    mean_subtraction: bool = False
    cohort: str | None = None
    cohort_by: str = "speaker"
    norm: str = "none"
    top_n: int | None = None
    crops: int = 0
    crop_s: float = 4.0
    speakers: str | None = None
    partial: bool = False
