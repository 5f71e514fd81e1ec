"""From the prepared manifest to the batches and the augmentation of the recipe."""

from __future__ import annotations

from pathlib import Path

import torch
from speechbrain.dataio.dataset import DynamicItemDataset
from torch import nn

from ...processing.data import manifest
from ...processing.data.audio import read_audio
from ...processing.data.augmentation.background_noise import BackgroundNoise
from ...processing.data.augmentation.time_shift import TimeShift
from ...processing.data.cache import AudioCache
from ..training.preparation import on_every_rank
from .prepare import prepare
from .protocols import SAMPLE_RATE_HZ, SILENCE

__all__ = ["KeywordAugmentation", "build_augmentation", "build_datasets", "prepare_from"]


def prepare_from(plain: dict, folder: Path):
    """Prepare the data a configuration describes; every rank gets the same.

    Arguments
    ---------
    plain : plain values of the YAML
    folder : the data folder
    """
    arguments = {
        "data_folder": folder,
        # Preparation depends on data and protocol, not on the model: runs share it.
        "output_folder": Path(plain["results_folder"])
        / "prepared"
        / "-".join(
            [
                Path(folder).resolve().name,
                plain["protocol"],
                f"max{plain['max_per_class']}",
                f"seed{plain['data_seed']}",
            ]
        ),
        "protocol": plain["protocol"],
        "seed": plain["data_seed"],
        "official_test_folder": plain["official_test_folder"],
        "skip_broken": plain["skip_broken"],
        "max_per_class": plain["max_per_class"],
    }
    return on_every_rank(prepare, arguments, download=plain["download"])


def build_datasets(hparams: dict, prepared) -> dict[str, DynamicItemDataset]:
    """One SpeechBrain dataset per split: `id`, `sig` (T,), `target` (class index), `group` (speaker)."""
    rate = hparams["sample_rate"]
    if rate != SAMPLE_RATE_HZ:
        raise ValueError(f"Speech Commands is {SAMPLE_RATE_HZ} Hz audio, got sample_rate {rate}")
    index = {label: number for number, label in enumerate(prepared.labels)}
    cache = AudioCache(hparams["cache_gb"])
    size = round(hparams["clip_s"] * rate)
    sets = {}
    for split in ("train", "valid", "test"):
        rows = manifest.by_id(prepared.rows(split))

        def signal(row_id, rows=rows):
            return cache.get(row_id, lambda: manifest.read_row(rows[row_id], prepared.roots, rate))

        def clip(row_id, signal=signal):
            wav = signal(row_id)[:size]
            # Padding copies, even by nothing.
            return wav if len(wav) == size else nn.functional.pad(wav, (0, size - len(wav)))

        dataset = DynamicItemDataset(rows)
        dataset.add_dynamic_item(clip, takes="id", provides="sig")
        dataset.add_dynamic_item(index.__getitem__, takes="label", provides="target")
        # A speaker's clips succeed or fail together; silence has no speaker and stands for itself.
        dataset.add_dynamic_item(
            lambda row_id, speaker: speaker or row_id, takes=["id", "speaker"], provides="group"
        )
        dataset.set_output_keys(["id", "sig", "target", "group"])
        dataset.durations_s = [hparams["clip_s"]] * len(rows)
        sets[split] = dataset
    return sets


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
    wavs (B, T), labels (B,) -> (B, T)

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

    def forward(self, wavs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        active = torch.rand(len(wavs), device=wavs.device) < self.probability
        silent = torch.as_tensor(labels, device=wavs.device) == self.silence_class
        wavs = self.noise(self.shift(wavs, active & ~silent), active & ~silent)
        return self.silence_noise(wavs, silent) if silent.any() else wavs


def build_augmentation(hparams: dict, prepared) -> KeywordAugmentation:
    """The recipe's augmentation, with noise from the recordings set aside for training.

    Without noise recordings the training clips of silence serve, when they are recordings;
    without those, noise is generated.
    """
    rate = hparams["sample_rate"]
    paths = [Path(prepared.roots[""], name) for name in prepared.noise_files.get("train", [])]
    recordings = [read_audio(path, rate) for path in paths]
    if not recordings:
        rows = [row for row in prepared.rows("train") if row["label"] == SILENCE and row["path"]]
        recordings = [manifest.read_row(row, prepared.roots, rate) for row in rows]
    silence_class = prepared.labels.index(SILENCE) if SILENCE in prepared.labels else None
    return KeywordAugmentation(
        TimeShift(hparams["time_shift_ms"], rate),
        BackgroundNoise(recordings, hparams["noise_amplitude"]),
        BackgroundNoise(recordings, hparams["silence_amplitude"]),
        hparams["augment_probability"],
        silence_class,
    )
