"""Per-channel energy normalisation (PCEN) without a loop over frames."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["PCEN", "linear_recurrence", "smooth_energy"]

CHUNK_FRAMES = 32


def linear_recurrence(
    inputs: torch.Tensor, decay: torch.Tensor, state: torch.Tensor | None = None
) -> torch.Tensor:
    """m[t] = decay * m[t-1] + inputs[t] along axis 1, as products with triangular matrices.

    Frames are taken in chunks; inside a chunk one product with the matrix decay^(t-k) does it,
    and the chunks' ends obey the same recurrence with decay^32, so they are solved by the same
    function: about log32(N) steps for N frames. Every factor is a power of a number in [0, 1]:
    nothing grows, however long the signal.

    Arguments
    ---------
    inputs : tensor (B, N, F)
    decay : tensor (F,)
        In [0, 1].
    state : tensor (B, F) or None
        m[-1]; None is zero.

    Shape
    -----
    (B, N, F), (F,) -> (B, N, F)

    Example
    -------
    >>> linear_recurrence(torch.ones(1, 4, 1), torch.tensor([0.5])).flatten().tolist()
    [1.0, 1.5, 1.75, 1.875]
    """
    batch, frames, channels = inputs.shape
    size = min(CHUNK_FRAMES, frames)
    chunks = -(-frames // size)
    steps = torch.arange(size, device=inputs.device)
    lag = steps[:, None] - steps[None, :]
    powers = decay[:, None, None] ** lag.clamp(min=0) * (lag >= 0)  # (F, t, k)
    padded = nn.functional.pad(inputs, (0, 0, 0, chunks * size - frames))
    by_channel = padded.reshape(batch * chunks, size, channels).permute(2, 1, 0)  # (F, k, B*C)
    local = torch.bmm(powers, by_channel).permute(2, 1, 0)
    local = local.reshape(batch, chunks, size, channels)
    if chunks > 1 or state is not None:
        before = torch.zeros_like(local[:, :1, 0]) if state is None else state[:, None]
        if chunks > 1:
            ends = linear_recurrence(local[:, :-1, -1], decay**size, state)
            before = torch.cat([before, ends], dim=1)
        fade = decay[None, :] ** (steps[:, None] + 1)  # (t, F)
        local = local + before[:, :, None] * fade
    return local.reshape(batch, chunks * size, channels)[:, :frames]


def smooth_energy(
    energy: torch.Tensor, smooth: torch.Tensor, state: torch.Tensor | None = None
) -> torch.Tensor:
    """First-order smoothing M[t] = s E[t] + (1 - s) M[t-1], with M[-1] = E[0] without a state.

    Arguments
    ---------
    energy : tensor (B, N, F)
    smooth : tensor (F,)
        s, in [0, 1].
    state : tensor (B, F) or None
        M[-1], the last frame of an earlier result.

    Shape
    -----
    (B, N, F) -> (B, N, F)
    """
    if energy.shape[1] == 0:
        return energy
    first = energy[:, 0] if state is None else state
    return linear_recurrence(energy * smooth, 1.0 - smooth, first)


class PCEN(nn.Module):
    """Per-channel energy normalisation with four learned values per channel (sPCEN).

    y = (E / (floor + M)^alpha + delta)^(1 / root) - delta^(1 / root), M the smoothed energy.

    Parameters are used as they are: call `project_()` after an optimiser step to keep them in
    range. A clamp in forward would stop the gradient of a value that has left its range.

    Arguments
    ---------
    num_features : int
        F.
    alpha, delta, root, smooth : float
        Initial gain exponent, bias, root and smoothing coefficient (per frame).
    floor : float
        Added to the smoothed energy.
    trainable : bool
        False keeps the initial values.

    Shape
    -----
    (B, N, F) energies >= 0 -> (B, N, F) float32

    References
    ----------
    Wang et al., Trainable Frontend For Robust and Far-Field Keyword Spotting (2017);
    Zeghidour et al., LEAF (2021): initial values and per-channel smoothing. Deviation: delta is
    kept at or above `MIN_DELTA` (the reference leaves it free and gives NaN below 0; the
    derivative of delta^(1/root) is infinite at 0).

    Example
    -------
    >>> PCEN(40)(torch.ones(1, 100, 40)).shape
    torch.Size([1, 100, 40])
    """

    MIN_DELTA = 1e-3

    def __init__(
        self,
        num_features: int,
        alpha: float = 0.96,
        delta: float = 2.0,
        root: float = 2.0,
        smooth: float = 0.04,
        floor: float = 1e-12,
        trainable: bool = True,
    ):
        super().__init__()
        self.floor = floor
        values = {"alpha": alpha, "delta": delta, "root": root, "smooth": smooth}
        for name, value in values.items():
            parameter = nn.Parameter(torch.full((num_features,), float(value)), trainable)
            self.register_parameter(name, parameter)

    @torch.no_grad()
    def project_(self) -> None:
        """Put every value back into its range, in place."""
        self.alpha.clamp_(0.0, 1.0)
        self.delta.clamp_(min=self.MIN_DELTA)
        self.root.clamp_(min=1.0)
        self.smooth.clamp_(0.0, 1.0)

    def forward(self, energy: torch.Tensor, state: torch.Tensor | None = None) -> torch.Tensor:
        return self.stream(energy, state)[0]

    def stream(
        self, energy: torch.Tensor, state: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalise one piece of a longer signal.

        Arguments
        ---------
        energy : tensor (B, N, F)
        state : tensor (B, F) or None
            What the call for the piece before returned; None at the start.

        Returns
        -------
        tensor (B, N, F), and the state for the next piece, (B, F).
        """
        with torch.autocast(energy.device.type, enabled=False):
            dtype = torch.promote_types(self.alpha.dtype, torch.float32)
            energy = energy.to(dtype)
            alpha, delta = self.alpha.to(dtype), self.delta.to(dtype)
            power = 1.0 / self.root.to(dtype)
            smoothed = smooth_energy(energy, self.smooth.to(dtype), state)
            gained = energy * (self.floor + smoothed) ** -alpha
            out = (gained + delta) ** power - delta**power
        return out, smoothed[:, -1] if energy.shape[1] else state
