"""Put recordings into noise at a speech-to-noise ratio, into babble and into rooms.

Each function takes a waveform (T,) whose full scale is 1 and gives a new one, float32, of the same
length and not delayed against the old. It is computed in float64, so that the strength is what was
asked for.
"""

from collections.abc import Sequence

import numpy as np

from ..generated_music import stretch
from ..rooms import convolve, room_response
from .transmission import check_waveform

_LEVEL_FRAME_S = 0.02
_LEVEL_MARGIN_DB = 15.9


def active_speech_rms(waveform, rate_hz: int) -> float:
    """RMS of a recording where somebody speaks: pauses do not count.

    A frame of 20 ms is active when its power is less than 15.9 dB below the mean power of the
    active frames; starting from all frames, the rule is applied until nothing changes. Of a steady
    sound it is the plain RMS.

    Arguments
    ---------
    waveform : (T,).
    rate_hz : sample rate.

    Raises
    ------
    ValueError
        Digital silence: it has no level.

    References
    ----------
    ITU-T P.56, method B: the margin of 15.9 dB is its own. Its envelope (two smoothings of 30 ms)
    and its hangover of 200 ms are replaced by frames, so short gaps inside words do not count as
    speech here, and levels come out some tenths of a dB higher.

    Example
    -------
    >>> tone = np.sin(np.arange(8000) * 0.3)
    >>> round(active_speech_rms(np.concatenate([tone, np.zeros(24000)]), 8000), 3)
    0.707
    """
    waveform = check_waveform(waveform)
    frame_samples = max(1, round(_LEVEL_FRAME_S * rate_hz))
    usable = len(waveform) // frame_samples * frame_samples
    frames = waveform[:usable].reshape(-1, frame_samples) if usable else waveform[None]
    power = np.mean(frames**2, axis=1)
    active = power > 0
    if not active.any():
        raise ValueError("the waveform is silence: it has no speech level to set a noise against")
    while True:
        level = power[active].mean()
        kept = active & (power > level * 10 ** (-_LEVEL_MARGIN_DB / 10))
        if kept.sum() == active.sum():
            return float(np.sqrt(level))
        active = kept  # fewer frames, a higher mean: it ends


def add_noise(waveform, noise, snr_db: float, rate_hz: int) -> np.ndarray:
    """Add noise at a ratio of active speech level to the noise's RMS.

    The sum is neither clipped nor scaled, so it may pass full scale.

    Arguments
    ---------
    waveform, noise : (T,) both.
    snr_db : 20 log10 of `active_speech_rms(waveform)` over the noise's RMS.
    rate_hz : sample rate.

    Raises
    ------
    ValueError
        Silence on either side, or other lengths.

    Example
    -------
    >>> tone = np.sin(np.arange(8000) * 0.3)
    >>> noisy = add_noise(tone, np.ones(8000), 20, 8000)
    >>> round(float(np.mean(noisy - tone)), 3)
    0.071
    """
    waveform, noise = check_waveform(waveform), check_waveform(noise)
    if len(noise) != len(waveform):
        raise ValueError(f"the noise has {len(noise)} samples, the waveform {len(waveform)}")
    rms = np.sqrt(np.mean(noise**2))
    if rms == 0:
        raise ValueError("the noise is silence: it cannot be brought to a level")
    gain = active_speech_rms(waveform, rate_hz) / rms * 10 ** (-snr_db / 20)
    return (waveform + gain * noise).astype(np.float32)


def babble(
    talkers: Sequence, num_samples: int, rate_hz: int, generator: np.random.Generator
) -> np.ndarray:
    """Several people speak at once, all equally loud, each from a random place on.

    Arguments
    ---------
    talkers : a waveform of each, of any length.
    num_samples : length of the result.
    rate_hz : sample rate.
    generator : draws the places.

    Raises
    ------
    ValueError
        No talker, or one that is silent.
    """
    if not len(talkers):
        raise ValueError("babble needs the recording of at least one talker")
    voices = np.zeros(num_samples)
    for talker in talkers:
        talker = np.asarray(talker, np.float64)
        voices += stretch(talker, num_samples, generator) / active_speech_rms(talker, rate_hz)
    return voices


def reverberate(
    waveform,
    rate_hz: int,
    generator: np.random.Generator,
    reverberation_time_s: float,
    direct_to_reverberant_db: float = 0.0,
) -> np.ndarray:
    """Put a recording into a generated room; it keeps its RMS and is cut to its length.

    The response is the direct sound at sample 0 and exponentially decaying noise without separate
    early reflections (`rooms.room_response`).

    Arguments
    ---------
    waveform : (T,).
    rate_hz : sample rate.
    generator : draws the room.
    reverberation_time_s : RT60, the time in which the sound decays by 60 dB.
    direct_to_reverberant_db : energy of the direct sound over that of all the rest; 0 is about the
        distance at which both are equally loud.
    """
    waveform = check_waveform(waveform)
    response = room_response(generator, rate_hz, reverberation_time_s, direct_to_reverberant_db)
    wet = convolve(waveform, response)
    energy = np.sum(wet**2)
    if energy > 0:
        wet *= np.sqrt(np.sum(waveform**2) / energy)
    return wet.astype(np.float32)
