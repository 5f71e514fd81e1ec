"""`auricle score`: error rates of transcripts, and of verification trials."""

from dataclasses import asdict, dataclass
from typing import Literal

from ...processing.transcription.phones import GLOTTAL_STOP_RULES, PHONE_SETS, SILENCE_RULES
from ..inference.verification_system import System
from ..training.command_line import UsageError, changed
from .trial_options import FORMS, check_system


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
    allow_empty: bool = False


@dataclass(frozen=True)
class TrialResults:
    """Scores that are printed of trials, and the files that are written.

    Arguments (results of the trials)
    ---------------------------------
    calibration : FILE.json
        Turn the scores into log-likelihood ratios first (a file of `auricle calibrate`, or a bundle
        that holds one): adds actual DCF and Cllr.
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
    llrs: bool = False
    conventions: bool = False
    save_scores: str | None = None
    det: str | None = None
    n_resamples: int = 1000


def run(
    transcripts: Transcripts,
    system: System,
    results: TrialResults,
    *,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Print the phone, character or word error rate of transcripts; error rates of verification
    trials.

    Arguments
    ---------
    seed
        Of the interval's draws.
    json
        Print JSON.
    """
    of_transcripts, of_trials = changed(transcripts), changed(system, results)
    if of_transcripts and of_trials:
        raise UsageError(
            f"{of_transcripts[0]} is for transcripts and {of_trials[0]} for verification trials: "
            + FORMS
        )
    if of_transcripts:
        missing = [f"--{side}" for side in ("hyp", "ref") if getattr(transcripts, side) is None]
        if missing:
            raise UsageError(
                f"the following arguments are required: {', '.join(missing)} (of transcripts; "
                f"{FORMS})"
            )
        from ..inference.score import score

        score(**asdict(transcripts), seed=seed, as_json=json)
        return
    if not of_trials:
        raise UsageError(f"nothing to score: {FORMS}")
    check_system(system)
    if results.llrs and results.calibration:
        raise UsageError("give --llrs (they are calibrated) or --calibration, not both")
    from ..inference.trial_report import report
    from ..inference.trial_scoring import score_system

    report(score_system(system), **asdict(results), seed=seed, as_json=json)
