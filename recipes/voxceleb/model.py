"""Objects of the VoxCeleb recipe: initial weights, teacher, augmentation, calibration."""

from pathlib import Path

import torch

from ...lobes import bundles
from ...lobes.distillation.distiller import Distiller, distillation_problems
from ...lobes.heads.angular_margin import problems as margin_problems
from ...lobes.model import Model
from ...processing.data.augmentation.speaker_augmentation import build_speaker_augmentation
from ...processing.data.augmentation.speed import SpeedPerturbation
from ...processing.scoring.verification.calibration import Calibration, fit_calibration
from ...processing.system.rules import number, whole, wrong_values
from ..inference.calibration_files import describe, write_calibration
from ..inference.trial_scoring import Scored, about_bundle, cosine_scoring
from ..training.messages import RecipeError, tell

#: Share of target trials that the calibration is fitted for, as the first minDCF has it.
CALIBRATION_PRIOR = 0.01


def build_augmentation(hparams: dict):
    """Noise and rooms as the YAML says; None where nothing is to be added."""
    return build_speaker_augmentation(
        hparams["sample_rate"],
        hparams["augment_probability"],
        musan_folder=hparams["musan_folder"],
        rirs_folder=hparams["rirs_folder"],
        seed=hparams["seed"],
    )


def build_distiller(hparams: dict, labels: list[str], output_folder: Path) -> Distiller | None:
    """The teacher and its loss; None without a teacher."""
    if not hparams["distillation"]["teacher"]:
        return None
    return Distiller(
        hparams["distillation"],
        labels,
        hparams["sample_rate"],
        hparams["model"].embedding_model.out_features,
        Path(output_folder) / "teacher",
    )


@torch.no_grad()
def start_from(folder: str, model: Model, labels: list[str]) -> str:
    """Fill a model with a bundle's weights; returns a line about it.

    The bundle's classes have to begin with those of this run: large-margin fine-tuning without
    speed perturbation goes on with the speakers and leaves out their faster and slower copies.

    Raises
    ------
    RecipeError
        Other lobes, options or speakers.
    """
    bundle = bundles.load(folder)
    for name, module in model.parts.items():
        theirs = getattr(bundle, name).state_dict()
        if name == "classifier":
            if bundle.labels[: len(labels)] != labels:
                raise RecipeError(
                    f"init_from {folder} was trained on other speakers ({len(bundle.labels)} "
                    f"classes, this run has {len(labels)}): its head does not fit"
                )
            theirs = {
                key: value[: len(mine)] if mine.dim() else value
                for (key, value), mine in zip(
                    theirs.items(), module.state_dict().values(), strict=True
                )
            }
        try:
            module.load_state_dict(theirs)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise RecipeError(f"init_from {folder}: {name} does not fit: {reason}") from None
    return f"Weights from {folder}"


def calibrate(score, prior: float = CALIBRATION_PRIOR) -> Calibration | None:
    """Calibration fitted on the held-out training speakers; None where the scores allow none."""
    try:
        # The penalty bounds the scale where a small list has no error.
        return fit_calibration(score.scores, score.trials.is_target, prior, penalty=1e-4)
    except ValueError:
        return None


def keep_calibration(folder: Path, brain, held_out) -> None:
    """Put the calibration, and what it was fitted on, where `auricle verify` looks for it."""
    if brain.calibration is None:
        tell("No calibration: on the held-out speakers' trials, scores do not rise with similarity")
        return
    scored = Scored(held_out.trials, held_out.scores, cosine_scoring(about_bundle(folder)))
    write_calibration(folder, describe(brain.calibration, scored))


def problems(plain: dict) -> list[str]:
    """What is wrong with the loss, the teacher and the augmentation of a configuration."""
    problems = margin_problems(plain) + distillation_problems(plain, _changing(plain))
    epochs = plain["number_of_epochs"] - 1
    crop = number(0, what="0 (all of it) or above")
    rules = {
        "eval_batch_s": (lambda value: value > 0, "above 0 s"),
        "crop_s": crop,
        "valid_crop_s": crop,
        "augment_probability": number(0, 1, "from 0 to 1"),
        "average_checkpoints": whole(1),
        "pretrain_epochs": number(0, epochs, f"between 0 and number_of_epochs - 1 ({epochs})"),
    }
    problems += wrong_values(plain, rules)
    try:
        SpeedPerturbation(1, plain["speed_factors"])
    except ValueError as error:
        problems.append(f"speed_factors: {error}")
    return problems


def _changing(plain: dict) -> list[str]:
    """What makes a recording sound different from epoch to epoch."""
    return [key for key in ("crop_s", "augment_probability", "speed_factors") if plain[key]]
