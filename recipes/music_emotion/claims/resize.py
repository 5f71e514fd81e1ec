"""Measure the modulation that remains after resizing 1,292 frames to 224 columns."""

import math

import torch

from ....lobes.frontends.spectrogram_image import resize as resize_image
from .clip import HOP_SAMPLES, IMAGE_PIXELS, SAMPLE_RATE_HZ, clip_frontend, clip_samples
from .finding import Finding, verdict_of

CLAIM = (
    "An image of 224 columns still shows how fast 30 s of music are modulated: a modulation of "
    "4 Hz survives the bilinear resize from 1,292 frames."
)

MODULATIONS_HZ = (1, 2, 4, 8)
CLAIMED_HZ = 4
#: Columns at either end that are left out: the resize repeats what stands at the edge.
EDGE_COLUMNS = 2
#: At least half of the amplitude, and at its own frequency, is "survives".
SURVIVING_SHARE = 0.5


def measure() -> Finding:
    """Share of the amplitude kept, and where the modulation appears, without and with low-pass."""
    frames = clip_frontend("mel").num_frames(clip_samples())
    duration_s = frames * HOP_SAMPLES / SAMPLE_RATE_HZ
    limit_hz = IMAGE_PIXELS / duration_s / 2
    rows = []
    for modulation_hz in MODULATIONS_HZ:
        for antialias in (False, True):
            share, seen_hz = kept_modulation(modulation_hz, frames, IMAGE_PIXELS, antialias)
            rows.append(
                {
                    "modulation (Hz)": modulation_hz,
                    "low-pass": antialias,
                    "amplitude kept": share,
                    "appears at (Hz)": seen_hz,
                }
            )
    claimed = {r["low-pass"]: r for r in rows if r["modulation (Hz)"] == CLAIMED_HZ}
    survives = any(
        row["amplitude kept"] >= SURVIVING_SHARE
        and abs(row["appears at (Hz)"] - CLAIMED_HZ) < 1 / duration_s
        for row in claimed.values()
    )
    plain, smooth = claimed[False], claimed[True]
    return Finding(
        rows,
        verdict_of(survives),
        f"a column is {1000 * duration_s / IMAGE_PIXELS:.0f} ms, so nothing above {limit_hz:.2f} "
        f"Hz can be shown. Without a low-pass {plain['amplitude kept']:.0%} of {CLAIMED_HZ} Hz is "
        f"kept, as {plain['appears at (Hz)']:.2f} Hz; with it (antialias) "
        f"{smooth['amplitude kept']:.0%} is left, still as {smooth['appears at (Hz)']:.2f} Hz.",
    )


def kept_modulation(
    modulation_hz: float, frames: int, columns: int, antialias: bool
) -> tuple[float, float]:
    """Amplitude after the resize over that before, and the frequency it appears at, in Hz.

    Cosine and sine are two features of the image, so that the share does not depend on a phase.
    """
    frame_s = HOP_SAMPLES / SAMPLE_RATE_HZ
    column_s = frames * frame_s / columns
    # A pixel stands for the middle of its interval.
    frame_times_s = (torch.arange(frames, dtype=torch.float64) + 0.5) * frame_s
    column_times_s = (torch.arange(columns, dtype=torch.float64) + 0.5) * column_s
    phase = 2 * math.pi * modulation_hz * frame_times_s
    image = torch.stack([phase.cos(), phase.sin()], dim=1)[None]
    small = resize_image(image, columns, 2, antialias)[0]
    signal = torch.complex(small[:, 0], small[:, 1])[EDGE_COLUMNS:-EDGE_COLUMNS]
    turned = torch.polar(
        torch.ones_like(column_times_s), -2 * math.pi * modulation_hz * column_times_s
    )[EDGE_COLUMNS:-EDGE_COLUMNS]
    share = float((signal * turned).mean().abs())
    points = 64 * columns
    spectrum = torch.fft.rfft(signal.real * torch.hann_window(len(signal)), points).abs()
    return share, float(spectrum.argmax()) / (points * column_s)
