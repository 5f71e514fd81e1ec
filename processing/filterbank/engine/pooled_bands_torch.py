"""Rectified band signals, pooled by torch operators, with a backward pass that saves memory."""

import torch

#: Bytes of band signal per chunk, on a CPU and elsewhere.
CHUNK_BYTES = {"cpu": 2**22}
OTHER_CHUNK_BYTES = 256 * 2**20
#: Band signals above this many bytes are computed again in backward instead of kept.
KEEP_BYTES = 256 * 2**20
#: Samples of one filter's bands above which each filter gets a call of its own, on a CPU.
CALL_SAMPLES = 2**14
LEAKY_SLOPE = 0.2


def _leaky_derivative(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x > 0, 1.0, LEAKY_SLOPE).to(x.dtype)


#: name -> (function, derivative) of a real filter output.
RECTIFIERS = {
    "square": (torch.square, lambda x: 2.0 * x),
    "abs": (torch.abs, torch.sign),
    "leaky_relu": (lambda x: torch.nn.functional.leaky_relu(x, LEAKY_SLOPE), _leaky_derivative),
}


def pool_group(group) -> torch.Tensor:
    """A group of `Bands`, (N, J / span, R, frames) or (N, J, R, segments)."""
    return _PooledBands.apply(
        group.spectra.rows,
        group.responses,
        _spread(group.weights, group.paired),
        *(tuple(group.starts), group.segments, group.rectifier, group.valid),
        *(group.frames, group.span),
    )


def overlap_add(pooled: torch.Tensor, group, shape: torch.Size) -> torch.Tensor:
    """Pooled energies (N, outputs, R, frames) as (N * outputs, clips, all frames).

    `shape` is that of the accumulator; what falls outside its frames is dropped.
    """
    frame = torch.arange(pooled.shape[3], device=pooled.device)
    frame = frame + (0 if group.first_frame is None else group.first_frame[:, None])
    pooled = (pooled * ((frame >= 0) & (frame < shape[2]))).flatten(0, 1)
    out = torch.zeros(len(pooled), *shape[1:], dtype=pooled.dtype, device=pooled.device)
    return out.scatter_add(2, frame.clamp(0, shape[2] - 1).expand_as(pooled), pooled)


def _spread(weights: torch.Tensor, paired: bool) -> torch.Tensor:
    """Weights of samples (N, J, K) to weights of their real and imaginary parts (N, J, 2 K)."""
    if not paired:
        return weights.repeat_interleave(2, dim=2)
    real, imaginary = weights.chunk(2, dim=1)
    real = torch.stack([real, torch.zeros_like(real)], dim=3)
    imaginary = torch.stack([torch.zeros_like(imaginary), imaginary], dim=3)
    return torch.cat([real, imaginary], dim=1).flatten(2)


class _PooledBands(torch.autograd.Function):
    """Pooled bands of one group, in chunks of rows that stay in the cache.

    Arguments as `Bands`, but spectra as a tensor, and weights (N, J, 2 M / segments) of the real
    and imaginary parts.
    """

    @staticmethod
    def forward(ctx, spectra, responses, weights, starts, segments, rectifier, valid, frames, span):
        filters, size = responses.shape
        rows = spectra.shape[0]
        spectra, responses = spectra.contiguous(), responses.contiguous()
        row_bytes = filters * size * spectra.element_size()
        limit = CHUNK_BYTES.get(spectra.device.type, OTHER_CHUNK_BYTES)
        # Equal chunks: a short last one would cost as many calls as a whole one.
        chunks = -(-rows // max(1, limit // row_bytes))
        step = -(-rows // chunks)
        need = any(ctx.needs_input_grad[:3])
        keep = need and rows * row_bytes <= KEEP_BYTES
        scratch = spectra.new_empty(filters * step * size)
        padding = _Padding(valid, size, spectra.device)
        pooled, kept = [], []
        for first in range(0, rows, step):
            chunk = spectra[first : first + step]
            bands = scratch[: filters * len(chunk) * size].view(filters, len(chunk), size)
            signal = torch.fft.ifft(_cut(chunk, starts, responses, bands), norm="forward")
            if keep:
                kept.append(signal)
            out = torch.view_as_real(bands if keep else signal)
            rectified = _rectified(torch.view_as_real(signal), rectifier, out)
            padding.clear(rectified, first)
            # Long dimensions last: this order of factors is five times faster in MKL.
            columns = rectified.view(filters, -1, 2 * size // segments).transpose(1, 2)
            pooled.append(torch.bmm(weights, columns).view(filters, -1, len(chunk), segments))
        ctx.save_for_backward(spectra, responses, weights, valid, *kept)
        ctx.step, ctx.rectifier, ctx.segments, ctx.starts = (step, rectifier, segments, starts)
        ctx.frames, ctx.span = frames, span
        whole = pooled[0] if len(pooled) == 1 else torch.cat(pooled, 2)
        return _overlapped(whole, frames, span) if frames else whole

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        spectra, responses, weights, valid, *kept = ctx.saved_tensors
        filters, size = responses.shape
        rows, step, starts = spectra.shape[0], ctx.step, ctx.starts
        width = 2 * size // ctx.segments
        need_spectra, need_responses, need_weights = ctx.needs_input_grad[:3]
        grad_spectra = torch.zeros_like(spectra) if need_spectra else None
        grad_responses = torch.zeros_like(responses) if need_responses else None
        grad_weights = torch.zeros_like(weights) if need_weights else None
        # Weights for the conjugate of the signal's gradient, which the product of spectra takes.
        signs = torch.ones(width, dtype=weights.dtype, device=weights.device)
        signs[1::2] = -1.0
        signed = weights * (2.0 * signs if ctx.rectifier == "square" else signs)
        if ctx.frames:
            grad = _spread_out(grad, ctx.segments, ctx.span)
        scratch = spectra.new_empty(filters * step * size)
        padding = _Padding(valid, size, spectra.device)
        for index, first in enumerate(range(0, rows, step)):
            chunk = spectra[first : first + step]
            bands = scratch[: filters * len(chunk) * size].view(filters, len(chunk), size)
            if kept:
                signal = kept[index]
            else:
                signal = torch.fft.ifft(_cut(chunk, starts, responses, bands), norm="forward")
            parts, slope = torch.view_as_real(signal), torch.view_as_real(bands)
            above = grad[:, :, first : first + step].reshape(filters, weights.shape[1], -1)
            if need_weights:
                rectified = _rectified(parts, ctx.rectifier, slope)
                padding.clear(rectified, first)
                grad_weights += torch.bmm(above, rectified.view(filters, -1, width))
            if not (need_spectra or need_responses):
                continue
            torch.bmm(above.transpose(1, 2), signed, out=slope.view(filters, -1, width))
            slope.mul_(parts if ctx.rectifier == "square" else RECTIFIERS[ctx.rectifier][1](parts))
            padding.clear(slope, first)
            slope = torch.fft.ifft(bands, norm="forward")
            if need_spectra:
                for n, start in enumerate(starts):
                    grad_spectra[first : first + step, start : start + size].addcmul_(
                        slope[n], responses[n]
                    )
            if need_responses:
                grad_responses += _cut(chunk, starts, slope, slope).sum(1)
        if need_spectra:
            grad_spectra = grad_spectra.conj()
        if need_responses:
            grad_responses = grad_responses.conj()
        return (grad_spectra, grad_responses, grad_weights, None, None, None, None, None, None)


def _cut(
    spectra: torch.Tensor, starts: tuple[int, ...], factors: torch.Tensor, out: torch.Tensor
) -> torch.Tensor:
    """(N, R, M): the M bins from each start, times `factors` (N, M) or (N, R, M)."""
    rows, bins = spectra.shape
    size = out.shape[2]
    if spectra.device.type == "cpu" and rows * size > CALL_SAMPLES:
        for n, start in enumerate(starts):
            torch.mul(spectra[:, start : start + size], factors[n], out=out[n])
        return out
    # Calls per filter would cost more than this copy.
    windows = spectra.as_strided(
        (bins - size + 1, rows, size), (1, spectra.stride(0), 1), spectra.storage_offset()
    )
    first = torch.tensor(starts, device=spectra.device)
    return torch.mul(windows[first], factors if factors.dim() == 3 else factors[:, None], out=out)


def _overlapped(pooled: torch.Tensor, frames: int, span: int) -> torch.Tensor:
    """(N, J, R, segments) -> (N, J / span, R, frames): sum the segments of each frame."""
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


def _rectified(parts: torch.Tensor, rectifier: str, out: torch.Tensor) -> torch.Tensor:
    if rectifier == "square":
        return torch.mul(parts, parts, out=out)
    return out.copy_(RECTIFIERS[rectifier][0](parts))


class _Padding:
    """The samples of each row outside its valid part."""

    def __init__(self, valid: torch.Tensor | None, size: int, device: torch.device):
        self.valid = self.mask = None
        if valid is None:
            return
        if device.type == "cpu":
            self.valid = valid.clamp(0, size).tolist()
        else:
            place = torch.arange(size, device=device)
            self.mask = (place < valid[:, :1]) | (place >= valid[:, 1:])

    def clear(self, parts: torch.Tensor, first: int) -> None:
        """Set them to zero in (N, r, M, 2), whose row 0 is row `first`; in place."""
        rows, size = parts.shape[1:3]
        if self.mask is not None:
            parts.masked_fill_(self.mask[first : first + rows, :, None], 0.0)
        if self.valid is None:
            return
        ends = self.valid[first : first + rows]
        if all(end == ends[0] for end in ends):
            ends, parts = ends[:1], parts[:, None]
        for row, (begin, end) in enumerate(ends):
            if begin > 0:
                parts[:, row, ..., :begin, :] = 0.0
            if end < size:
                parts[:, row, ..., end:, :] = 0.0
