"""What an encoder reads, samples or a spectrogram, and what it says to anything else."""

from __future__ import annotations

__all__ = ["check_waveform", "picture_unfit", "spectrum_unfit", "waveform_unfit"]


def waveform_unfit(in_features: int) -> str | None:
    """Why an encoder of waveforms cannot take such frames."""
    return None if in_features == 1 else "it reads the waveform itself; set frontend: waveform."


def check_waveform(in_features: int) -> None:
    """Refuse, when an encoder of waveforms is built, anything else."""
    if in_features != 1:
        raise ValueError(f"in_features must be 1, the samples themselves, got {in_features!r}")


def spectrum_unfit(in_features: int) -> str | None:
    """Why an encoder of spectrograms cannot take such frames."""
    if in_features > 1:
        return None
    return "it reads a spectrogram, not samples; set frontend: mel, or another with many features."


def picture_unfit(in_features: int) -> str | None:
    """Why an encoder of pictures cannot take such frames."""
    if in_features != 1:
        return None
    return "it reads pictures, and a waveform is none; set another frontend."
