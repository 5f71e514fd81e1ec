"""Spectra of blocks: computed once, cut into bands many times."""

from __future__ import annotations

from functools import cached_property

import torch

from . import backend
from .blocks import Blocks


class Spectra:
    """Spectra of R rows, in the layout of torch (`rows`) and of the C functions (`packed`).

    Arguments
    ---------
    half : complex tensor (R, K)
        Bins from 0 on.
    size : int or None
        Points of the FFT of real rows, of which `half` has K = size // 2 + 1 bins; None: `half`
        has every bin.
    lowest, highest : int or None
        First (at most 0) and last bin that is needed; those below 0 and above size / 2 are the
        conjugates of others. None: the first or last of `half`.
    """

    #: Indices of the rows of `half` that are used; None: all of them.
    picked: torch.Tensor | None = None

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

    def __len__(self) -> int:
        return len(self.half)

    @property
    def bins(self) -> int:
        """Number of bins that are needed."""
        return self.highest - self.lowest + 1

    def detach(self) -> Spectra:
        if not self.half.requires_grad:
            return self
        return Spectra(self.half.detach(), self.size, self.lowest, self.highest)

    def pick(self, rows: torch.Tensor) -> Spectra:
        """A selection of the rows, by an int64 tensor; C reads them without a copy."""
        return _PickedSpectra(self, rows)

    @cached_property
    def rows(self) -> torch.Tensor:
        """The bins that are needed, (R, highest - lowest + 1)."""
        half, size = self.half, self.size
        parts = [half[:, : self.highest + 1]]
        if self.lowest < 0:
            parts.insert(0, half[:, 1 : 1 - self.lowest].flip(1).conj())
        if self.highest > size // 2:
            parts.append(half[:, size - self.highest : size - size // 2].flip(1).conj())
        whole = torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
        return whole.resolve_conj()

    @cached_property
    def packed(self) -> torch.Tensor:
        """The same, eight rows side by side: (R / 8 rounded up, bins, 2, 8) float32."""
        half, packed = self.half.resolve_conj().contiguous(), self._new_packed()
        backend.call(
            "pack_spectra",
            **{"spectra": half, "rows": len(half), "half": half.shape[1], "size": self.size},
            **{"lowest": self.lowest, "bins": self.bins, "packed": packed},
        )
        return packed

    def _new_packed(self) -> torch.Tensor:
        shape = -(-len(self) // backend.LANES), self.bins, 2, backend.LANES
        return torch.empty(shape, dtype=torch.float32, device="cpu")


class _PickedSpectra(Spectra):
    def __init__(self, whole: Spectra, rows: torch.Tensor):
        half = whole.half.resolve_conj().contiguous()
        super().__init__(half, whole.size, whole.lowest, whole.highest)
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
        As for `Spectra`.
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

    @cached_property
    def packed(self) -> torch.Tensor:
        blocks, size = self.blocks, self.size
        if size % 2 or not backend.has_fast_fft(size // 2):
            return super().packed
        packed, wavs = self._new_packed(), self.wavs.contiguous()
        backend.call(
            "block_spectra",
            wavs=wavs,
            clips=len(wavs),
            samples=wavs.shape[1],
            roots=backend.roots(size),
            half_roots=backend.roots(size // 2),
            packed=packed,
            blocks=blocks.num_blocks,
            size=size,
            step=blocks.step,
            in_front=blocks.in_front,
            lowest=self.lowest,
            bins=self.bins,
        )
        return packed
