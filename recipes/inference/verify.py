"""Verification of two recordings (`auricle verify`): score, probability, decision."""

import os
from pathlib import Path

import numpy as np

from ...processing.data.audio import read_audio
from ...processing.scoring.recording_names import plain_name
from ...processing.scoring.verification.calibration import bayes_threshold
from ..reports.printing import show
from .calibration_files import FILE, calibration_of
from .extraction import check_waveform, extract
from .trial_scoring import cosine_scoring, open_verifier

#: Less than this says little about a speaker, and encoders were never shown it.
MIN_S = 0.5
_OUT_OF_REACH = (
    ". No cosine is above 1: at this operating point the model cannot say 'one speaker' of anything"
)


def verify(
    bundle: str | os.PathLike,
    one: str | os.PathLike,
    other: str | os.PathLike,
    threshold_prior: float | None = None,
    as_json: bool = False,
) -> dict:
    """Compare two recordings and print score, probability and decision; returns what was printed.

    Arguments
    ---------
    bundle : folder of a bundle for speaker verification, or a file that one was exported to; with a
        `calibration.json` in it there is a probability and a decision, else only the score.
    one, other : audio files of any rate and number of channels.
    threshold_prior : share of comparisons that are of one speaker where this is used; default:
        that of the calibration. False acceptance and false rejection cost the same.
    as_json : print one JSON object.

    Raises
    ------
    ValueError
        A bundle of another task, a file that is missing, empty, no audio, silent or shorter than
        `MIN_S`, a prior that is no probability, a calibration of scores made in another way.
    """
    if threshold_prior is not None:
        bayes_threshold(threshold_prior)  # refuses what is no probability, before anything is read
    model, about = open_verifier(bundle)
    fitted = calibration_of(model, bundle)
    how = cosine_scoring(about)
    if fitted is not None:
        for key in ("backend", "norm", "mean_subtraction"):
            got = fitted.scoring.get(key, how[key])
            if got != how[key]:
                raise ValueError(
                    f"{Path(bundle) / FILE} was fitted on scores with {key} {got}, and two "
                    "recordings are compared by bare cosine: fit one with `auricle calibrate "
                    "--trials LIST --bundle BUNDLE --data-folder FOLDER --out BUNDLE`"
                )
        # embedded as the calibration's recordings were
        how = cosine_scoring(about, *(fitted.scoring.get(key) for key in ("crops", "crop_s")))
    waves = {plain_name(str(path)): _read(path, model.sample_rate) for path in (one, other)}
    crops = {"crops": how["crops"], "crop_s": how["crop_s"]} if how["crops"] else {}
    embeddings = extract(model, list(waves), waves.__getitem__, **crops)
    rows = embeddings.directions()
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    score = float(np.dot(rows[0], rows[-1]))
    result = {"bundle": str(bundle), "files": [str(one), str(other)], "score": score}
    result |= dict.fromkeys(("llr", "probability", "prior", "threshold", "same_speaker"))
    if fitted is not None:
        result |= _decide(fitted, score, how, threshold_prior)
    result["calibration"] = fitted and fitted.fitted_on
    show(result, _lines(result), as_json)
    return result


def _decide(fitted, score: float, how: dict, prior: float | None) -> dict:
    prior = fitted.calibration.prior if prior is None else prior
    llr = float(fitted.apply(np.array(score), how))
    return {
        "llr": llr,
        "probability": float(fitted.calibration.probability(score, prior)),
        "prior": prior,
        "threshold": fitted.calibration.threshold(prior),
        "same_speaker": llr >= bayes_threshold(prior),
    }


def _read(path: str | os.PathLike, sample_rate: int):
    wav = read_audio(path, sample_rate, resample="convert", channels="mix")
    check_waveform(wav, str(path), sample_rate)
    if len(wav) < MIN_S * sample_rate:
        raise ValueError(
            f"{path} is too short: {len(wav) / sample_rate:.2f} s, and less than {MIN_S:g} s says "
            "little about a speaker"
        )
    return wav


def _lines(result: dict) -> list[str]:
    lines = [f"Score        {result['score']:.4f} (cosine)"]
    if result["probability"] is None:
        return [
            *lines,
            "Not calibrated: a cosine is no probability, and where to draw the line depends on the "
            f"model. {result['bundle']} holds no {FILE}; this writes one, from trials of other "
            f"speakers: auricle calibrate --trials LIST --bundle {result['bundle']} --data-folder "
            f"FOLDER --out {result['bundle']}",
        ]
    on = result["calibration"]
    return [
        *lines,
        f"Probability  {result['probability']:.4f} of one speaker, where {100 * result['prior']:g} % "
        f"of all comparisons are of one speaker (log-likelihood ratio {result['llr']:.2f})",
        f"Decision     {'one speaker' if result['same_speaker'] else 'two speakers'}: the score is "
        f"{'at least' if result['same_speaker'] else 'below'} {result['threshold']:.4f}, the "
        f"threshold at p_target {result['prior']:g} with equal costs"
        + (_OUT_OF_REACH if result["threshold"] > 1 else ""),
        f"Calibrated on {on.get('source')} (SHA-256 {str(on.get('digest'))[:16]})",
    ]
