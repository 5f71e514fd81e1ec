"""`auricle calibrate`: from verification scores to log-likelihood ratios, fitted on trials."""

from ..inference.options import System
from ..reports.printing import show
from .trial_options import check_system


def run(
    system: System, *, prior: float = 0.01, penalty: float = 0.0, out: str, json: bool = False
) -> None:
    """Fit what turns verification scores into probabilities.

    Arguments
    ---------
    prior
        Share of target trials where it matters most.
    penalty
        On the scale, for scores that separate without an error. Default: 0.
    out : FILE.json
        Where to; a bundle's folder gets it as calibration.json, for `auricle verify`.
    json
        Print JSON.
    """
    check_system(system)
    from ..inference.calibration_files import calibrate, write_calibration
    from ..inference.trial_scoring import score_system

    fitted = calibrate(score_system(system), prior, penalty)
    path = write_calibration(out, fitted)
    record = fitted.to_dict()
    on = record["fitted_on"]
    lines = [
        f"llr = {record['scale']:.4f} * score {record['offset']:+.4f}, fitted with prior "
        f"{record['prior']:g} on {on['source']} ({on['counts']['trials']:,} trials, SHA-256 "
        f"{on['digest'][:16]})",
        f"Threshold at p_target {record['prior']:g} with equal costs: score "
        f"{record['threshold']:.4f}",
        f"On these trials: Cllr {on['cllr']:.4f}, minCllr {on['min_cllr']:.4f}; on others it is "
        "higher, so measure it there: auricle score --calibration",
        f"Calibration: {path}",
    ]
    show({**record, "file": str(path)}, lines, json)
