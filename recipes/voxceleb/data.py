"""Datasets of prepared recordings: crops and speeds in training, whole recordings in the test."""

from pathlib import Path

from ...processing.data.audio import read_audio
from ...processing.data.augmentation.crops import RandomCrop, evenly_spaced
from ...processing.data.augmentation.speed import SpeedPerturbation
from ...processing.data.dataset import AudioCache, Recordings
from ...processing.data.manifest import SPLITS
from ..training.preparation import prepare_configured
from .prepare import prepare
from .record import VoxCelebRecord
from .utterances import Utterances

_ALL_S = 1e6  # longer than any recording


def prepare_from(plain: dict, folder: Path) -> VoxCelebRecord:
    """Prepare the data that a configuration describes; every rank gets the same record.

    Arguments
    ---------
    plain : plain values of the YAML
    folder : the data folder
    """
    protocol = plain["protocol"]
    if protocol == "list":
        protocol = f"list-{Path(str(plain['trial_list'])).stem}"
    name = [
        protocol,
        plain["train_on"],
        f"valid{plain['valid_speakers']:g}",
        f"max{plain['max_per_speaker']}",
        f"seed{plain['data_seed']}",
    ]
    return prepare_configured(prepare, plain, folder, name)


def class_labels(record: VoxCelebRecord, speed_factors: list[float]) -> list[str]:
    """Names of the classes: the speakers, and each of them once more for every further speed."""
    factors = speed_factors or [1.0]
    return [
        speaker if factor == 1 else f"{speaker}@{factor:g}"
        for factor in factors
        for speaker in record.labels
    ]


class Reader:
    """Reads recordings of all splits, or parts of them.

    Where everything fits into the cache, recordings are decoded once; where not, keeping some would
    decode whole files for their crops.
    """

    def __init__(self, record: VoxCelebRecord, sample_rate: int, cache_gb: float):
        self.total_s = sum(float(record.utterances[split].durations_s.sum()) for split in SPLITS)
        self.sample_rate = sample_rate
        self.fits = self.total_s * sample_rate * 4 <= cache_gb * 1e9
        self.cache = AudioCache(cache_gb if self.fits else 0)

    def read(self, utterances: Utterances, name: str, start: int = 0, size: int | None = None):
        """Waveform (T,) of `size` samples from `start` on; None: to the end."""
        path = utterances.path(name)
        if not self.fits:
            return read_audio(path, self.sample_rate, start_sample=start, num_samples=size)
        whole = self.cache.get(name, lambda: read_audio(path, self.sample_rate))
        return whole[start:] if size is None else whole[start : start + size]

    def length(self, utterances: Utterances, name: str) -> int:
        """Samples of a recording."""
        return round(utterances[name]["duration_s"] * self.sample_rate)


def cached_s(hparams: dict, record: VoxCelebRecord) -> float:
    """Seconds of decoded audio that a run keeps in memory: all recordings, or none."""
    reader = Reader(record, hparams["sample_rate"], hparams["cache_gb"])
    return reader.total_s if reader.fits else 0.0


def build_datasets(hparams: dict, record: VoxCelebRecord) -> dict[str, Recordings]:
    """One SpeechBrain dataset per split: `id`, `sig` (T,), and in training `target`.

    Training sees a random crop of each recording, another one in every epoch, at a random one of
    the speeds. Validation during training takes the middle of each recording; `final_valid` and
    `test` all of it.
    """
    rate = hparams["sample_rate"]
    reader = Reader(record, rate, hparams["cache_gb"])

    def dataset(split, crop_s):
        utterances = record.utterances[split]

        def clip(name):
            if not crop_s:
                return reader.read(utterances, name)
            length = reader.length(utterances, name)
            return reader.read(utterances, name, *evenly_spaced(length, round(crop_s * rate), 1)[0])

        durations_s = utterances.durations_s.clip(max=crop_s or None).tolist()
        return Recordings(utterances, {"sig": clip}, durations_s)

    return {
        "train": _training_set(hparams, record, reader),
        "valid": dataset("valid", hparams["valid_crop_s"]),
        "final_valid": dataset("valid", 0),
        "test": dataset("test", 0),
    }


def _training_set(hparams: dict, record: VoxCelebRecord, reader: Reader) -> Recordings:
    rate, seed, utterances = hparams["sample_rate"], hparams["seed"], record.utterances["train"]
    index = {label: number for number, label in enumerate(record.labels)}
    speed = SpeedPerturbation(len(index), hparams["speed_factors"], seed)
    crop = RandomCrop(round((hparams["crop_s"] or _ALL_S) * rate), seed)

    def signal(name):
        factor = speed.draw(name, train.epoch)
        num_to_read = speed.num_samples_to_read(crop.crop_samples, factor)
        start, size = crop.draw(name, reader.length(utterances, name), train.epoch, num_to_read)
        wav = reader.read(utterances, name, start, size)
        return speed.apply(wav, factor, crop.crop_samples)

    def target(name):
        return speed.label(index[utterances[name]["speaker"]], speed.draw(name, train.epoch))

    durations_s = crop.durations_s(
        utterances.durations_s.tolist(), rate, slowest=min(speed.factors)
    )
    train = Recordings(utterances, {"sig": signal, "target": target}, durations_s)
    return train
