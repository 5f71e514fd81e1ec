"""Datasets of prepared utterances: waveforms at several speeds, units, and the steps CTC needs."""

import functools
import math
from pathlib import Path

import torch

from ...processing.data.augmentation.speed import SpeedPerturbation
from ...processing.data.dataset import AudioCache, Recordings, row_reader
from ...processing.data.manifest import SPLITS
from ...processing.system.listing import first_lines
from ...processing.transcription.forced_alignment import steps_needed
from ...processing.transcription.units import Units
from ..training.preparation import prepare_configured
from .prepare import prepare
from .record import TimitRecord


def prepare_from(plain: dict, folder: Path) -> TimitRecord:
    """Prepare the data that a configuration describes; every rank gets the same record.

    Arguments
    ---------
    plain : plain values of the YAML
    folder : the data folder
    """
    name = plain["protocol"], f"seed{plain['data_seed']}"
    return prepare_configured(prepare, plain, folder, name)


class Utterances(Recordings):
    """A split of transcribed recordings, played at other speeds in every epoch.

    Items are `id`, `sig` (T,), `target` (U,) and `reference` (tokens). Of a split with speeds each
    item is at a random one; what was spoken stays the same.

    Arguments
    ---------
    rows : list of dict
        Of the manifest.
    read : callable
        From an id to its waveform.
    units : Units
    rate : int
        In Hz.
    speed : SpeedPerturbation

    Attributes
    ----------
    shortest_samples : list of int
        The fewest samples that each may have, played at the fastest speed.
    targets : dict
        LongTensor of units by id.
    """

    def __init__(self, rows, read, units: Units, rate: int, speed: SpeedPerturbation):
        # Transcripts are encoded once, so that one that cannot be is found before training starts.
        self.targets = {row["id"]: torch.tensor(units.encode(row)) for row in rows}
        references = {row["id"]: units.reference(row) for row in rows}
        outputs = {
            "sig": lambda name: speed.apply(read(name), speed.draw(name, self.epoch)),
            "target": self.targets.__getitem__,
            "reference": references.__getitem__,
        }
        durations_s = [row["duration_s"] for row in rows]
        slowest, fastest = min(speed.factors), max(speed.factors)
        super().__init__(
            {row["id"]: {} for row in rows}, outputs, [seconds / slowest for seconds in durations_s]
        )
        self.shortest_samples = [
            math.ceil(round(seconds * rate) / fastest) for seconds in durations_s
        ]


def build_datasets(hparams: dict, record: TimitRecord, units: Units) -> dict[str, Utterances]:
    """One dataset per split; only training hears the speeds of `speed_factors`.

    Raises
    ------
    ValueError
        An utterance that yields no unit, by name; speed factors that cannot be.
    """
    rate = hparams["sample_rate"]
    cache = AudioCache(hparams["cache_gb"])
    speed = SpeedPerturbation(1, hparams["speed_factors"], hparams["seed"])

    def dataset(split):
        rows = record.rows(split)
        read = row_reader({row["id"]: row for row in rows}, record.roots, rate, cache)
        return Utterances(
            rows, read, units, rate, speed if split == "train" else SpeedPerturbation(1, [])
        )

    return {split: dataset(split) for split in SPLITS}


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
        lines = first_lines(
            f"{split} {name}: {samples} samples give {steps} steps, {units} units with their "
            f"repeats need {needed}"
            for split, name, samples, steps, needed, units in short
        )
        raise ValueError(
            f"{len(short)} utterances have fewer steps than CTC needs for their transcripts:{lines}"
            "\nTake an encoder of smaller stride, a frontend of smaller hop, units of which there "
            "are fewer (bpe), or slower speed_factors; or leave these utterances out of the data."
        )
