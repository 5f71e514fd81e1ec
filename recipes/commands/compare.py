"""`auricle compare`: whether two systems differ on the same trials or songs."""

import os

from ..inference.options import TrialFiles
from ..training.command_line import UsageError, changed

TRIAL_METRICS = ("eer", "min_dcf_0.01", "min_dcf_0.05")


def run(
    a: str,
    b: str,
    /,
    listed: TrialFiles,
    *,
    metric: str | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Tell whether two systems differ on the same verification trials, or two music emotion models
    on the same songs.

    Arguments
    ---------
    a : A
        One system: scores of trials (auricle score --save-scores), or predictions (a music emotion
        run's folder, or its test_predictions.json).
    b : B
        The other, on the same trials or songs.
    metric
        Of scores of trials {eer,min_dcf_0.01,min_dcf_0.05}, default: eer; of predictions
        {ccc,r2,rmse,pearson}, each also of one dimension (ccc_valence), default: ccc.
    n_resamples : N
        Draws of speakers or songs for the interval.
    seed
        Of the interval's draws.
    json
        Print JSON.
    """
    from ..inference.comparison import compare_predictions, compare_systems, prediction_file

    draws = n_resamples, seed, json
    kinds = [prediction_file(side) is not None for side in (a, b)]
    if kinds[0] != kinds[1]:
        predictions, other = (a, b) if kinds[0] else (b, a)
        what = "does not" if os.path.exists(other) else "is not there"
        raise ValueError(
            f"{predictions} holds predictions and {other} {what}: give two files of one kind"
        )
    if kinds[0]:
        if of_trials := changed(listed):
            raise UsageError(f"{of_trials[0]} is for scores of trials; {a} holds predictions")
        compare_predictions(a, b, metric or "ccc", *draws)
        return
    metric = metric or "eer"
    if metric not in TRIAL_METRICS:
        known = ", ".join(TRIAL_METRICS)
        raise UsageError(f"--metric {metric} is not one of scores of trials: {known}")
    if listed.partial and not listed.trials:
        raise UsageError("--partial says that the files hold more than --trials FILE: give it")
    compare_systems(a, b, listed, metric, *draws)
