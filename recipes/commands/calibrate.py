"""Parser of `auricle calibrate`: verification scores to log-likelihood ratios, fitted on trials."""

from __future__ import annotations

from .common import add_command, add_shared, options_for
from .trial_options import add_system_options, check_system

__all__ = ["add_parser", "run"]


def add_parser(commands) -> None:
    """Add the command."""
    calibrate = add_command(
        commands, "calibrate", run, "fit what turns verification scores into probabilities"
    )
    add_system_options(calibrate)
    calibrate.add_argument(
        "--prior",
        type=float,
        default=0.01,
        help="share of target trials where it matters most; default: 0.01",
    )
    calibrate.add_argument(
        "--penalty",
        type=float,
        default=0.0,
        help="on the scale, for scores that separate without an error; default: 0",
    )
    calibrate.add_argument(
        "--out",
        required=True,
        metavar="FILE.json",
        help="where to; a bundle's folder gets it as calibration.json, for `auricle verify`",
    )
    add_shared(calibrate, "json")


def run(arguments) -> int:
    """Fit on held-out trials, write the file, say what it is."""
    from ..inference.calibration_files import calibrate, write_calibration
    from ..inference.trial_scoring import System, score_system
    from ..reports.printing import show

    check_system(arguments)
    scored = score_system(System(**options_for(System, arguments)))
    fitted = calibrate(scored, arguments.prior, arguments.penalty)
    path = write_calibration(arguments.out, fitted)
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
    show({**record, "file": str(path)}, lines, arguments.json)
    return 0
