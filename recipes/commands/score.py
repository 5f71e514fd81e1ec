"""`auricle score`: error rates of transcripts, and of verification trials."""

from ..inference.options import System, Transcripts, TrialResults
from ..training.command_line import UsageError, changed
from .trial_options import FORMS, check_system


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

        score(transcripts, seed, json)
        return
    if not of_trials:
        raise UsageError(f"nothing to score: {FORMS}")
    check_system(system)
    if results.llrs and results.calibration:
        raise UsageError("give --llrs (they are calibrated) or --calibration, not both")
    from ..inference.trial_report import report
    from ..inference.trial_scoring import score_system

    report(score_system(system), results, seed, json)
