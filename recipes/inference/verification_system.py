"""Settings of a verification system: what makes scores of a list's trials."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class System:
    """What makes scores of trials: a group of options of the commands that score.

    Arguments (verification trials)
    -------------------------------
    trials : FILE
        The list; may be left out only where the file of scores has labels.
    trials_format
        '1|0 A B', 'A B target|nontarget', 'A B SCORE target|nontarget'; auto: as it looks.
    embeddings : FILE
        .safetensors or .npz, as `auricle embed` writes.
    bundle : FOLDER
        A trained model, which embeds the recordings first.
    data_folder : FOLDER
        With --bundle: where the audio is.
    scores : FILE
        'A B SCORE [target|nontarget]', of whatever system.
    speakers : FILE
        Lines 'RECORDING SPEAKER' (Kaldi's utt2spk). Default: a name's first folder.
    partial
        The list is meant to use only some of the embeddings or scores.

    Arguments (how trials are scored)
    ---------------------------------
    backend
        How two embeddings are compared.
    plda : FILE
        A PLDA model: read where it exists, else written after training on --cohort.
    plda_dim : N
        Dimensions that PLDA works in, by principal components. Default: all, as far as there are
        enough recordings.
    mean_subtraction
        Subtract the mean embedding of --cohort.
    cohort : FILE
        Training recordings: embeddings of theirs; with --bundle also a text file of names, one to a
        line.
    cohort_by
        What is compared with in --norm: mean embeddings of speakers, or recordings.
    norm
        Normalise cosine scores with --cohort; 'as': adaptive s-norm.
    top_n : N
        Of the adaptive s-norm. Default: 300, or the whole cohort where it is smaller.
    crops : N
        Average N evenly spaced crops of every recording; 0: the whole recording.
    crop_s : S
        Length of a crop in s.
    """

    trials: str | None = None
    trials_format: Literal["auto", "voxceleb", "kaldi", "wespeaker"] = "auto"
    embeddings: str | None = None
    bundle: str | None = None
    data_folder: str | None = None
    scores: str | None = None
    speakers: str | None = None
    partial: bool = False
    backend: Literal["cosine", "plda"] = "cosine"
    plda: str | None = None
    plda_dim: int | None = None
    mean_subtraction: bool = False
    cohort: str | None = None
    cohort_by: Literal["speaker", "recording"] = "speaker"
    norm: Literal["none", "z", "t", "s", "as"] = "none"
    top_n: int | None = None
    crops: int = 0
    crop_s: float = 4.0
