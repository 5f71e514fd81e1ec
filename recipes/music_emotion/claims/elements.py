"""Count the elements of a clip as a waveform, a spectrogram and an image."""

import torch

from .clip import CLIP_S, HOP_SAMPLES, NUM_MELS, SAMPLE_RATE_HZ, clip_frontend, clip_samples
from .finding import Finding, verdict_of

CLAIM = (
    "30 s of music at 22.05 kHz are 661,500 samples, and their spectrogram, 1,292 frames of 128 "
    "mel bands at a hop of 512 samples, is 2,944 pixels."
)

CLAIMED_SAMPLES, CLAIMED_FRAMES, CLAIMED_PIXELS = 661_500, 1_292, 2_944


def measure() -> Finding:
    """Elements and float32 memory of what the frontends give for the clip."""
    samples = clip_samples()
    wavs = torch.randn(1, samples, generator=torch.Generator().manual_seed(0)) / 10
    rows, shapes = [], {}
    for name in ("waveform", "mel", "spectrogram_image"):
        with torch.no_grad():
            feats = clip_frontend(name)(wavs)
        shapes[name] = tuple(feats.shape[1:])
        rows.append(
            {
                "input": name,
                "frames": feats.shape[1],
                "features": feats.shape[2],
                "elements": feats.numel(),
                "MiB in float32": feats.numel() * feats.element_size() / 2**20,
                "samples per element": samples / feats.numel(),
            }
        )
    frames, bands = shapes["mel"]
    right = samples == CLAIMED_SAMPLES and frames == CLAIMED_FRAMES
    pixels = frames * bands
    columns = CLAIMED_PIXELS // NUM_MELS
    return Finding(
        rows,
        verdict_of(right and pixels == CLAIMED_PIXELS),
        f"samples and frames are {'as' if right else 'not as'} claimed, and {frames:,} x {bands} "
        f"are {pixels:,} pixels. {CLAIMED_PIXELS:,} are {columns} frames, "
        f"{columns * HOP_SAMPLES / SAMPLE_RATE_HZ:.2f} s of the {CLIP_S} s. The waveform has "
        f"{samples / pixels:.1f} times the spectrogram's elements, not "
        f"{samples / CLAIMED_PIXELS:.0f} times.",
    )
