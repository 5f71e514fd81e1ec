"""From the prepared songs to batches: the window or random parts of it, labels on -1..1."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from speechbrain.dataio.dataset import DynamicItemDataset

from ...processing.data import manifest
from ...processing.data.augmentation.crops import RandomCrop
from ...processing.data.cache import AudioCache
from ...processing.scoring.regression.scales import LABEL_STEP_S, to_unit
from ..training.preparation import on_every_rank
from ..training.runner import RecipeError, tell
from .prepare import prepare
from .prepared import Prepared

__all__ = ["DIMENSIONS", "build_datasets", "prepare_from"]

DIMENSIONS = ("valence", "arousal")
SPLITS = ("train", "valid", "test")
#: Settings that a preparation depends on, those that its folder names and the others.
NAMED = ("protocol", "target", "window_s")
OTHERS = ("swap_2013_static", "short_clips", "sample_rate", "exclude_leakage", "skip_broken")


def prepare_from(plain: dict, folder: Path) -> Prepared:
    """Prepare the data a configuration describes; every rank gets the same.

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
    # Preparation depends on data and protocol, not on the model: runs share it, and all
    # preparations of one data set share its decoded songs.
    prepared = Path(plain["results_folder"]) / "prepared"
    corpus = Path(folder).resolve().name
    others = json.dumps({key: str(plain[key]) for key in OTHERS}, sort_keys=True)
    name = [corpus, plain["protocol"], plain["target"], f"seed{plain['data_seed']}"]
    if plain["window_s"]:
        name.append("{:g}to{:g}s".format(*plain["window_s"]))
    name.append(hashlib.sha256(others.encode()).hexdigest()[:6])
    arguments = {
        "data_folder": folder,
        "output_folder": prepared / "-".join(map(str, name)),
        "seed": plain["data_seed"],
        "cache_folder": plain["decoded_folder"] or prepared / f"{corpus}-decoded",
        **{key: plain[key] for key in (*NAMED, *OTHERS)},
    }
    found = on_every_rank(prepare, arguments)
    _refuse_constant_labels(found)
    return found


def _refuse_constant_labels(prepared) -> None:
    """Validation and test need labels that differ: better said now than after an epoch."""
    column = "dynamic_{}" if prepared.target == "dynamic" else "{}"
    for split in SPLITS[1:]:
        rows = prepared.rows(split)
        for dimension in DIMENSIONS:
            values = [row[column.format(dimension)] for row in rows]
            values = np.hstack([*values, np.nan]).astype(float)
            if len(np.unique(values[np.isfinite(values)])) < 2:
                raise RecipeError(
                    f"the split {split} has {len(rows)} songs, and no two different labels of "
                    f"{dimension}: agreement with a constant cannot be scored. Give more songs, or "
                    "another data_seed where the split is drawn"
                )


class Songs(DynamicItemDataset):
    """A dataset of songs whose items may change from epoch to epoch.

    Attributes
    ----------
    durations_s : list of float
        The longest that each item may be.
    """

    durations_s: list[float]

    def set_epoch(self, epoch: int) -> None:
        """Worker processes are started anew in every epoch and see it."""
        self.epoch = epoch


def build_datasets(hparams: dict, prepared: Prepared) -> dict[str, Songs]:
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
    make = _dynamic_set if prepared.target == "dynamic" else _static_set
    sets = {
        split: make(
            prepared, split, hparams["crop_s"] if split == "train" else None, cache, hparams
        )
        for split in SPLITS
    }
    return sets


def _crop(crop_s, step_s, seed, durations_s) -> tuple[RandomCrop | None, list[float]]:
    """What draws crops of whole steps, None without; and how long each item is then."""
    if not crop_s:
        return None, durations_s
    if crop_s > max(durations_s):
        raise RecipeError(
            f"crop_s is {crop_s:g}, and the longest song has {max(durations_s):g} s with labels in "
            "the window: give a shorter crop_s, a longer window_s, or null for the whole window"
        )
    crop = RandomCrop(max(1, round(crop_s / step_s)), seed)
    return crop, [min(duration_s, crop.crop_samples * step_s) for duration_s in durations_s]


def _reader(prepared, rows, cache, rate):
    def read(name):
        return cache.get(name, lambda: manifest.read_row(rows[name], prepared.roots, rate))

    return read


def _static_set(prepared, split, crop_s, cache, hparams) -> Songs:
    rate = hparams["sample_rate"]
    rows = {row["id"]: row for row in prepared.rows(split)}
    songs = Songs({name: {} for name in rows})
    read = _reader(prepared, rows, cache, rate)
    durations_s = [rows[name]["duration_s"] for name in songs.data_ids]
    crop, songs.durations_s = _crop(crop_s, 1 / rate, hparams["seed"], durations_s)

    def signal(name):
        wav = read(name)
        if crop is None:
            return wav
        start, size = crop.draw(name, len(wav), songs.epoch)
        return wav[start : start + size]

    def target(name):
        labels = torch.tensor([rows[name][dimension] for dimension in DIMENSIONS])
        return to_unit(labels, prepared.scale)

    songs.add_dynamic_item(signal, takes="id", provides="sig")
    songs.add_dynamic_item(target, takes="id", provides="target")
    songs.add_dynamic_item(lambda name: name, takes="id", provides="group")
    songs.set_output_keys(["id", "sig", "target", "group"])
    songs.set_epoch(1)
    return songs


def _dynamic_set(prepared, split, crop_s, cache, hparams) -> Songs:
    rate = hparams["sample_rate"]
    rows = {row["id"]: row for row in prepared.rows(split)}
    labels = {name: _labels(row, prepared.scale) for name, row in rows.items()}
    songs = Songs({name: {} for name in rows if len(labels[name][1])})
    read = _reader(prepared, rows, cache, rate)
    durations_s = [len(labels[name][1]) * LABEL_STEP_S for name in songs.data_ids]
    crop, songs.durations_s = _crop(crop_s, LABEL_STEP_S, hparams["seed"], durations_s)
    used, there = sum(durations_s) / LABEL_STEP_S, prepared.counts[split]["dynamic_labels"]
    if used < there:
        tell(
            f"{split}: {used:.0f} of {there} labels over time are used, of each song the longest "
            "run without a gap"
        )

    def example(name):
        first_s, target = labels[name]
        start, size = 0, len(target)
        if crop is not None:
            start, size = crop.draw(name, size, songs.epoch)
        begin_s = first_s + start * LABEL_STEP_S
        wav = read(name)[round(begin_s * rate) : round((begin_s + size * LABEL_STEP_S) * rate)]
        missing = round(size * LABEL_STEP_S * rate) - len(wav)
        # The last label's share may end behind the window.
        yield torch.nn.functional.pad(wav, (0, max(0, missing)))
        yield target[start : start + size]
        yield rows[name]["start_s"] + begin_s + LABEL_STEP_S * torch.arange(size).double()

    songs.add_dynamic_item(example, takes="id", provides=["sig", "target", "times_s"])
    songs.add_dynamic_item(lambda name: name, takes="id", provides="group")
    songs.set_output_keys(["id", "sig", "target", "times_s", "group"])
    songs.set_epoch(1)
    return songs


def _labels(row, scale) -> tuple[float, torch.Tensor]:
    """Time in the clip and values (N, 2) of a song's longest run of labels without a gap."""
    values = [row[f"dynamic_{dimension}"] for dimension in DIMENSIONS]
    target = to_unit(torch.tensor(values, dtype=torch.float32).T, scale)
    best, start = (0, 0), 0
    for end, there in enumerate([*torch.isfinite(target).all(1).tolist(), False]):
        if not there:
            best, start = max(best, (end - start, -start)), end + 1
    size, first = best[0], -best[1]
    return row["dynamic_start_s"] + first * LABEL_STEP_S, target[first : first + size]
