"""Datasets of prepared own recordings: parts that an epoch hears, balanced draws, targets."""

import hashlib
import json
from pathlib import Path

import torch

from ...processing.data.augmentation.crops import RandomCrop, cut_rows
from ...processing.data.dataset import AudioCache, Recordings, read_row
from ...processing.data.manifest import SPLITS
from ...processing.data.seeding import generator_for, seed_for
from ..training.preparation import prepare_configured
from .prepare import prepare
from .record import SoundsRecord

#: Settings that a preparation depends on and that its folder's name holds as a digest only.
DIGESTED = (
    *("table", "name_pattern", "task", "valid_share", "test_share", "sample_rate", "skip_broken"),
    "fold",
)


def prepare_from(plain: dict, folder: Path) -> SoundsRecord:
    """Prepare the data that a configuration describes; every rank gets the same record."""
    others = json.dumps({key: str(plain[key]) for key in DIGESTED}, sort_keys=True)
    name = [plain["protocol"], f"seed{plain['data_seed']}"]
    name.append(hashlib.sha256(others.encode()).hexdigest()[:6])
    scans = f"{Path(folder).resolve().name}-scan.csv"
    return prepare_configured(
        prepare, plain, folder, name, scan_cache=Path(plain["results_folder"], "prepared", scans)
    )


def clip_samples(hparams: dict) -> int | None:
    """Samples of a clip; None where recordings are heard whole."""
    if hparams["long_clips"] == "whole":
        return None
    return round(hparams["clip_s"] * hparams["sample_rate"])


def build_datasets(hparams: dict, record: SoundsRecord) -> dict[str, Recordings]:
    """One SpeechBrain dataset per split: `id`, `sig` (T,), `target`, `group`.

    The target is a class index, or (C,) with 1 for every tag. Validation and test give recordings
    whole, of which the Brain hears clips, unless `long_clips` is first or centre.
    """
    cache = AudioCache(hparams["cache_gb"])
    return {split: RecordingSet(hparams, record, split, cache).recordings for split in SPLITS}


class RecordingSet:
    """The recordings of one split, as `recordings`.

    Arguments
    ---------
    hparams : what the YAML builds
    record : SoundsRecord
    split : str
    cache : AudioCache, which keeps recordings at the model's rate
    """

    def __init__(self, hparams: dict, record: SoundsRecord, split: str, cache: AudioCache):
        self.rate, self.roots, self.cache = hparams["sample_rate"], record.roots, cache
        self.seed, training = hparams["seed"], split == "train"
        size, how = clip_samples(hparams), hparams["long_clips"]
        rows = {row["id"]: row for row in record.rows(split)}
        self.rows = rows
        #: First sample and number of samples of an item's part, at the model's rate.
        self.parts = {}
        if size and (how in ("first", "centre") or (training and how == "windows")):
            items = self._cut(size, how)
        else:
            items = dict(zip(rows, rows, strict=True))
        #: The row that each item is a part of.
        self.items = items
        self.crop = RandomCrop(size, self.seed) if size and training and how == "crop" else None
        self.rolls = training and hparams["time_roll"]
        self.gain_db = hparams["gain_db"] if training else 0.0
        self.targets = {name: _target(record, rows[row]) for name, row in items.items()}
        self.slots = None
        names = list(items)
        if training and hparams["balanced"]:
            names = self._balance(record)
        limit_s = hparams["clip_s"] if training and size else float("inf")
        durations_s = [min(self._duration_s(name), limit_s) for name in names]
        outputs = {
            "sig": self.signal,
            "target": lambda name: self.targets[self.drawn(name)],
            "group": self.group,
        }
        self.recordings = Recordings({name: {} for name in names}, outputs, durations_s)

    def _cut(self, size: int, how: str) -> dict[str, str]:
        """Items by id with the row that each is a part of."""
        whole = [{"id": name, "duration_s": row["duration_s"]} for name, row in self.rows.items()]
        items = {}
        for part in cut_rows(whole, size, self.rate, how):
            name = part["id"]
            row = name if name in self.rows else name.rpartition("@")[0]
            items[name] = row
            if "num_samples" in part:
                self.parts[name] = (part["start_sample"], part["num_samples"])
        return items

    def _balance(self, record: SoundsRecord) -> list[str]:
        """Slots, as many as items, of which each class has equally many; an epoch fills them."""
        by_label = {}
        for name, row in self.items.items():
            for label in record.labels_of(self.rows[row]) or [""]:
                by_label.setdefault(label, []).append(name)
        labels = [label for label in [*record.classes, ""] if label in by_label]
        self.by_label = by_label
        self.slots = {
            f"slot {number}": (labels[number % len(labels)], number // len(labels))
            for number in range(len(self.items))
        }
        self.longest_s = {
            label: max(self._duration_of(name) for name in names)
            for label, names in by_label.items()
        }
        return list(self.slots)

    def _duration_of(self, name: str) -> float:
        if name in self.parts:
            return self.parts[name][1] / self.rate
        return self.rows[self.items[name]]["duration_s"]

    def _duration_s(self, name: str) -> float:
        """Of an item, or of the longest that a slot may hold."""
        return self.longest_s[self.slots[name][0]] if self.slots else self._duration_of(name)

    def drawn(self, name: str) -> str:
        """The item that this epoch puts into a slot; without slots the item itself."""
        if self.slots is None:
            return name
        label, number = self.slots[name]
        names = self.by_label[label]
        turn, place = divmod(number, len(names))
        draws = generator_for("balanced", self.seed, self.recordings.epoch, label, turn)
        return names[int(draws.permutation(len(names))[place])]

    def group(self, name: str) -> str:
        """What is resampled together: the group, else the file."""
        row = self.rows[self.items[self.drawn(name)]]
        return row["speaker"] or row["path"]

    def signal(self, name: str) -> torch.Tensor:
        """Waveform (T,) at the model's rate."""
        item, epoch = self.drawn(name), self.recordings.epoch
        row = self.rows[self.items[item]]
        wav = self.cache.get(row["id"], lambda: read_row(row, self.roots, self.rate, True))
        if item in self.parts:
            start, size = self.parts[item]
            wav = wav[start : start + size]
        if self.rolls:
            wav = wav.roll(seed_for("roll", self.seed, epoch, name) % len(wav))
        if self.gain_db:
            draw = generator_for("gain", self.seed, epoch, name).uniform(-1.0, 1.0)
            wav = wav * 10 ** (draw * self.gain_db / 20)
        if self.crop is not None:
            start, size = self.crop.draw(name, len(wav), epoch)
            wav = wav[start : start + size]
        return wav


def _target(record: SoundsRecord, row: dict):
    labels = record.labels_of(row)
    if record.task == "classification":
        return record.classes.index(labels[0])
    return torch.tensor([float(tag in labels) for tag in record.classes])
