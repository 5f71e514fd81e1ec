"""Files of calibrations: `calibration.json`, alone or beside a bundle's `bundle.json`."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...lobes.bundles.folder import file_in
from ...lobes.bundles.trained import Trained
from ...lobes.export import OnnxModel
from ...processing.scoring.verification.calibration import Calibration, cllr, fit_calibration
from ...processing.scoring.verification.metrics import error_curve
from ...processing.system.files import read_json, write_json
from .trial_scoring import Scored

FILE = "calibration.json"
FORMAT = 1
#: What scores have to agree in to share a calibration.
_SCORING = (
    *("model_digest", "backend", "mean_subtraction", "norm"),
    *("top_n", "cohort_by", "crops", "crop_s"),
)
#: Files of other makers do not say it: unknown agrees with everything.
_MAY_BE_UNKNOWN = ("model_digest", "crops", "crop_s")


@dataclass(frozen=True)
class FittedCalibration:
    """A calibration and what it was fitted on.

    Arguments
    ---------
    calibration : from scores to natural log-likelihood ratios.
    fitted_on : {source, format, digest, counts} of the list, and eer, min_cllr and cllr on it.
    scoring : how the scores were made.
    """

    calibration: Calibration
    fitted_on: dict
    scoring: dict

    def apply(self, scores: np.ndarray, how: dict) -> np.ndarray:
        """Scores of the same system, made as `how` says, as log-likelihood ratios.

        Raises
        ------
        ValueError
            Scores that are known to be made in another way.
        """
        sources = self.scoring.get("source"), how.get("source")
        # of scores in a file nobody knows how they were made
        for key in _SCORING if sources == ("embeddings", "embeddings") else ():
            mine, theirs = self.scoring.get(key), how.get(key)
            unknown = key in _MAY_BE_UNKNOWN and None in (mine, theirs)
            if mine != theirs and not unknown:
                raise ValueError(
                    f"the calibration was fitted on scores with {key} {str(mine)[:16]}, these have "
                    f"{str(theirs)[:16]}: fit one on scores made alike (auricle calibrate)"
                )
        return self.calibration(scores)

    def to_dict(self) -> dict:
        """Plain JSON: the threshold is the score to accept from, at the prior."""
        calibration = self.calibration
        return {
            "format": FORMAT,
            **calibration.to_dict(),
            "threshold": calibration.threshold(calibration.prior),
            "fitted_on": self.fitted_on,
            "scoring": self.scoring,
        }


def calibrate(scored: Scored, prior: float = 0.01, penalty: float = 0.0) -> FittedCalibration:
    """Fit a calibration on the scores of a list; what is refused is what `fit_calibration` does."""
    labels = scored.trials.is_target
    return describe(fit_calibration(scored.scores, labels, prior=prior, penalty=penalty), scored)


def describe(calibration: Calibration, scored: Scored) -> FittedCalibration:
    """A calibration with what it was fitted on.

    For one that training fitted on cosines of whole recordings, `scored` is
    `Scored(trials, scores, cosine_scoring(about_bundle(folder)))`; `write_calibration(folder, ...)`
    then puts it where `auricle verify` looks for it.
    """
    trials = scored.trials
    curve = error_curve(scored.scores, trials.is_target)
    fitted_on = {
        **{name: getattr(trials, name) for name in ("source", "format", "digest", "counts")},
        "eer": curve.eer()[0],
        "min_cllr": curve.min_cllr(),
        "cllr": cllr(calibration(scored.scores), trials.is_target),
    }
    return FittedCalibration(calibration, fitted_on, scored.how)


def write_calibration(path: str | os.PathLike, fitted: FittedCalibration) -> Path:
    """Write a calibration; a bundle's folder gets it as `calibration.json`. Returns the file."""
    path = Path(path)
    if path.is_dir():
        if not (path / "bundle.json").is_file():
            raise ValueError(f"{path} is a folder and no bundle: name a file, or a bundle's folder")
        path = path / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_json(path, fitted.to_dict())


def read_calibration(path: str | os.PathLike) -> FittedCalibration:
    """Read a calibration from its file or from a bundle's folder.

    Raises
    ------
    ValueError
        No such file, or a damaged one.
    """
    path = Path(path)
    if path.is_dir():
        path = file_in(path, FILE) or path / FILE
    if not path.is_file():
        raise ValueError(f"{path}: no such calibration; `auricle calibrate` writes one")
    return _calibration_in(read_json(path), path)  # a TextError names the file


def calibration_of(model: Trained, path: str | os.PathLike) -> FittedCalibration | None:
    """The calibration of an opened model, in its bundle at `path` or in the file itself.

    Raises
    ------
    ValueError
        A damaged one.
    """
    if isinstance(model, OnnxModel):
        return model.calibration and _calibration_in(model.calibration, path)
    return read_calibration(path) if (Path(path) / FILE).exists() else None


def _calibration_in(held, path: str | os.PathLike) -> FittedCalibration:
    try:
        if held["format"] != FORMAT:
            raise ValueError(f"its format is {held['format']}, this auricle reads {FORMAT}")
        calibration = Calibration(*(float(held[name]) for name in ("scale", "offset", "prior")))
        return FittedCalibration(calibration, dict(held["fitted_on"]), dict(held["scoring"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no calibration: {error!r}") from None
