"""Mask the valid samples of a padded batch and compute their power."""

import torch

from ...filterbank.framing import frame_mask, valid_lengths


def valid_samples(wavs: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """Mask of the samples that are not padding: bool (B, T), or (1, T) without lengths.

    Arguments
    ---------
    wavs : tensor (B, T)
    lengths : tensor (B,) or None
        Relative to T, in (0, 1].

    Example
    -------
    >>> valid_samples(torch.zeros(2, 4), torch.tensor([1.0, 0.5]))
    tensor([[ True,  True,  True,  True],
            [ True,  True, False, False]])
    """
    size = wavs.shape[1]
    if lengths is None:
        return torch.ones(1, size, dtype=torch.bool, device=wavs.device)
    return frame_mask(valid_lengths(lengths.to(wavs.device), size), size)


def power(wavs: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Mean square of the valid samples, (B, 1).

    Example
    -------
    >>> power(torch.tensor([[3.0, 3.0, 9.0]]), torch.tensor([[True, True, False]]))
    tensor([[9.]])
    """
    return (wavs * valid).square().sum(1, keepdim=True) / valid.sum(1, keepdim=True).clamp(min=1)
