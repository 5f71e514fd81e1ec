"""`auricle compare`: whether two systems differ on the same test items."""

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
    """Tell whether two systems differ on the same test items: runs of any task, or files of their
    predictions or scores.

    Arguments
    ---------
    a : A
        One system: a run's folder, a folder of its runs seed_1, seed_2, ..., several with commas, or a
        file: test_predictions.csv, test_predictions.json, or scores of trials (auricle score
        --save-scores).
    b : B
        The other, on the same items.
    metric
        Of classes {accuracy,balanced_accuracy,macro_f1}, of tags {map,roc_auc}, of transcripts
        {error_rate}, of values {ccc,r2,rmse,pearson}, each also of one dimension (ccc_valence), of
        scores of trials {eer,min_dcf_0.01,min_dcf_0.05}; default: the first.
    n_resamples : N
        Draws of groups, speakers or songs for the interval.
    seed
        Of the interval's draws.
    json
        Print JSON.
    """
    from ..inference.comparison import compare_systems
    from ..inference.run_comparison import compare_runs
    from ..inference.run_files import files_of, kind_of

    draws = n_resamples, seed, json
    sides = [files_of(side) for side in (a, b)]
    kinds = {kind: file for side in sides for file in side for kind in [kind_of(file)]}
    if len(kinds) > 1:
        listed_kinds = ", ".join(f"{file} ({kind})" for kind, file in kinds.items())
        raise ValueError(f"these are not of one kind: {listed_kinds}. Give runs of one task")
    (kind,) = kinds
    if kind != "trials":
        if of_trials := changed(listed):
            raise UsageError(f"{of_trials[0]} is for scores of trials; {a} holds predictions")
        compare_runs(*sides, metric, *draws)
        return
    metric = metric or "eer"
    if metric not in TRIAL_METRICS:
        known = ", ".join(TRIAL_METRICS)
        raise UsageError(f"--metric {metric} is not one of scores of trials: {known}")
    if listed.partial and not listed.trials:
        raise UsageError("--partial says that the files hold more than --trials FILE: give it")
    compare_systems(*sides, listed, metric, *draws)
