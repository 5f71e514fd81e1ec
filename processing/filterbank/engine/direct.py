"""Band energies of a filterbank by two convolutions at the full rate: the reference form.

E[b, t, n] = sum_k pool[n, k] * |(x_b * h_n)[hop t - offset + k]|^2

Only the filtered signal inside the clip counts: outside, x and |x * h|^2 are zero.
"""

import torch
from torch.nn import functional

from ..framing import frame_count, frame_mask
from .pooled_bands_torch import RECTIFIERS


def direct_energy(
    wavs: torch.Tensor,
    taps: torch.Tensor,
    pool: torch.Tensor,
    hop: int,
    offset: int,
    num_valid: torch.Tensor | None = None,
    rectifier: str = "square",
) -> torch.Tensor:
    """Filter, rectify and pool at the full rate; memory grows with 2 N T.

    Arguments
    ---------
    wavs : tensor (B, T)
        Zero behind each item's end.
    taps : tensor (N, C, W)
        Filters as correlation taps, W odd, centred; C = 2 for the real and imaginary part of a
        complex filter, 1 for a real one. The energy sums over C.
    pool : tensor (N, P)
        Pooling windows.
    hop : int
        In samples.
    offset : int
        Samples by which frame 0's pooling window reaches in front of sample 0, see
        `framing.frame_offset`.
    num_valid : int tensor (B,) or None
        Samples of each item; filter output behind them does not count, as if the item stood alone.
        None: all.
    rectifier : str
        "square", "abs" or "leaky_relu", of each real filter output.

    Shape
    -----
    (B, T) -> (B, ceil(T / hop), N)

    Example
    -------
    >>> from auricle.processing.filterbank.shapes import gabor_taps, gaussian_lowpass
    >>> taps = gabor_taps(torch.tensor([0.5]), torch.tensor([20.0]), 401)
    >>> pool = gaussian_lowpass(torch.tensor([0.4]), 401)
    >>> direct_energy(torch.zeros(2, 16000), taps, pool, hop=160, offset=200).shape
    torch.Size([2, 100, 1])
    """
    batch, num_samples = wavs.shape
    filters, parts, window = taps.shape
    width = pool.shape[1]
    filtered = functional.conv1d(
        wavs[:, None], taps.reshape(filters * parts, 1, window), padding=(window - 1) // 2
    )
    rectified = RECTIFIERS[rectifier][0](filtered)
    energy = rectified.view(batch, filters, parts, num_samples).sum(2)
    if num_valid is not None:
        energy = energy * frame_mask(num_valid, num_samples)[:, None].to(energy.dtype)
    frames = frame_count(num_samples, hop)
    behind = (frames - 1) * hop - offset + width - num_samples
    energy = functional.pad(energy, (offset, behind))
    return functional.conv1d(energy, pool[:, None], stride=hop, groups=filters).transpose(1, 2)
