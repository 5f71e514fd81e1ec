"""Synthesise a corpus of everyday sounds as people keep them: files, and a table with groups.

Five classes, each a way of making sounds, by "sources" (one device each, with its own pitch, decay
and room noise) of which several takes are recorded: takes of one source are alike, so that a split
by recording would be too easy.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from ..generated_noise import coloured_noise
from ..seeding import generator_for

GENERATOR_VERSION = 1
ORIGIN = "the sounds are sums of decaying tones, clicks and coloured noise\nfrom random numbers"
SAMPLE_RATE_HZ = 16000
TABLE = "sounds.csv"


@dataclass(frozen=True)
class Size:
    """How many sources of a class there are, and how many takes of each."""

    sources: int
    takes: int


SIZES = {"tiny": Size(6, 2), "small": Size(16, 4)}


def _bell(rng, time_s, pitch_hz):
    partials = zip((1.0, 2.76, 5.4), (1.0, 0.6, 0.3), strict=True)
    return sum(
        gain * np.exp(-3 * time_s * ratio) * np.sin(2 * np.pi * ratio * pitch_hz * time_s)
        for ratio, gain in partials
    )


def _knock(rng, time_s, pitch_hz):
    sound = np.zeros_like(time_s)
    for start_s in rng.uniform(0.0, time_s[-1] * 0.8, 4):
        since = np.maximum(time_s - start_s, 0.0)
        struck = (time_s >= start_s) * np.exp(-40 * since)
        sound += struck * np.sin(2 * np.pi * pitch_hz / 3 * since)
    return sound


def _engine(rng, time_s, pitch_hz):
    phase = 2 * np.pi * pitch_hz / 8 * time_s * (1 + 0.02 * np.sin(2 * np.pi * 0.7 * time_s))
    return sum(np.sin(k * phase) / k for k in range(1, 12))


def _rain(rng, time_s, pitch_hz):
    hiss = coloured_noise(rng, len(time_s), SAMPLE_RATE_HZ, 0.0)
    drops = rng.random(len(time_s)) < 40 / SAMPLE_RATE_HZ
    return 0.4 * hiss + 6 * drops * rng.uniform(0.2, 1.0, len(time_s))


def _whistle(rng, time_s, pitch_hz):
    glide = pitch_hz * (1 + 0.4 * np.sin(2 * np.pi * rng.uniform(0.5, 2.0) * time_s))
    return np.sin(2 * np.pi * np.cumsum(glide) / SAMPLE_RATE_HZ)


CLASSES: dict[str, Callable] = {
    "bell": _bell,
    "door knock": _knock,
    "engine": _engine,
    "rain": _rain,
    "whistle": _whistle,
}


def write(folder: Path, size: str, seed: int) -> dict:
    """Write the recordings, one folder a class, and the table; returns what mini.json says."""
    wanted, rows = SIZES[size], []
    for label, make in CLASSES.items():
        (folder / label).mkdir(parents=True)
        for source in range(wanted.sources):
            device = generator_for("own_sounds", seed, label, source)
            pitch_hz = float(np.exp(device.uniform(np.log(400.0), np.log(1600.0))))
            noise_db = device.uniform(-30.0, -8.0)
            for take in range(wanted.takes):
                rng = generator_for("own_sounds", seed, label, source, take)
                name = f"{label}/{source:02d}-{take}.wav"
                wav = _recording(rng, make, pitch_hz, noise_db)
                soundfile.write(folder / name, wav, SAMPLE_RATE_HZ, subtype="PCM_16")
                rows.append((name, label, f"{label} {source}"))
    with open(folder / TABLE, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("path", "label", "group"), *rows])
    return {"recordings": len(rows), "sources": wanted.sources * len(CLASSES)}


def _recording(rng, make, pitch_hz: float, noise_db: float) -> np.ndarray:
    time_s = np.arange(round(rng.uniform(0.8, 1.6) * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    sound = make(rng, time_s, pitch_hz * rng.uniform(0.97, 1.03))
    sound = sound / np.sqrt(np.mean(sound**2))
    noise = coloured_noise(rng, len(time_s), SAMPLE_RATE_HZ, -3.0)
    mixed = sound + 10 ** (noise_db / 20) * noise
    return 0.5 * 10 ** (rng.uniform(-12.0, 0.0) / 20) * mixed / np.abs(mixed).max()
