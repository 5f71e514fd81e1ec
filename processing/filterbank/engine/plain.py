"""Band energies of frozen filters in operators that every runtime has: convolutions and squares."""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from .direct import direct_energy


class PlainEnergy(nn.Module):
    """An `EnergyEngine` of filters that stay as they are, for other runtimes.

    Arguments
    ---------
    taps : tensor (N, C, W)
    pool : tensor (N, P)
    hop : int
        In samples.
    rectifier : str
        As in `EnergyEngine`.
    """

    def __init__(self, taps: torch.Tensor, pool: torch.Tensor, hop: int, rectifier: str):
        super().__init__()
        self.hop, self.rectifier = hop, rectifier
        self.register_buffer("taps", taps.clone())
        self.register_buffer("pool", pool.clone())

    def frozen(
        self, parameters: Sequence[torch.Tensor], build: Callable
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The filters, whatever `parameters` are now."""
        return self.taps, self.pool

    def forward(
        self,
        wavs: torch.Tensor,
        taps: torch.Tensor,
        pool: torch.Tensor,
        offset: int,
        num_valid: torch.Tensor | None = None,
        floor: float = 0.0,
    ) -> torch.Tensor:
        """Energies (B, ceil(T / hop), N); arguments as `EnergyEngine` takes them."""
        return direct_energy(wavs, taps, pool, self.hop, offset, num_valid, self.rectifier)
