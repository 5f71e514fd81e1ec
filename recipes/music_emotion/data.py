"""Datasets of prepared songs: the window or random parts of it, and labels on -1..1."""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

from ...processing.data.augmentation.crops import RandomCrop
from ...processing.data.dataset import AudioCache, Recordings, row_reader
from ...processing.data.manifest import SPLITS
from ...processing.scoring.regression.scales import LABEL_STEP_S, to_unit
from ..training.messages import RecipeError, tell
from ..training.preparation import prepare_configured
from .prepare import prepare
from .record import MusicRecord

#: Settings that a preparation depends on and that its folder's name holds as a digest only.
DIGESTED = (
    "table",
    "swap_2013_static",
    "short_clips",
    "sample_rate",
    "exclude_leakage",
    "skip_broken",
)


def prepare_from(plain: dict, folder: Path) -> MusicRecord:
    """Prepare the data that a configuration describes; every rank gets the same record.

    Arguments
    ---------
    plain : plain values of the YAML
    folder : the data folder

    Raises
    ------
    PreparationError
        Data that cannot be prepared.
    RecipeError
        Data that leaves nothing to score.
    """
    others = json.dumps({key: str(plain[key]) for key in DIGESTED}, sort_keys=True)
    name = [plain["protocol"], plain["target"], f"seed{plain['data_seed']}"]
    if plain["window_s"]:
        name.append("{:g}to{:g}s".format(*plain["window_s"]))
    name.append(hashlib.sha256(others.encode()).hexdigest()[:6])
    # All preparations of one data set share its decoded songs.
    decoded = f"{Path(folder).resolve().name}-decoded"
    cache_folder = plain["decoded_folder"] or Path(plain["results_folder"], "prepared", decoded)
    record = prepare_configured(prepare, plain, folder, name, cache_folder=cache_folder)
    _refuse_constant_labels(record)
    return record


def _refuse_constant_labels(record: MusicRecord) -> None:
    """Validation and test need labels that differ: raise now and not after an epoch."""
    column = "dynamic_{}" if record.target == "dynamic" else "{}"
    for split in SPLITS[1:]:
        rows = record.rows(split)
        for dimension in record.dimensions:
            values = [row[column.format(dimension)] for row in rows]
            values = np.hstack([*values, np.nan]).astype(float)
            if len(np.unique(values[np.isfinite(values)])) < 2:
                raise RecipeError(
                    f"the split {split} has {len(rows)} songs, and no two different labels of "
                    f"{dimension}: agreement with a constant cannot be scored. Give more songs, or "
                    "another data_seed where the split is drawn"
                )


def build_datasets(hparams: dict, record: MusicRecord) -> dict[str, Recordings]:
    """One SpeechBrain dataset per split: `id`, `sig` (T,), `target`, `group` (the song).

    A static target is (2,), valence and arousal from -1 to 1. A dynamic one is (N, 2), with
    `times_s` (N,) from the beginning of the song, and `sig` is the part of the song that the labels
    divide evenly. With `crop_s`, training hears another random part in every epoch; validation and
    test hear the whole window.

    Raises
    ------
    RecipeError
        A crop longer than what there is of every song.
    """
    cache = AudioCache(hparams["cache_gb"])
    make = _dynamic_set if record.target == "dynamic" else _static_set
    return {
        split: make(record, split, hparams["crop_s"] if split == "train" else None, cache, hparams)
        for split in SPLITS
    }


class _Crops:
    """The part of each song that an epoch hears, in whole steps; without `crop_s` all of it."""

    def __init__(self, crop_s, step_s, seed, durations_s):
        self.crop, self.durations_s = None, durations_s
        if not crop_s:
            return
        if crop_s > max(durations_s):
            raise RecipeError(
                f"crop_s is {crop_s:g}, and the longest song has {max(durations_s):g} s with "
                "labels in the window: give a shorter crop_s, a longer window_s, or null for the "
                "whole window"
            )
        self.crop = RandomCrop(max(1, round(crop_s / step_s)), seed)
        longest_s = self.crop.crop_samples * step_s
        self.durations_s = [min(duration_s, longest_s) for duration_s in durations_s]

    def part(self, name, steps, epoch):
        """First step and number of steps of a song that has so many."""
        return (0, steps) if self.crop is None else self.crop.draw(name, steps, epoch)


def _static_set(record, split, crop_s, cache, hparams) -> Recordings:
    rate = hparams["sample_rate"]
    rows = {row["id"]: row for row in record.rows(split)}
    read = row_reader(rows, record.roots, rate, cache, convert=record.protocol == "table")
    crops = _Crops(crop_s, 1 / rate, hparams["seed"], [row["duration_s"] for row in rows.values()])

    def signal(name):
        wav = read(name)
        start, size = crops.part(name, len(wav), songs.epoch)
        return wav[start : start + size]

    def target(name):
        labels = torch.tensor([rows[name][dimension] for dimension in record.dimensions])
        return to_unit(labels, record.scale)

    outputs = {"sig": signal, "target": target, "group": lambda name: name}
    songs = Recordings({name: {} for name in rows}, outputs, crops.durations_s)
    return songs


def _dynamic_set(record, split, crop_s, cache, hparams) -> Recordings:
    rate = hparams["sample_rate"]
    rows = {row["id"]: row for row in record.rows(split)}
    labels = {name: _labels(row, record.scale) for name, row in rows.items()}
    names = [name for name in rows if len(labels[name][1])]
    read = row_reader(rows, record.roots, rate, cache)
    durations_s = [len(labels[name][1]) * LABEL_STEP_S for name in names]
    crops = _Crops(crop_s, LABEL_STEP_S, hparams["seed"], durations_s)
    used, there = sum(durations_s) / LABEL_STEP_S, record.counts[split]["dynamic_labels"]
    if used < there:
        tell(
            f"{split}: {used:.0f} of {there} labels over time are used, of each song the longest "
            "run without a gap"
        )

    def part(name):
        first_s, target = labels[name]
        start, size = crops.part(name, len(target), songs.epoch)
        return first_s + start * LABEL_STEP_S, target[start : start + size]

    def signal(name):
        begin_s, target = part(name)
        end_s = begin_s + len(target) * LABEL_STEP_S
        wav = read(name)[round(begin_s * rate) : round(end_s * rate)]
        missing = round(len(target) * LABEL_STEP_S * rate) - len(wav)
        # The last label's share may end behind the window.
        return torch.nn.functional.pad(wav, (0, max(0, missing)))

    def times_s(name):
        begin_s, target = part(name)
        return rows[name]["start_s"] + begin_s + LABEL_STEP_S * torch.arange(len(target)).double()

    outputs = {
        "sig": signal,
        "target": lambda name: part(name)[1],
        "times_s": times_s,
        "group": lambda name: name,
    }
    songs = Recordings({name: {} for name in names}, outputs, crops.durations_s)
    return songs


def _labels(row, scale) -> tuple[float, torch.Tensor]:
    """Time in the clip and values (N, 2) of a song's longest run of labels without a gap."""
    values = [row[f"dynamic_{dimension}"] for dimension in ("valence", "arousal")]
    target = to_unit(torch.tensor(values, dtype=torch.float32).T, scale)
    best, start = (0, 0), 0
    for end, there in enumerate([*torch.isfinite(target).all(1).tolist(), False]):
        if not there:
            best, start = max(best, (end - start, -start)), end + 1
    size, first = best[0], -best[1]
    return row["dynamic_start_s"] + first * LABEL_STEP_S, target[first : first + size]
