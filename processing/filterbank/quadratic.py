"""Rectified band signals, pooled: the inner loop of the engine, forward and backward."""

from __future__ import annotations

import torch

__all__ = ["RECTIFIERS", "pooled_bands"]

#: Bytes of band signal that are worked on at once, on a CPU and elsewhere.
CHUNK_BYTES = {"cpu": 2**20}
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
    frames: int = 0,
    span: int = 1,
) -> torch.Tensor:
    """Cut a band per filter, filter, go back to time, rectify, weight and sum per segment.

    Arguments
    ---------
    spectra : complex tensor (R, K)
        Spectra of R rows.
    responses : complex tensor (N, M)
        What the M bins from `starts` are multiplied with.
    weights : tensor (N, J, 2 * M / segments)
        Weights of the rectified real and imaginary parts inside a segment.
    starts : int64 tensor (N,)
        First bin of each filter's band.
    segments : int
        Into how many pieces the M samples are cut.
    rectifier : str
        "square", "abs" or "leaky_relu", applied to the real and to the imaginary part.
    row_weights : tensor (R, 2 * M) or None
        Factors on the rectified parts, for all filters.
    frames, span : int
        With frames > 0, frame t of a row is the sum over j < span of what weight row j gives on
        segment t + j. Every `span` weight rows make one output.

    Shape
    -----
    -> (N, J, R, segments), or (N, J / span, R, frames)
    """
    if rectifier not in RECTIFIERS:
        raise ValueError(f"rectifier must be one of {', '.join(RECTIFIERS)}, got {rectifier!r}")
    return _PooledBands.apply(
        spectra, responses, weights, starts, segments, rectifier, row_weights, frames, span
    )


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
    def forward(
        ctx, spectra, responses, weights, starts, segments, rectifier, row_weights, frames, span
    ):
        filters, size = responses.shape
        rows = spectra.shape[0]
        spectra = spectra.contiguous()
        row_bytes = filters * size * spectra.element_size()
        limit = CHUNK_BYTES.get(spectra.device.type, OTHER_CHUNK_BYTES)
        step = max(1, limit // row_bytes)
        need = any(ctx.needs_input_grad[:3])
        keep = need and rows * row_bytes <= KEEP_BYTES
        pieces, kept = [], []
        for first in range(0, rows, step):
            chunk = spectra[first : first + step]
            signal = _band_signal(chunk, responses, starts)
            if keep:
                kept.append(signal)
            rectified = _rectified(signal, rectifier, row_weights, first)
            # Long dimensions last: this order of factors is five times faster in MKL.
            columns = rectified.view(filters, -1, 2 * size // segments).transpose(1, 2)
            pooled = torch.bmm(weights, columns).view(filters, -1, len(chunk), segments)
            pieces.append(_overlapped(pooled, frames, span) if frames else pooled)
        ctx.save_for_backward(spectra, responses, weights, starts, row_weights, *kept)
        ctx.step, ctx.rectifier, ctx.segments = step, rectifier, segments
        ctx.frames, ctx.span = frames, span
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, 2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        spectra, responses, weights, starts, row_weights, *kept = ctx.saved_tensors
        filters, size = responses.shape
        rows, step = spectra.shape[0], ctx.step
        width = 2 * size // ctx.segments
        need_spectra, need_responses, need_weights = ctx.needs_input_grad[:3]
        grad_spectra = torch.zeros_like(spectra) if need_spectra else None
        grad_responses = torch.zeros_like(responses) if need_responses else None
        grad_weights = torch.zeros_like(weights) if need_weights else None
        # The conjugate of the signal's gradient is what a fast product of spectra needs.
        signs = torch.ones(width, dtype=weights.dtype, device=weights.device)
        signs[1::2] = -1.0
        turned = weights * (2.0 * signs if ctx.rectifier == "square" else signs)
        for index, first in enumerate(range(0, rows, step)):
            chunk = spectra[first : first + step]
            signal = kept[index] if kept else _band_signal(chunk, responses, starts)
            some = grad[:, :, first : first + step]
            if ctx.frames:
                some = _spread_out(some, ctx.segments, ctx.span)
            some = some.reshape(filters, weights.shape[1], -1)
            if need_weights:
                rectified = _rectified(signal, ctx.rectifier, row_weights, first)
                grad_weights += torch.bmm(some, rectified.view(filters, -1, width))
            if not (need_spectra or need_responses):
                continue
            parts = torch.view_as_real(signal)
            slope = torch.bmm(some.transpose(1, 2), turned).view(parts.shape)
            slope = slope.mul_(
                parts if ctx.rectifier == "square" else RECTIFIERS[ctx.rectifier][1](parts)
            )
            slope = _weighted(slope, row_weights, first)
            slope = torch.fft.ifft(torch.view_as_complex(slope), norm="forward")
            if need_spectra:
                bins = (starts[:, None] + torch.arange(size, device=starts.device)).view(-1)
                flat = (slope * responses[:, None]).transpose(0, 1).reshape(len(chunk), -1)
                grad_spectra[first : first + step].index_add_(1, bins, flat)
            if need_responses:
                grad_responses += slope.mul_(_bands(chunk, starts, size)).sum(1)
        if need_spectra:
            grad_spectra = grad_spectra.conj()
        if need_responses:
            grad_responses = grad_responses.conj()
        return grad_spectra, grad_responses, grad_weights, None, None, None, None, None, None


def _band_signal(
    spectra: torch.Tensor, responses: torch.Tensor, starts: torch.Tensor
) -> torch.Tensor:
    bands = _bands(spectra, starts, responses.shape[1]).mul_(responses[:, None])
    return torch.fft.ifft(bands, norm="forward")


def _overlapped(pooled: torch.Tensor, frames: int, span: int) -> torch.Tensor:
    """(N, J, R, segments) -> (N, J / span, R, frames): sum what overlaps in each frame."""
    total = pooled[:, 0::span, :, :frames]
    for j in range(1, span):
        total = total + pooled[:, j::span, :, j : j + frames]
    return total.contiguous()


def _spread_out(grad: torch.Tensor, segments: int, span: int) -> torch.Tensor:
    """The transpose of `_overlapped`."""
    filters, outputs, rows, frames = grad.shape
    spread = grad.new_zeros(filters, outputs * span, rows, segments)
    for j in range(span):
        spread[:, j::span, :, j : j + frames] = grad
    return spread


def _rectified(
    signal: torch.Tensor, rectifier: str, row_weights: torch.Tensor | None, first: int
) -> torch.Tensor:
    return _weighted(RECTIFIERS[rectifier][0](torch.view_as_real(signal)), row_weights, first)


def _weighted(parts: torch.Tensor, row_weights: torch.Tensor | None, first: int) -> torch.Tensor:
    """Multiply (N, r, M, 2) by its rows' factors, in place."""
    if row_weights is None:
        return parts
    return parts.mul_(row_weights[first : first + parts.shape[1]].view(-1, parts.shape[2], 2))
