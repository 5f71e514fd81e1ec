"""Rectified band signals, pooled: the inner loop of the engine, forward and backward."""

from __future__ import annotations

import torch

__all__ = ["RECTIFIERS", "pooled_bands"]

#: Bytes of band signal that are worked on at once, on a CPU and elsewhere.
CHUNK_BYTES = {"cpu": 8 * 2**20}
OTHER_CHUNK_BYTES = 256 * 2**20
#: Band signals above this many bytes are computed again in backward instead of kept.
KEEP_BYTES = 256 * 2**20
LEAKY_SLOPE = 0.2


def _leaky_derivative(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x > 0, 1.0, LEAKY_SLOPE).to(x.dtype)


#: name -> (function, derivative) of a real filter output.
RECTIFIERS = {
    "square": (torch.square, lambda x: 2.0 * x),
    "abs": (torch.abs, torch.sign),
    "leaky_relu": (
        lambda x: torch.nn.functional.leaky_relu(x, LEAKY_SLOPE),
        _leaky_derivative,
    ),
}


def pooled_bands(
    spectra: torch.Tensor,
    responses: torch.Tensor,
    weights: torch.Tensor,
    starts: torch.Tensor,
    segments: int,
    rectifier: str = "square",
    row_weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Cut a band per filter, filter, go back to time, rectify, weight and sum per segment.

    Arguments
    ---------
    spectra : complex tensor (R, K)
        Spectra of R rows.
    responses : complex tensor (N, M)
        What the M bins from `starts` are multiplied with.
    weights : tensor (N, 2 * M / segments, J)
        Weights of the rectified real and imaginary parts inside a segment.
    starts : int64 tensor (N,)
        First bin of each filter's band.
    segments : int
        Into how many pieces the M samples are cut.
    rectifier : str
        "square", "abs" or "leaky_relu", applied to the real and to the imaginary part.
    row_weights : tensor (R, 2 * M) or None
        Factors on the rectified parts, for all filters.

    Shape
    -----
    -> (N, R, segments, J)
    """
    if rectifier not in RECTIFIERS:
        raise ValueError(f"rectifier must be one of {', '.join(RECTIFIERS)}, got {rectifier!r}")
    return _PooledBands.apply(spectra, responses, weights, starts, segments, rectifier, row_weights)


def _bands(spectra: torch.Tensor, starts: torch.Tensor, size: int) -> torch.Tensor:
    """(N, R, size): the bins from each start, copied."""
    rows, bins = spectra.shape
    windows = spectra.as_strided(
        (bins - size + 1, rows, size), (1, spectra.stride(0), 1), spectra.storage_offset()
    )
    return windows[starts]


class _PooledBands(torch.autograd.Function):
    """The signals of one group of filters exist in pieces that stay in the cache."""

    @staticmethod
    def forward(ctx, spectra, responses, weights, starts, segments, rectifier, row_weights):
        filters, size = responses.shape
        rows = spectra.shape[0]
        spectra = spectra.contiguous()
        row_bytes = filters * size * spectra.element_size()
        limit = CHUNK_BYTES.get(spectra.device.type, OTHER_CHUNK_BYTES)
        step = max(1, limit // row_bytes)
        need = any(ctx.needs_input_grad[:3])
        keep = need and rows * row_bytes <= KEEP_BYTES
        rectify = RECTIFIERS[rectifier][0]
        pieces, kept = [], []
        for first in range(0, rows, step):
            chunk = spectra[first : first + step]
            signal = _band_signal(chunk, responses, starts)
            if keep:
                kept.append(signal)
            rectified = rectify(torch.view_as_real(signal))
            if row_weights is not None:
                rectified = rectified.mul_(row_weights[first : first + step].view(-1, size, 2))
            rectified = rectified.view(filters, -1, 2 * size // segments)
            pieces.append(
                torch.bmm(rectified, weights).view(filters, -1, segments, weights.shape[2])
            )
        ctx.save_for_backward(spectra, responses, weights, starts, row_weights, *kept)
        ctx.step, ctx.rectifier, ctx.segments = step, rectifier, segments
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, 1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        spectra, responses, weights, starts, row_weights, *kept = ctx.saved_tensors
        filters, size = responses.shape
        rows, step, segments = spectra.shape[0], ctx.step, ctx.segments
        rectify, derive = RECTIFIERS[ctx.rectifier]
        width = 2 * size // segments
        need_spectra, need_responses, need_weights = ctx.needs_input_grad[:3]
        grad_spectra = torch.zeros_like(spectra) if need_spectra else None
        grad_responses = torch.zeros_like(responses) if need_responses else None
        grad_weights = torch.zeros_like(weights) if need_weights else None
        transposed = weights.transpose(1, 2)
        for index, first in enumerate(range(0, rows, step)):
            chunk = spectra[first : first + step]
            signal = kept[index] if kept else _band_signal(chunk, responses, starts)
            parts = torch.view_as_real(signal)
            some = grad[:, first : first + step].reshape(filters, -1, grad.shape[3])
            factors = None
            if row_weights is not None:
                factors = row_weights[first : first + step].view(-1, size, 2)
            if need_weights:
                rectified = rectify(parts)
                if factors is not None:
                    rectified = rectified.mul_(factors)
                grad_weights.baddbmm_(rectified.view(filters, -1, width).transpose(1, 2), some)
            if not (need_spectra or need_responses):
                continue
            if ctx.rectifier == "square":
                slope = torch.bmm(2.0 * some, transposed).view(parts.shape).mul_(parts)
            else:
                slope = torch.bmm(some, transposed).view(parts.shape).mul_(derive(parts))
            if factors is not None:
                slope = slope.mul_(factors)
            slope = torch.fft.fft(torch.view_as_complex(slope))
            if need_responses:
                grad_responses += torch.linalg.vecdot(_bands(chunk, starts, size), slope, dim=1)
            if need_spectra:
                slope = slope.mul_(responses.conj()[:, None])
                bins = (starts[:, None] + torch.arange(size, device=starts.device)).view(-1)
                flat = slope.transpose(0, 1).reshape(chunk.shape[0], -1)
                grad_spectra[first : first + step].index_add_(1, bins, flat)
        return grad_spectra, grad_responses, grad_weights, None, None, None, None


def _band_signal(chunk, responses, starts):
    bands = _bands(chunk, starts, responses.shape[1]).mul_(responses[:, None])
    return torch.fft.ifft(bands, norm="forward")
