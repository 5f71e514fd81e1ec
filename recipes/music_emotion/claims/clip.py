"""Build the clip that the claims are about: 30 s of music at 22.05 kHz and its spectrogram."""

from ....lobes import build_frontend
from ....lobes.contracts import Frontend

SAMPLE_RATE_HZ = 22050
CLIP_S = 30
HOP_SAMPLES = 512
NUM_MELS = 128
#: Side of the image that transformers pretrained on photographs read.
IMAGE_PIXELS = 224

_HOP_MS = 1000 * HOP_SAMPLES / SAMPLE_RATE_HZ
_OPTIONS = {
    "waveform": {},
    "mel": {"num_features": NUM_MELS, "hop_ms": _HOP_MS},
    "spectrogram_image": {
        "num_features": IMAGE_PIXELS,
        "image_frames": IMAGE_PIXELS,
        "num_mels": NUM_MELS,
        "hop_ms": _HOP_MS,
    },
}


def clip_samples() -> int:
    """Samples of the clip."""
    return CLIP_S * SAMPLE_RATE_HZ


def clip_frontend(name: str) -> Frontend:
    """`waveform`, `mel` (128 bands, hop of 512 samples) or `spectrogram_image` (224 x 224).

    Example
    -------
    >>> clip_frontend("mel").num_frames(clip_samples())
    1292
    """
    return build_frontend(name, sample_rate=SAMPLE_RATE_HZ, options={name: _OPTIONS[name]})
