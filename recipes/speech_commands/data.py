"""Datasets of prepared Speech Commands clips, and the augmentation of their training."""

from pathlib import Path

import torch
from torch import nn

from ...processing.data import manifest
from ...processing.data.audio import read_audio
from ...processing.data.augmentation.background_noise import BackgroundNoise
from ...processing.data.augmentation.time_shift import TimeShift
from ...processing.data.cache import AudioCache
from ...processing.data.dataset import Recordings, row_reader
from ..training.preparation import prepare_configured
from .prepare import prepare
from .protocols import SAMPLE_RATE_HZ, SILENCE
from .record import SpeechCommandsRecord


def prepare_from(plain: dict, folder: Path) -> SpeechCommandsRecord:
    """Prepare the data that a configuration describes; every rank gets the same record.

    Arguments
    ---------
    plain : plain values of the YAML
    folder : the data folder
    """
    name = plain["protocol"], f"max{plain['max_per_class']}", f"seed{plain['data_seed']}"
    return prepare_configured(prepare, plain, folder, name)


def build_datasets(hparams: dict, record: SpeechCommandsRecord) -> dict[str, Recordings]:
    """One SpeechBrain dataset per split: `id`, `sig` (T,), `target` (class index), `group` (speaker)."""
    rate = hparams["sample_rate"]
    if rate != SAMPLE_RATE_HZ:
        raise ValueError(f"Speech Commands is {SAMPLE_RATE_HZ} Hz audio, got sample_rate {rate}")
    index = {label: number for number, label in enumerate(record.labels)}
    cache = AudioCache(hparams["cache_gb"])
    size = round(hparams["clip_s"] * rate)

    def dataset(split):
        rows = manifest.by_id(record.rows(split))
        read = row_reader(rows, record.roots, rate, cache)

        def clip(name):
            wav = read(name)[:size]
            # Padding copies, even by nothing.
            return wav if len(wav) == size else nn.functional.pad(wav, (0, size - len(wav)))

        outputs = {
            "sig": clip,
            "target": lambda name: index[rows[name]["label"]],
            # A speaker's clips succeed or fail together; silence has no speaker and stands for
            # itself.
            "group": lambda name: rows[name]["speaker"] or name,
        }
        return Recordings(rows, outputs, [hparams["clip_s"]] * len(rows))

    return {split: dataset(split) for split in manifest.SPLITS}


class KeywordAugmentation(nn.Module):
    """Time shift and background noise together with one probability; silence always gets noise.

    Arguments
    ---------
    shift : TimeShift
    noise, silence_noise : BackgroundNoise
    probability : float
        That a clip is shifted and gets noise.
    silence_class : int or None
        Class index of silence.

    Shape
    -----
    wavs (B, T), lengths (B,), batch with `target` (B,), class indices -> (B, T)

    References
    ----------
    B. Kim et al., Broadcasted Residual Learning for Efficient Keyword Spotting, 2021;
    Qualcomm-AI-research/bcresnet@656f947: shift and noise are applied together with probability
    0.8, and clips of silence always get noise of amplitude up to 1.
    """

    def __init__(self, shift, noise, silence_noise, probability, silence_class=None):
        super().__init__()
        self.shift, self.noise, self.silence_noise = shift, noise, silence_noise
        self.probability = probability
        self.silence_class = -1 if silence_class is None else silence_class

    def forward(self, wavs: torch.Tensor, lengths: torch.Tensor, batch) -> torch.Tensor:
        active = torch.rand(len(wavs), device=wavs.device) < self.probability
        silent = torch.as_tensor(batch.target, device=wavs.device) == self.silence_class
        wavs = self.noise(self.shift(wavs, active & ~silent), active & ~silent)
        return self.silence_noise(wavs, silent) if silent.any() else wavs


def build_augmentation(hparams: dict, record: SpeechCommandsRecord) -> KeywordAugmentation:
    """The recipe's augmentation, with noise from the recordings set aside for training.

    Without noise recordings the training clips of silence serve, when they are recordings;
    without those, noise is generated.
    """
    rate = hparams["sample_rate"]
    paths = [Path(record.roots[""], name) for name in record.noise_files.get("train", [])]
    recordings = [read_audio(path, rate) for path in paths]
    if not recordings:
        rows = [row for row in record.rows("train") if row["label"] == SILENCE and row["path"]]
        recordings = [manifest.read_row(row, record.roots, rate) for row in rows]
    silence_class = record.labels.index(SILENCE) if SILENCE in record.labels else None
    return KeywordAugmentation(
        TimeShift(hparams["time_shift_ms"], rate),
        BackgroundNoise(recordings, hparams["noise_amplitude"]),
        BackgroundNoise(recordings, hparams["silence_amplitude"]),
        hparams["augment_probability"],
        silence_class,
    )
