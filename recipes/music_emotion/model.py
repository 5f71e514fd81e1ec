"""What the recipe puts around the lobes: what a result and a bundle say, what is left of a test."""

from __future__ import annotations

import math

from ...lobes.concordance import regression_loss
from .. import runner

__all__ = [
    "HEAD",
    "describe_bundle",
    "describe_protocol",
    "needed_output",
    "problems",
    "report_memory",
]

HEAD = {"name": "regression", "options": {}}


def needed_output(plain: dict) -> str | None:
    """What the target needs of an encoder: frames over time; per song, either will do."""
    return "frames" if plain["target"] == "dynamic" else None


def report_memory(run, sets) -> None:
    """Say what training will take, before it does; songs are as long as the longest part heard."""
    hparams = run.hparams
    train_s = max(sets["train"].durations_s)
    batch = hparams["batch_size"]
    if hparams["max_batch_s"]:
        batch = max(1, min(batch or math.inf, int(hparams["max_batch_s"] / train_s)))
    # Decoded songs are kept as 16 bits.
    total_s = sum(row["duration_s"] for row in run.prepared.rows())
    decoded_bytes = min(2 * total_s * hparams["sample_rate"], hparams["cache_gb"] * 1e9)
    runner.report_memory(run, train_s, batch, cache_bytes=int(decoded_bytes))


def describe_protocol(prepared) -> dict:
    """All that two scores have to share to be compared."""
    start_s, end_s = prepared.window_s
    return {
        "name": prepared.protocol,
        "target": prepared.target,
        "test_digest": prepared.test_digest,
        "window_s": [start_s, end_s],
        "scale": prepared.scale,
        "static_labels_exchanged_back": prepared.exchange["exchanged"],
        "remark": prepared.remark,
    }


def describe_bundle(prepared) -> dict:
    """What `auricle predict` needs to know of the songs and labels a model was trained on."""
    start_s, end_s = prepared.window_s
    return {
        "target": prepared.target,
        "scale": prepared.scale,
        "window_s": [start_s, end_s],
        "clip_s": end_s - start_s,
    }


def problems(plain: dict) -> list[str]:
    """What is wrong with the loss, the crops and the folders of a configuration."""
    found = []
    try:
        regression_loss(plain["loss"], plain["loss_mix"], plain["ccc_window"])
    except ValueError as error:
        found.append(str(error))
    for key, without in (("crop_s", "for the whole window"), ("max_batch_s", "for no limit")):
        value = plain[key]
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        # A default of null takes anything: text must not reach a comparison.
        if value is not None and not (number and 0 < value < math.inf):
            found.append(f"{key} must be a number above 0 s, or null {without}, got {value!r}")
    for key in ("exclude_leakage", "decoded_folder"):
        if not isinstance(plain[key], (str, type(None))):
            found.append(f"{key} must be a folder, or null for none, got {plain[key]!r}")
    if plain["loss"] != "mse" and plain["batch_size"] == 1 and not plain["ccc_window"]:
        found.append(
            "batch_size 1 without ccc_window: a CCC of one song is 0 whatever is predicted; give a "
            "larger batch_size, a ccc_window, or --loss mse"
        )
    if plain["average_checkpoints"] < 1:
        found.append(f"average_checkpoints must be at least 1, got {plain['average_checkpoints']}")
    return found
