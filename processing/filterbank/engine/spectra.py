"""Spectra of rows of samples, of which bands are taken again and again."""

from __future__ import annotations

import ctypes
from functools import cached_property
from pathlib import Path

import torch

from ...system.compiling import Functions
from .blocks import Blocks
from .lanes import LANES, is_fast, roots, suits

__all__ = ["BlockSpectra", "Spectra"]

_POINTER, _INT, _LONG = ctypes.c_void_p, ctypes.c_int, ctypes.c_long


class _Blocks(ctypes.Structure):
    _fields_ = [
        *((name, _POINTER) for name in ("wavs", "roots", "half_roots", "packed")),
        *(
            (name, _LONG)
            for name in (
                *("clips", "samples", "blocks", "size", "step", "in_front", "lowest", "bins"),
            )
        ),
    ]


_FUNCTIONS = Functions(
    Path(__file__).with_name("spectra.c"),
    pack_spectra=[_POINTER, *[_LONG] * 5, _POINTER, _INT],
    block_spectra=[ctypes.POINTER(_Blocks), _INT],
)


class Spectra:
    """Spectra of R rows.

    Arguments
    ---------
    half : complex tensor (R, K)
        Bins from 0 on.
    size : int or None
        Points of the FFT of real rows, of which K = size // 2 + 1 bins are given; None: every bin
        is given.
    lowest, highest : int or None
        First bin (at most 0) and last bin that is asked for; those below 0 and above size / 2 are
        the conjugates of others. None: the first or last that is given.
    """

    def __init__(
        self,
        half: torch.Tensor,
        size: int | None = None,
        lowest: int = 0,
        highest: int | None = None,
    ):
        self.half, self.lowest = half, lowest
        self.size = 2 * half.shape[1] if size is None else size
        self.highest = half.shape[1] - 1 if highest is None else highest

    #: Which rows of `half`; None: all of them.
    picked: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.half)

    @property
    def bins(self) -> int:
        """How many are asked for."""
        return self.highest - self.lowest + 1

    def detach(self) -> Spectra:
        if not self.half.requires_grad:
            return self
        return Spectra(self.half.detach(), self.size, self.lowest, self.highest)

    def pick(self, rows: torch.Tensor) -> Spectra:
        """Some of the rows, by an int64 tensor; nothing is copied for the compiled form."""
        return _PickedSpectra(self, rows)

    @cached_property
    def rows(self) -> torch.Tensor:
        """All bins that are asked for, (R, highest - lowest + 1); `lowest` is the first."""
        half, size = self.half, self.size
        parts = [half[:, : self.highest + 1]]
        if self.lowest < 0:
            parts.insert(0, half[:, 1 : 1 - self.lowest].flip(1).conj())
        if self.highest > size // 2:
            parts.append(half[:, size - self.highest : size - size // 2].flip(1).conj())
        whole = torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
        return whole.resolve_conj()

    @property
    def can_be_packed(self) -> bool:
        return suits(self.half, torch.complex64)

    @cached_property
    def packed(self) -> torch.Tensor:
        """The same as the compiled form reads it: eight rows side by side,
        (R / 8 rounded up, bins, 2, 8) float32."""
        half, packed = self.half.resolve_conj().contiguous(), self._new_packed()
        _FUNCTIONS.pack_spectra(
            *(half.data_ptr(), *half.shape, self.size, self.lowest, packed.shape[1]),
            *(packed.data_ptr(), torch.get_num_threads()),
        )
        return packed

    def _new_packed(self) -> torch.Tensor:
        shape = -(-len(self) // LANES), self.bins, 2, LANES
        return torch.empty(shape, dtype=torch.float32, device="cpu")


class _PickedSpectra(Spectra):
    def __init__(self, whole: Spectra, rows: torch.Tensor):
        super().__init__(
            whole.half.resolve_conj().contiguous(), whole.size, whole.lowest, whole.highest
        )
        assert len(rows) == 0 or 0 <= int(rows.min()) <= int(rows.max()) < len(whole)
        self.whole, self.picked = whole, rows.contiguous()

    def __len__(self) -> int:
        return len(self.picked)

    @cached_property
    def rows(self) -> torch.Tensor:
        return self.whole.rows[self.picked]


class BlockSpectra(Spectra):
    """Spectra of overlapping blocks of clips.

    Arguments
    ---------
    wavs : tensor (B, T)
    blocks : Blocks
    lowest, highest : int
        As of `Spectra`.
    """

    def __init__(self, wavs: torch.Tensor, blocks: Blocks, lowest: int, highest: int):
        self.wavs, self.blocks = wavs, blocks
        self.size, self.lowest, self.highest = blocks.size, lowest, highest

    def __len__(self) -> int:
        return len(self.wavs) * self.blocks.num_blocks

    @cached_property
    def half(self) -> torch.Tensor:
        return torch.fft.rfft(self.blocks.cut(self.wavs))

    def detach(self) -> Spectra:
        return super().detach() if self.wavs.requires_grad else self

    @property
    def can_be_packed(self) -> bool:
        return suits(self.wavs, torch.float32)

    @cached_property
    def packed(self) -> torch.Tensor:
        if self.size % 2 or not is_fast(self.size // 2):
            return super().packed
        wavs, packed, blocks = self.wavs.contiguous(), self._new_packed(), self.blocks
        call = _Blocks(
            *(wavs.data_ptr(), roots(self.size).data_ptr(), roots(self.size // 2).data_ptr()),
            *(packed.data_ptr(), *wavs.shape, blocks.num_blocks, self.size, blocks.step),
            *(blocks.in_front, self.lowest, packed.shape[1]),
        )
        if _FUNCTIONS.block_spectra(call, torch.get_num_threads()):
            raise MemoryError("no memory for the spectra of eight blocks")
        return packed
