"""From the prepared recordings to batches: crops, speeds, whole recordings for evaluation."""

from __future__ import annotations

from pathlib import Path

from speechbrain.dataio.dataset import DynamicItemDataset

from ...processing.data.audio import read_audio
from ...processing.data.augmentation.crops import RandomCrop, evenly_spaced
from ...processing.data.augmentation.speed import SpeedPerturbation
from ...processing.data.cache import AudioCache
from ..training.preparation import on_every_rank
from .prepare import prepare
from .prepared import Prepared

__all__ = ["build_datasets", "class_labels", "prepare_from"]

SPLITS = ("train", "valid", "test")
_ALL_S = 1e6  # longer than any recording


def prepare_from(plain: dict, folder: Path) -> Prepared:
    """Prepare the data a configuration describes; every rank gets the same.

    Arguments
    ---------
    plain : plain values of the YAML
    folder : the data folder
    """
    protocol = plain["protocol"]
    if protocol == "list":
        protocol = f"list-{Path(str(plain['trial_list'])).stem}"
    arguments = {
        "data_folder": folder,
        # Preparation depends on data and protocol, not on the model: runs share it.
        "output_folder": Path(plain["results_folder"])
        / "prepared"
        / "-".join(
            [
                Path(folder).resolve().name,
                protocol,
                plain["train_on"],
                f"valid{plain['valid_speakers']:g}",
                f"max{plain['max_per_speaker']}",
                f"seed{plain['data_seed']}",
            ]
        ),
        "protocol": plain["protocol"],
        "train_on": plain["train_on"],
        "voxceleb2_folder": plain["voxceleb2_folder"],
        "trial_list": plain["trial_list"],
        "valid_speakers": plain["valid_speakers"],
        "valid_trials": plain["valid_trials"],
        "seed": plain["data_seed"],
        "min_duration_s": plain["min_duration_s"],
        "skip_broken": plain["skip_broken"],
        "max_per_speaker": plain["max_per_speaker"],
    }
    return on_every_rank(prepare, arguments)


def class_labels(prepared: Prepared, speed_factors: list[float]) -> list[str]:
    """Names of the classes: the speakers, and each of them once more for every further speed."""
    factors = speed_factors or [1.0]
    return [
        speaker if factor == 1 else f"{speaker}@{factor:g}"
        for factor in factors
        for speaker in prepared.labels
    ]


class _Recordings(DynamicItemDataset):
    """A dataset whose items may change from epoch to epoch."""

    def set_epoch(self, epoch: int) -> None:
        """Worker processes are started anew in every epoch and see it."""
        self.epoch = epoch


def build_datasets(hparams: dict, prepared: Prepared) -> dict[str, DynamicItemDataset]:
    """One SpeechBrain dataset per split: `id`, `sig` (T,), and in training `target`.

    Training sees a random crop of each recording, another one in every epoch, at a random one of
    the speeds. Validation during training takes the middle of each recording; `final_valid` and
    `test` all of it.
    """
    rate, seed = hparams["sample_rate"], hparams["seed"]
    total_s = sum(float(prepared.utterances[split].durations_s.sum()) for split in SPLITS)
    # Where not everything fits, keeping a part of it would decode whole files for their crops.
    fits = total_s * rate * 4 <= hparams["cache_gb"] * 1e9
    cache = AudioCache(hparams["cache_gb"] if fits else 0)

    def reader(split):
        utterances = prepared.utterances[split]

        def read(name, start=0, size=None):
            path = utterances.path(name)
            if not fits:
                return read_audio(path, rate, start_sample=start, num_samples=size)
            whole = cache.get(name, lambda: read_audio(path, rate))
            return whole[start:] if size is None else whole[start : start + size]

        def length(name):
            return round(utterances[name]["duration_s"] * rate)

        return read, length

    def dataset(split, crop_s):
        read, length = reader(split)
        utterances = prepared.utterances[split]
        made = _Recordings(utterances)

        def clip(name):
            if not crop_s:
                return read(name)
            ((start, size),) = evenly_spaced(length(name), round(crop_s * rate), 1)
            return read(name, start, size)

        made.add_dynamic_item(clip, takes="id", provides="sig")
        made.set_output_keys(["id", "sig"])
        made.durations_s = utterances.durations_s.clip(max=crop_s or None).tolist()
        return made

    train = _training_set(hparams, prepared, *reader("train"), seed)
    return {
        "train": train,
        "valid": dataset("valid", hparams["valid_crop_s"]),
        "final_valid": dataset("valid", 0),
        "test": dataset("test", 0),
    }


def _training_set(hparams, prepared, read, length, seed) -> _Recordings:
    rate, utterances = hparams["sample_rate"], prepared.utterances["train"]
    train = _Recordings(utterances)
    index = {label: number for number, label in enumerate(prepared.labels)}
    speed = SpeedPerturbation(len(index), hparams["speed_factors"], seed)
    crop = RandomCrop(round((hparams["crop_s"] or _ALL_S) * rate), seed)

    def example(name, speaker):
        factor = speed.draw(name, train.epoch)
        wanted = speed.num_samples_to_read(crop.crop_samples, factor)
        start, size = crop.draw(name, length(name), train.epoch, wanted)
        yield speed.apply(read(name, start, size), factor, crop.crop_samples)
        yield speed.label(index[speaker], factor)

    train.add_dynamic_item(example, takes=["id", "speaker"], provides=["sig", "target"])
    train.set_output_keys(["id", "sig", "target"])
    train.durations_s = crop.durations_s(
        utterances.durations_s.tolist(), rate, slowest=min(speed.factors)
    )
    train.set_epoch(1)
    return train
