"""Decode with PyAV what libsndfile cannot: m4a, and mp3 files that do not count their frames.

An mp3 file of variable bit rate needs a first frame that counts the others. Where it is missing,
libsndfile 1.2.2 takes the first frame's bit rate for that of all, and reads only as much as it then
expects: of one file of 20 s, 7 s.
"""

import numpy as np

from .audio_errors import AudioError, audio_error

MEDIA_REMEDY = "install PyAV, which can: pip install auricle[media]"
# libsndfile's mp3 decoder leaves out its own delay; FFmpeg's does where a LAME header says so.
DECODER_DELAY_SAMPLES = 529


def find_av():
    """The module `av` (PyAV, with the codecs in its wheel), or None where it is not installed."""
    try:
        import av
    except ImportError:
        return None
    return av


def decode_media(path, sample_rate_hz: int | None = None) -> tuple[np.ndarray, int]:
    """Decode the first audio stream of a file as a whole.

    Encoder delay and padding are cut off where the file states them (edit lists, LAME header).

    Arguments
    ---------
    path : str or Path
    sample_rate_hz : int or None
        None: channels and rate of the file, float32. Otherwise the mean of the channels at this
        rate, int16.

    Returns
    -------
    samples (channels, T), sample rate in Hz

    Raises
    ------
    AudioError
        PyAV is not installed ("needs_av"), or decoding fails ("truncated").
    """
    av = find_av()
    if av is None:
        raise AudioError(path, "cannot be read by libsndfile", MEDIA_REMEDY, "needs_av")
    layout = None if sample_rate_hz is None else "mono"
    sample_format = "flt" if sample_rate_hz is None else "s16"
    pieces, missing = [], 0
    try:
        # The file and not its name, which PyAV cannot encode if it is no UTF-8.
        with open(path, "rb") as file, av.open(file) as container:
            resampler = av.AudioResampler(sample_format, layout, sample_rate_hz)
            for stream in container.streams.audio[:1]:
                missing = stream.frames  # by the index of an MP4 container; others have none
                for packet in container.demux(stream):
                    missing -= packet.size > 0
                    for frame in packet.decode():
                        pieces += resampler.resample(frame)
                pieces += resampler.resample(None)
    # ValueError: its layout changes in the middle
    except (av.FFmpegError, OSError, ValueError) as error:
        raise audio_error(
            path, "truncated", f"decoding fails ({getattr(error, 'strerror', error)})"
        ) from error
    if missing > 0:
        raise audio_error(path, "truncated", f"{missing} packets of its index are missing")
    if not pieces:
        raise audio_error(path, "truncated", "it holds no audio")
    # Packed: of more than 8 channels PyAV takes planes that are not there.
    samples = np.concatenate([piece.to_ndarray() for piece in pieces], axis=1)
    channels = pieces[0].layout.nb_channels
    return np.ascontiguousarray(samples.reshape(-1, channels).T), pieces[0].sample_rate
