"""Options that commands hand on as one record: systems, lists, results, transcripts."""

from dataclasses import dataclass
from typing import Literal

from ...processing.transcription.phones import GLOTTAL_STOP_RULES, PHONE_SETS, SILENCE_RULES


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
    fold_case
        Names of recordings that differ only in case are one recording.
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
    fold_case: bool = False
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


@dataclass(frozen=True)
class TrialFiles:
    """The list that two files of scores are compared on.

    Arguments (scores of trials)
    ----------------------------
    trials : FILE
        The list. Default: the labels of A.
    trials_format
        '1|0 A B', 'A B target|nontarget', 'A B SCORE target|nontarget'; auto: as it looks.
    speakers : FILE
        Lines 'RECORDING SPEAKER' (Kaldi's utt2spk). Default: a name's first folder.
    fold_case
        Names of recordings that differ only in case are one recording.
    partial
        The files are meant to hold more than the list.
    """

    trials: str | None = None
    trials_format: Literal["auto", "voxceleb", "kaldi", "wespeaker"] = "auto"
    speakers: str | None = None
    fold_case: bool = False
    partial: bool = False


@dataclass(frozen=True)
class Transcripts:
    """Two files of transcripts, and how they are scored.

    Arguments (transcripts)
    -----------------------
    hyp : FILE
        What was recognised: a line per utterance, 'NAME TOKEN ...' or 'TOKEN ... (NAME)'.
    ref : FILE
        What was said, likewise.
    unit
        What is counted.
    phone_set
        To score in. Default: 39.
    hyp_phones
        The set that --hyp is written in, to be folded. Default: the set to score in.
    ref_phones
        The set that --ref is written in, to be folded. Default: the set to score in.
    silence
        What becomes of silences. Default: keep.
    glottal_stop
        The phone q. Default: delete.
    format
        Of both files; auto: as the lines of each look.
    alignment : FILE
        Write the alignment of every utterance to this file.
    case
        Of words and characters; fold: 'The' is 'the', as sclite has it. Default: keep.
    allow_empty
        Score references without a token: what is said there is inserted.
    """

    hyp: str | None = None
    ref: str | None = None
    unit: Literal["phone", "char", "word"] = "phone"
    phone_set: Literal[PHONE_SETS] | None = None
    hyp_phones: Literal[PHONE_SETS] | None = None
    ref_phones: Literal[PHONE_SETS] | None = None
    silence: Literal[SILENCE_RULES] | None = None
    glottal_stop: Literal[GLOTTAL_STOP_RULES] | None = None
    format: Literal["auto", "kaldi", "trn"] = "auto"
    alignment: str | None = None
    case: Literal["keep", "fold"] | None = None
    allow_empty: bool = False


@dataclass(frozen=True)
class TrialResults:
    """Scores that are printed of trials, and the files that are written.

    Arguments (results of the trials)
    ---------------------------------
    calibration : FILE.json
        Turn the scores into log-likelihood ratios first (a file of `auricle calibrate`, or a bundle
        that holds one): adds actual DCF and Cllr. Default: that of --bundle, where it has one.
    p_target : P,P
        Share of target trials of the operating points of minDCF and actual DCF; one or several.
        Default: 0.01,0.05.
    c_miss, c_fa : C,C
        What a miss and a false alarm cost there: one for all points, or one for each. Default: 1.
    llrs
        The scores are natural log-likelihood ratios as they are: adds actual DCF and Cllr.
    conventions
        EER by the max and average conventions too.
    save_scores : FILE
        Write ENROL TEST SCORE target|nontarget, as `auricle compare` reads.
    det : FILE.png
        Draw the DET curve.
    n_resamples : N
        Draws of speakers for the intervals; 0: no intervals.
    """

    calibration: str | None = None
    p_target: list[float] | None = None
    c_miss: list[float] | None = None
    c_fa: list[float] | None = None
    llrs: bool = False
    conventions: bool = False
    save_scores: str | None = None
    det: str | None = None
    n_resamples: int = 1000


@dataclass(frozen=True)
class Listening:
    """How keywords are detected in long recordings.

    Arguments (detection of keywords)
    ---------------------------------
    threshold : P
        Least smoothed probability of a detection.
    smooth_s : S
        Probabilities are averaged over the last so many s.
    refractory_s : S
        After a keyword, it is not detected again for so long.
    chunk_ms : MS
        A window ends every so many ms.
    window_s : S
        Length of the windows. Default: of the clips that the model was trained on.
    keywords : LABEL,LABEL
        What to listen for. Default: every label that does not begin with an underscore.
    """

    threshold: float = 0.8
    smooth_s: float = 0.3
    refractory_s: float = 1.0
    chunk_ms: float = 100.0
    window_s: float | None = None
    keywords: list[str] | None = None
