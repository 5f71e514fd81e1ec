"""Impulse responses of rooms and microphones, convolution, and mixing at a given SNR."""

import numpy as np

from .generated_noise import coloured_noise

# Everything here is computed in float64: another CPU's vector code may differ in the last bit, and
# at 1e-16 that bit practically never reaches the rounding to 16 bits that ends a recording.


def _power_of_two_above(n: int) -> int:
    return 1 << (n - 1).bit_length()


def convolve(signal: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Linear convolution, cut to the signal's length.

    Shape: (T,), (K,) -> (T,)

    Example
    -------
    >>> convolve(np.array([1.0, 0.0, 0.0]), np.array([0.5, 0.25])).round(6).tolist()
    [0.5, 0.25, 0.0]
    """
    size = _power_of_two_above(len(signal) + len(response) - 1)
    spectrum = np.fft.rfft(signal, size) * np.fft.rfft(response, size)
    return np.fft.irfft(spectrum, size)[: len(signal)]


def room_response(
    rng: np.random.Generator,
    sample_rate_hz: int,
    reverberation_time_s: float,
    direct_to_reverberant_db: float,
) -> np.ndarray:
    """Impulse response of a crude room: the direct sound, then exponentially decaying noise.

    The decay reaches -60 dB at `reverberation_time_s`; the noise is also damped at high
    frequencies, as air and furniture do. Its energy is `direct_to_reverberant_db` below that of the
    direct sound, which is 1 at sample 0 (so that speech is not delayed).

    Shape: () -> (round(reverberation_time_s * sample_rate_hz),)

    References
    ----------
    Polack, "La transmission de l'energie sonore dans les salles", 1988 (the decaying-noise model of
    late reverberation; here without separate early reflections).
    """
    num_samples = max(2, round(reverberation_time_s * sample_rate_hz))
    time_s = np.arange(num_samples) / sample_rate_hz
    tail = coloured_noise(rng, num_samples, sample_rate_hz, tilt_db_per_octave=-2.0)
    tail *= 10.0 ** (-3.0 * time_s / reverberation_time_s)
    tail[: round(0.002 * sample_rate_hz)] = 0.0  # the first wall is some decimetres away
    energy = np.sum(tail**2)
    tail *= np.sqrt(10.0 ** (-direct_to_reverberant_db / 10.0) / max(energy, 1e-20))
    tail[0] = 1.0
    return tail


def microphone_response(
    rng: np.random.Generator, sample_rate_hz: int, num_samples: int = 256
) -> np.ndarray:
    """Minimum-phase impulse response of an ordinary microphone: low cut, tilt, one resonance.

    Shape: () -> (num_samples,)
    """
    size = 1024
    frequency_hz = np.fft.rfftfreq(size, 1.0 / sample_rate_hz)
    low_cut_hz = rng.uniform(60.0, 300.0)
    tilt_db_per_octave = rng.uniform(-1.5, 1.5)
    peak_hz, peak_db = rng.uniform(1500.0, 5000.0), rng.uniform(-4.0, 8.0)
    safe_hz = np.maximum(frequency_hz, 20.0)
    octaves_from_peak = np.log2(safe_hz / peak_hz)
    gain_db = (
        -10.0 * np.log10(1.0 + (low_cut_hz / safe_hz) ** 4)
        + tilt_db_per_octave * np.log2(safe_hz / 1000.0)
        + peak_db * np.exp(-0.5 * (octaves_from_peak / 0.4) ** 2)
    )
    # Minimum phase by folding the real cepstrum: no pre-echo, no delay.
    cepstrum = np.fft.irfft(gain_db * np.log(10.0) / 20.0, size)
    cepstrum[1 : size // 2] *= 2.0
    cepstrum[size // 2 + 1 :] = 0.0
    return np.fft.irfft(np.exp(np.fft.rfft(cepstrum, size)), size)[:num_samples]


def place_response(
    rng: np.random.Generator,
    sample_rate_hz: int,
    reverberation_time_s: float,
    direct_to_reverberant_db: float,
) -> np.ndarray:
    """Impulse response of a room and of the microphone that stands in it. Shape: () -> (K,)"""
    room = room_response(rng, sample_rate_hz, reverberation_time_s, direct_to_reverberant_db)
    microphone = microphone_response(rng, sample_rate_hz)
    return convolve(np.pad(room, (0, len(microphone) - 1)), microphone)


def mix_at_snr(
    speech: np.ndarray, noise: np.ndarray, snr_db: float, active: np.ndarray
) -> np.ndarray:
    """Add noise at a signal-to-noise ratio measured where speech is active.

    Arguments
    ---------
    active : numpy.ndarray
        Boolean mask of the samples that hold speech; pauses around a word do not count.

    Shape: (T,), (T,), bool (T,) -> (T,)

    Example
    -------
    >>> speech, noise = np.array([1.0, 1.0, 0.0, 0.0]), np.full(4, 3.0)
    >>> mix_at_snr(speech, noise, 20.0, speech > 0).round(6).tolist()
    [1.1, 1.1, 0.1, 0.1]
    """
    speech_power = np.mean(speech[active] ** 2)
    noise_power = np.mean(noise**2)
    gain = np.sqrt(speech_power / noise_power / 10.0 ** (snr_db / 10.0))
    return speech + gain * noise
