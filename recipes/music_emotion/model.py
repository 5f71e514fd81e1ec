"""Settings of the music emotion recipe: batches, description of the result, checks."""

import math

from ...lobes.heads.concordance import RegressionLoss
from ...processing.system.rules import is_number, whole, wrong_values


def needed_output(plain: dict) -> str | None:
    """What the target needs of an encoder: frames over time; per song, either will do."""
    return "frames" if plain["target"] == "dynamic" else None


def eval_batch_s(hparams: dict, sets: dict) -> float:
    """Seconds in a batch of validation and test: no more than in one of training.

    They hear whole windows where training may hear crops, and must not need more memory for it. A
    window that is longer by itself is a batch of its own.
    """
    return hparams["max_batch_s"] or hparams["batch_size"] * max(sets["train"].durations_s)


def describe_protocol(record) -> dict:
    """All that two scores have to share to be compared."""
    start_s, end_s = record.window_s
    return {
        "name": record.protocol,
        "target": record.target,
        "test_digest": record.test_digest,
        "window_s": [start_s, end_s],
        "scale": record.scale,
        "static_labels_exchanged_back": record.exchange["exchanged"],
        "remark": record.remark,
    }


def describe_bundle(record) -> dict:
    """What `auricle predict` needs to know of the songs and labels a model was trained on."""
    start_s, end_s = record.window_s
    return {
        "target": record.target,
        "scale": record.scale,
        "window_s": [start_s, end_s],
        "clip_s": end_s - start_s,
    }


def problems(plain: dict) -> list[str]:
    """What is wrong with the loss, the crops and the folders of a configuration."""
    problems = []
    try:
        RegressionLoss(plain["loss"], plain["loss_mix"], plain["ccc_window"])
    except ValueError as error:
        problems.append(str(error))
    folder = (lambda value: value is None or isinstance(value, str), "a folder, or null for none")
    # A default of null takes anything: text must not reach a comparison.
    rules = {
        "crop_s": (_is_duration, "a number above 0 s, or null for the whole window"),
        "max_batch_s": (_is_duration, "a number above 0 s, or null for no limit"),
        "exclude_leakage": folder,
        "decoded_folder": folder,
        "table": (folder[0], "a file, or null for values.csv"),
        "average_checkpoints": whole(1),
    }
    problems += wrong_values(plain, rules)
    if plain["loss"] != "mse" and plain["batch_size"] == 1 and not plain["ccc_window"]:
        problems.append(
            "batch_size 1 without ccc_window: a CCC of one song is 0 whatever is predicted; give a "
            "larger batch_size, a ccc_window, or --loss mse"
        )
    return problems


def _is_duration(value) -> bool:
    return value is None or (is_number(value) and 0 < value < math.inf)
