"""Band energies of frozen filters in operators that every runtime has: convolutions and squares."""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from .direct import direct_energy

#: Filters per convolution, whose outputs a processor's cache holds: for LEAF's forty, onnxruntime
#: takes a third of the time that it takes for all at once at 401 taps.
GROUP = 10
#: Part of a filter's energy that taps outside of those that are kept may have.
CUT_OFF = 1e-12


class PlainEnergy(nn.Module):
    """An `EnergyEngine` of filters that stay as they are, for other runtimes.

    At the full rate, which is exact for every signal, in groups of neighbouring filters, each without
    the ends of its taps that hold nothing. LEAF's 40 filters take 0.2 MB; their quadratic forms, in a
    `FoldedFilterbank`, 22 MB.

    Arguments
    ---------
    taps : tensor (N, C, W)
    pool : tensor (N, P)
    hop : int
        In samples.
    rectifier : str
        As in `EnergyEngine`.

    Example
    -------
    >>> plain = PlainEnergy(torch.ones(12, 1, 5), torch.ones(12, 3), hop=4, rectifier="square")
    >>> plain(torch.ones(1, 8), *plain.frozen([], None), offset=1)[0, :, 0]
    tensor([25., 75.])
    """

    def __init__(self, taps: torch.Tensor, pool: torch.Tensor, hop: int, rectifier: str):
        super().__init__()
        self.hop, self.rectifier = hop, rectifier
        self.register_buffer("pool", pool.clone())
        self.taps = nn.ParameterList(
            nn.Parameter(_trimmed(group).clone(), requires_grad=False)
            for group in taps.split(GROUP)
        )

    def frozen(
        self, parameters: Sequence[torch.Tensor], build: Callable | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Taps of the first filters and all pooling windows, whatever `parameters` are now."""
        return self.taps[0], self.pool

    def forward(
        self,
        wavs: torch.Tensor,
        taps: torch.Tensor,
        pool: torch.Tensor,
        offset: int,
        num_valid: torch.Tensor | None = None,
        floor: float = 0.0,
    ) -> torch.Tensor:
        """Energies (B, ceil(T / hop), N); arguments as `EnergyEngine` takes them, `taps` its own."""
        pairs = zip(self.taps, self.pool.split(GROUP), strict=True)
        settings = self.hop, offset, num_valid, self.rectifier
        return torch.cat([direct_energy(wavs, *pair, *settings) for pair in pairs], dim=2)


def _trimmed(taps: torch.Tensor) -> torch.Tensor:
    """Filters (n, C, W) without equally many taps at both ends, if these hold nothing of any."""
    energy = taps.double().square().sum(1)
    outside = (energy + energy.flip(1)).cumsum(1)[:, : taps.shape[2] // 2]
    beyond = outside > CUT_OFF * energy.sum(1, keepdim=True)
    cut = taps.shape[2] // 2 - int(beyond.sum(1).max()) if outside.shape[1] else 0
    return taps[:, :, cut : taps.shape[2] - cut]
