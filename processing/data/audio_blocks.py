"""Long recordings and live sound as blocks of samples, in bounded memory."""

import math
import queue
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import torch

from .audio import (
    ENDLESS,
    HIGHEST_RATE_HZ,
    LOWEST_RATE_HZ,
    check_promise,
    decoded_blocks,
    opened,
)
from .audio_errors import AudioError
from .media import decode_media
from .resampling import resampled_blocks

#: Bytes of a sample, and what makes it a number within -1 ... 1, of each kind of raw PCM.
PCM_FORMATS = {"s16le": ("<i2", 2**-15), "f32le": ("<f4", 1.0)}
BLOCK_S = 1.0
_MICROPHONE_BLOCKS = 600


def file_blocks(path, sample_rate_hz: int) -> Iterator[torch.Tensor]:
    """Blocks (n,) of an audio file at a rate, the mean of its channels.

    A file that only PyAV reads is decoded as a whole.

    Raises
    ------
    AudioError
        As `read_audio`; of a file that is not whole, after the blocks that are there.
    """
    with opened(path) as (sound, container):
        if sound is None:
            samples, rate_hz = decode_media(path)
            blocks = iter([torch.from_numpy(samples)])
        else:
            rate_hz = sound.samplerate
            blocks = _decoded(path, sound, container.num_samples)
        mixed = (block.mean(0) for block in blocks)
        yield from resampled_blocks(_finite(mixed, str(path)), rate_hz, sample_rate_hz)


def _decoded(path, sound, promised: int) -> Iterator[torch.Tensor]:
    present = 0
    for block in decoded_blocks(path, sound, promised, most=round(BLOCK_S * sound.samplerate)):
        present += len(block)
        yield torch.from_numpy(block.T.copy())
    if sound.format != "MP3" and promised < ENDLESS:  # MP3: its header is not exact
        check_promise(path, promised, present)


def _finite(blocks: Iterator[torch.Tensor], source: str) -> Iterator[torch.Tensor]:
    for block in blocks:
        if not torch.isfinite(block).all():
            raise AudioError(
                source, "holds samples that are NaN or infinite", "check what writes it", "nan"
            )
        yield block


def pcm_blocks(
    stream: BinaryIO, kind: str, rate_hz: int, sample_rate_hz: int
) -> Iterator[torch.Tensor]:
    """Blocks (n,) at a rate of raw mono PCM, as it comes in through a pipe.

    Arguments
    ---------
    stream : binary file
        Read as far as something is there, not further.
    kind : str
        One of `PCM_FORMATS`.
    rate_hz : int
        Of the stream.
    sample_rate_hz : int
        Of what is returned.

    Raises
    ------
    ValueError
        Another kind, or a rate that audio does not have.
    AudioError
        Samples that are NaN or infinite; a last one that is cut.
    """
    if kind not in PCM_FORMATS:
        raise ValueError(f"PCM must be one of {', '.join(PCM_FORMATS)}, got {kind!r}")
    if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
        raise ValueError(
            f"the rate of PCM must lie in {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ} Hz, got {rate_hz}"
        )
    dtype, scale = PCM_FORMATS[kind]
    width = np.dtype(dtype).itemsize

    def blocks():
        rest = b""
        while more := stream.read1(math.ceil(BLOCK_S * rate_hz) * width):
            rest += more
            whole = len(rest) // width * width
            samples = np.frombuffer(rest[:whole], dtype).astype(np.float32) * np.float32(scale)
            rest = rest[whole:]
            yield torch.from_numpy(samples)
        if rest:
            raise AudioError(
                "-", f"ends within a sample of {kind}", "check what writes it", "truncated"
            )

    yield from resampled_blocks(_finite(blocks(), "-"), rate_hz, sample_rate_hz)


def microphone_blocks(sample_rate_hz: int) -> Iterator[torch.Tensor]:
    """Blocks (n,) of 50 ms from the default microphone, at a rate, without an end.

    Raises
    ------
    ValueError
        sounddevice is not installed, or there is no microphone.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: the library PortAudio is missing
        raise ValueError(
            f"a microphone needs sounddevice ({error}): pip install 'auricle[microphone]', or name a "
            "file, or - for PCM from a pipe"
        ) from None
    heard: queue.Queue = queue.Queue(_MICROPHONE_BLOCKS)
    options = {"samplerate": sample_rate_hz, "channels": 1, "dtype": "float32"}
    try:
        with sounddevice.InputStream(
            **options,
            blocksize=sample_rate_hz // 20,
            callback=lambda block, *_: heard.put_nowait(block[:, 0].copy()),
        ):
            while True:
                yield torch.from_numpy(heard.get())
    except sounddevice.PortAudioError as error:
        raise ValueError(f"there is no microphone to listen to ({error})") from None
