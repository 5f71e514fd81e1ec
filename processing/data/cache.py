"""Keep decoded waveforms in memory up to a limit, so that a clip is decoded once."""

from collections.abc import Callable

import torch


class AudioCache:
    """Remember waveforms by key until a limit is reached; after that, read as before.

    A waveform that came from 16-bit samples is kept as 16 bits, without any loss.

    Arguments
    ---------
    limit_gb : float
        Memory for waveforms, in GB; 0 keeps nothing.

    Example
    -------
    >>> cache = AudioCache(0.1)
    >>> cache.get("a", lambda: torch.tensor([0.5, -1.0])).tolist()
    [0.5, -1.0]
    >>> cache.get("a", lambda: None).tolist()
    [0.5, -1.0]
    """

    def __init__(self, limit_gb: float):
        self.free_bytes = int(limit_gb * 1e9)
        self._kept: dict[str, torch.Tensor] = {}

    def get(self, key: str, read: Callable[[], torch.Tensor]) -> torch.Tensor:
        """The waveform of `key`, float32 (T,); `read` is called when it is not here."""
        kept = self._kept.get(key)
        if kept is not None:
            # A power of two: exact, and in one pass.
            return kept * (1 / 32768) if kept.dtype == torch.int16 else kept
        wav = read()
        scaled = wav * 32768
        whole = scaled.round().clamp(-32768, 32767)
        small = whole.to(torch.int16) if torch.equal(whole, scaled) else wav
        size = small.numel() * small.element_size()
        if size <= self.free_bytes:
            self.free_bytes -= size
            self._kept[key] = small
        return wav
