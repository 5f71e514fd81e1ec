"""From the prepared utterances to batches: whole recordings, their units, other speeds in training."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import torch
from speechbrain.dataio.dataset import DynamicItemDataset

from ...processing.data import manifest
from ...processing.data.augmentation.speed import SpeedPerturbation
from ...processing.data.cache import AudioCache
from ...processing.transcription.forced_alignment import steps_needed
from ...processing.transcription.units import Units
from ..training.preparation import on_every_rank
from .prepare import prepare
from .prepared import Prepared

__all__ = ["Utterances", "build_datasets", "check_steps", "prepare_from"]

SPLITS = ("train", "valid", "test")
_MAX_EXAMPLES = 5


def prepare_from(plain: dict, folder: Path) -> Prepared:
    """Prepare the data a configuration describes; every rank gets the same.

    Arguments
    ---------
    plain : plain values of the YAML
    folder : the data folder
    """
    # Preparation depends on data and protocol, not on the model: runs share it.
    name = "-".join(
        [Path(folder).resolve().name, str(plain["protocol"]), f"seed{plain['data_seed']}"]
    )
    arguments = {
        "data_folder": folder,
        "output_folder": Path(plain["results_folder"]) / "prepared" / name,
        "protocol": plain["protocol"],
        "seed": plain["data_seed"],
        "skip_broken": plain["skip_broken"],
    }
    return on_every_rank(prepare, arguments)


class Utterances(DynamicItemDataset):
    """A dataset of transcribed recordings whose items may change from epoch to epoch.

    Attributes
    ----------
    durations_s : list of float
        The longest that each item may be.
    shortest_samples : list of int
        The fewest samples that each may have, played at the fastest speed.
    targets : dict
        LongTensor of units by id.
    """

    durations_s: list[float]
    shortest_samples: list[int]
    targets: dict[str, torch.Tensor]

    def set_epoch(self, epoch: int) -> None:
        """Worker processes are started anew in every epoch and see it."""
        self.epoch = epoch


def build_datasets(hparams: dict, prepared: Prepared, units: Units) -> dict[str, Utterances]:
    """One SpeechBrain dataset per split: `id`, `sig` (T,), `target` (U,), `reference` (tokens).

    In training each utterance is played at a random one of `speed_factors`, another one in every
    epoch; what was said stays the same. Validation and test are as recorded.

    Raises
    ------
    ValueError
        An utterance that yields no unit, by name; speed factors that cannot be.
    """
    rate = hparams["sample_rate"]
    cache = AudioCache(hparams["cache_gb"])
    speed = SpeedPerturbation(1, hparams["speed_factors"], hparams["seed"])
    unchanged = SpeedPerturbation(1, [])
    return {
        split: _dataset(
            prepared, split, units, rate, cache, speed if split == "train" else unchanged
        )
        for split in SPLITS
    }


def _dataset(prepared, split, units, rate, cache, speed) -> Utterances:
    all_rows = prepared.rows(split)
    rows = {row["id"]: row for row in all_rows}
    dataset = Utterances(manifest.by_id(all_rows))
    # Transcripts are encoded once, so that one that cannot be is found before training starts.
    dataset.targets = {name: torch.tensor(units.encode(row)) for name, row in rows.items()}
    references = {name: units.reference(row) for name, row in rows.items()}

    def signal(name):
        wav = cache.get(name, lambda: manifest.read_row(rows[name], prepared.roots, rate))
        return speed.apply(wav, speed.draw(name, dataset.epoch))

    dataset.add_dynamic_item(signal, takes="id", provides="sig")
    dataset.add_dynamic_item(dataset.targets.__getitem__, takes="id", provides="target")
    dataset.add_dynamic_item(references.__getitem__, takes="id", provides="reference")
    dataset.set_output_keys(["id", "sig", "target", "reference"])
    durations_s = [rows[name]["duration_s"] for name in dataset.data_ids]
    dataset.durations_s = [duration_s / min(speed.factors) for duration_s in durations_s]
    dataset.shortest_samples = [
        math.ceil(round(duration_s * rate) / max(speed.factors)) for duration_s in durations_s
    ]
    dataset.set_epoch(1)
    return dataset


def check_steps(sets: dict[str, Utterances], frontend, encoder) -> None:
    """Every utterance must give CTC the steps its transcript needs, at the fastest speed as well.

    Arguments
    ---------
    sets : what `build_datasets` gives
    frontend, encoder : lobes; their `num_frames` is asked, nothing is computed

    Raises
    ------
    ValueError
        One or more have too few; they are named, with what can be done.
    """

    @functools.cache
    def steps_of(num_samples):
        return encoder.num_frames(frontend.num_frames(num_samples))

    short = []
    for split, dataset in sets.items():
        for name, samples in zip(dataset.data_ids, dataset.shortest_samples, strict=True):
            steps, needed = steps_of(samples), steps_needed(dataset.targets[name].tolist())
            if steps < needed:
                short.append((split, name, samples, steps, needed, len(dataset.targets[name])))
    if short:
        lines = "".join(
            f"\n  {split} {name}: {samples} samples give {steps} steps, {units} units with their "
            f"repeats need {needed}"
            for split, name, samples, steps, needed, units in short[:_MAX_EXAMPLES]
        )
        more = len(short) - _MAX_EXAMPLES
        raise ValueError(
            f"{len(short)} utterances have fewer steps than CTC needs for their transcripts:{lines}"
            + (f"\n  ... and {more} more" if more > 0 else "")
            + "\nTake an encoder of smaller stride, a frontend of smaller hop, units of which there "
            "are fewer (bpe), or slower speed_factors; or leave these utterances out of the data."
        )
