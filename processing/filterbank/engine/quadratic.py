"""Rectified band signals, pooled: the inner loop of the engine, forward and backward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from . import pooled_bands_compiled as compiled
from .spectra import Spectra

__all__ = ["RECTIFIERS", "Bands", "Total", "pooled_bands"]

#: Bytes of band signal that are worked on at once, on a CPU and elsewhere.
CHUNK_BYTES = {"cpu": 2**22}
OTHER_CHUNK_BYTES = 256 * 2**20
#: Band signals above this many bytes are computed again in backward instead of kept.
KEEP_BYTES = 256 * 2**20
#: Samples of one filter's bands above which they are worth a call of their own, on a CPU.
CALL_SAMPLES = 2**14
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


@dataclass(frozen=True, eq=False)
class Total:
    """What several sets of bands make together: a tensor (outputs, clips, frames)."""

    outputs: int
    clips: int
    frames: int


@dataclass(frozen=True, eq=False)
class Bands:
    """Bands to be cut, filtered, taken back to time, rectified, weighted and summed per segment.

    Arguments
    ---------
    spectra : Spectra of R rows
    responses : complex tensor (N, M)
        What the M bins from `starts` are multiplied with.
    weights : tensor (N, J, M / segments)
        Weights of the rectified samples of a segment.
    starts : N whole numbers
        First bin of each filter's band.
    segments : int
        Into how many pieces the M samples are cut.
    rectifier : str
        "square", "abs" or "leaky_relu", applied to the real and to the imaginary part.
    paired : bool
        Real and imaginary part are two filters: the first half of the weight rows is for the real
        part, the second for the imaginary part. Otherwise both parts count alike.
    valid : int64 tensor (R, 2) or None
        First and last + 1 of the M samples of each row that count.
    frames, span : int
        With frames > 0, frame t of a row is the sum over j < span of what weight row j gives on
        segment t + j. Every `span` weight rows make one output.
    into : Total or None
        Where the outputs go; each clip is R / clips rows that follow each other. None: a tensor of
        their own.
    places : N whole numbers, with `into`
        Where the first output of each filter goes; the others follow.
    first : int64 tensor (R,) or None, with `into`
        Where frame 0 of each row goes; frames that fall outside are dropped. None: frame 0.
    turn : int
        0: what is at these places; above: taken away from it, after all that has a lower turn.
    in_time : bool, with `into`
        The outputs of a filter are frames that follow each other, and go to one place.
    """

    spectra: Spectra
    responses: torch.Tensor
    weights: torch.Tensor
    starts: Sequence[int]
    segments: int
    rectifier: str = "square"
    paired: bool = False
    valid: torch.Tensor | None = None
    frames: int = 0
    span: int = 1
    into: Total | None = None
    places: Sequence[int] = ()
    first: torch.Tensor | None = None
    turn: int = 0
    in_time: bool = False

    def __post_init__(self):
        if self.rectifier not in RECTIFIERS:
            allowed = ", ".join(RECTIFIERS)
            raise ValueError(f"rectifier must be one of {allowed}, got {self.rectifier!r}")
        needed = self.frames + self.span - 1 if self.frames else self.span * self.segments
        if needed > self.segments:
            raise ValueError(
                f"{self.frames} frames over {self.span} segments each do not fit {self.segments} "
                "segments"
            )

    @property
    def in_c(self) -> bool:
        """Whether the compiled form can take them."""
        fits = self.responses.dtype == torch.complex64 and self.weights.dtype == torch.float32
        return fits and self.spectra.can_be_packed

    @cached_property
    def total(self) -> Total:
        if self.into is not None:
            return self.into
        outputs = len(self.weights) * self.weights.shape[1] // self.span
        return Total(outputs, len(self.spectra), self.frames or self.segments)

    @property
    def all_places(self) -> Sequence[int]:
        step = self.weights.shape[1] // self.span
        return self.places if self.into else range(0, len(self.weights) * step, step)


def pooled_bands(every: Sequence[Bands]) -> list[torch.Tensor]:
    """Sums of each of several sets of bands, at once.

    On a CPU this is compiled C where there is a compiler (see `pooled_bands_compiled`), unless a gradient of the
    spectra is wanted; elsewhere torch operators.

    Shape
    -----
    Of each different `into`, in the order in which they come: (outputs, clips, frames). Of each set
    without one: (N, J, R, segments), or with frames > 0 (N, J / span, R, frames).
    """
    totals: dict[Total, list[Bands]] = {}
    for some in every:
        totals.setdefault(some.total, []).append(some)
    found = {}
    in_c = [some for bands in totals.values() if all(one.in_c for one in bands) for some in bands]
    if in_c and compiled.is_available():
        # Large tasks first, so that the threads end together.
        in_c.sort(key=lambda some: (some.turn, -some.responses.shape[1]))
        tensors = [tensor for some in in_c for tensor in (some.responses, some.weights)]
        outs = _CompiledBands.apply(in_c, *tensors)
        found = dict(zip(dict.fromkeys(some.total for some in in_c), outs, strict=True))
    made = []
    for total, bands in totals.items():
        out = found[total] if total in found else _by_operators(total, bands)
        if bands[0].into is None:
            out = out.view(len(bands[0].weights), -1, *out.shape[1:])
        made.append(out)
    return made


def _by_operators(total: Total, every: Sequence[Bands]) -> torch.Tensor:
    """What several sets of bands make together, (outputs, clips, frames)."""
    every = sorted(every, key=lambda some: some.turn)
    found = [
        _PooledBands.apply(
            some.spectra.rows,
            some.responses,
            _spread(some.weights, some.paired),
            *(tuple(some.starts), some.segments, some.rectifier, some.valid),
            *(some.frames, some.span),
        )
        for some in every
    ]
    places = [_places(some) for some in every]
    # Those of turn 0 have every place between them, and the rows of a clip follow each other.
    written = sum(some.turn == 0 for some in every)
    out = torch.cat([one.flatten(0, 1) for one in found[:written]])
    order = [place for some in places[:written] for place in some]
    if order != sorted(order):
        out = out.index_select(0, torch.tensor(order, device=out.device).argsort())
    out = out.reshape(total.outputs, total.clips, -1)[..., : total.frames]
    for some, one, rows in zip(every[written:], found[written:], places[written:], strict=True):
        one = one.transpose(1, 3) if some.in_time else one
        frame = torch.arange(one.shape[3], device=out.device)
        frame = frame + (0 if some.first is None else some.first[:, None])
        inside = (frame >= 0) & (frame < total.frames)
        one = (one * inside).flatten(0, 1)
        spread = torch.zeros(len(one), *out.shape[1:], dtype=out.dtype, device=out.device)
        spread = spread.scatter_add(2, frame.clamp(0, total.frames - 1).expand_as(one), one)
        out = out.index_add(0, torch.tensor(rows, device=out.device), spread, alpha=-1)
    return out


def _places(some: Bands) -> list[int]:
    """Of each output."""
    step = 1 if some.in_time else some.weights.shape[1] // some.span
    return [place + output for place in some.all_places for output in range(step)]


def _spread(weights: torch.Tensor, paired: bool) -> torch.Tensor:
    """Weights of samples (N, J, K) to weights of their real and imaginary parts (N, J, 2 K)."""
    if not paired:
        return weights.repeat_interleave(2, dim=2)
    real, imaginary = weights.chunk(2, dim=1)
    real = torch.stack([real, torch.zeros_like(real)], dim=3)
    imaginary = torch.stack([torch.zeros_like(imaginary), imaginary], dim=3)
    return torch.cat([real, imaginary], dim=1).flatten(2)


class _CompiledBands(torch.autograd.Function):
    """All of it in one pass, and the band signals computed again in backward."""

    @staticmethod
    def forward(ctx, every, *tensors):
        ctx.call = compiled.Call(every)
        totals = ctx.call.forward()
        ctx.wanted = [i for i in range(len(every)) if any(ctx.needs_input_grad[1 + 2 * i :][:2])]
        learned = {every[i].total for i in ctx.wanted}
        ctx.mark_non_differentiable(*(out for one, out in totals.items() if one not in learned))
        return tuple(totals.values())

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, *grads):
        found = [None] * (2 * len(ctx.call.totals))
        both = ctx.call.backward(grads, ctx.wanted)
        for i, some in zip(ctx.wanted, both, strict=True):
            found[2 * i : 2 * i + 2] = some
        return None, *found


class _PooledBands(torch.autograd.Function):
    """The signals of one group of filters exist in pieces that stay in the cache.

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
        # Equal pieces: a short last one would cost as many calls as a whole one.
        pieces = -(-rows // max(1, limit // row_bytes))
        step = -(-rows // pieces)
        need = any(ctx.needs_input_grad[:3])
        keep = need and rows * row_bytes <= KEEP_BYTES
        scratch = spectra.new_empty(filters * step * size)
        outside = _Outside(valid, size, spectra.device)
        pooled, kept = [], []
        for first in range(0, rows, step):
            chunk = spectra[first : first + step]
            bands = scratch[: filters * len(chunk) * size].view(filters, len(chunk), size)
            signal = torch.fft.ifft(_cut(chunk, starts, responses, bands), norm="forward")
            if keep:
                kept.append(signal)
            out = torch.view_as_real(bands if keep else signal)
            rectified = _rectified(torch.view_as_real(signal), rectifier, out)
            outside.clear(rectified, first)
            # Long dimensions last: this order of factors is five times faster in MKL.
            columns = rectified.view(filters, -1, 2 * size // segments).transpose(1, 2)
            pooled.append(torch.bmm(weights, columns).view(filters, -1, len(chunk), segments))
        ctx.save_for_backward(spectra, responses, weights, valid, *kept)
        ctx.step, ctx.rectifier, ctx.segments, ctx.starts = step, rectifier, segments, starts
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
        # The conjugate of the signal's gradient is what a fast product of spectra needs.
        signs = torch.ones(width, dtype=weights.dtype, device=weights.device)
        signs[1::2] = -1.0
        turned = weights * (2.0 * signs if ctx.rectifier == "square" else signs)
        if ctx.frames:
            grad = _spread_out(grad, ctx.segments, ctx.span)
        scratch = spectra.new_empty(filters * step * size)
        outside = _Outside(valid, size, spectra.device)
        for index, first in enumerate(range(0, rows, step)):
            chunk = spectra[first : first + step]
            bands = scratch[: filters * len(chunk) * size].view(filters, len(chunk), size)
            if kept:
                signal = kept[index]
            else:
                signal = torch.fft.ifft(_cut(chunk, starts, responses, bands), norm="forward")
            parts, slope = torch.view_as_real(signal), torch.view_as_real(bands)
            some = grad[:, :, first : first + step].reshape(filters, weights.shape[1], -1)
            if need_weights:
                rectified = _rectified(parts, ctx.rectifier, slope)
                outside.clear(rectified, first)
                grad_weights += torch.bmm(some, rectified.view(filters, -1, width))
            if not (need_spectra or need_responses):
                continue
            torch.bmm(some.transpose(1, 2), turned, out=slope.view(filters, -1, width))
            slope.mul_(parts if ctx.rectifier == "square" else RECTIFIERS[ctx.rectifier][1](parts))
            outside.clear(slope, first)
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
        return grad_spectra, grad_responses, grad_weights, None, None, None, None, None, None


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
    # A call per filter would cost more than the copy that this makes.
    windows = spectra.as_strided(
        (bins - size + 1, rows, size), (1, spectra.stride(0), 1), spectra.storage_offset()
    )
    first = torch.tensor(starts, device=spectra.device)
    return torch.mul(windows[first], factors if factors.dim() == 3 else factors[:, None], out=out)


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


def _rectified(parts: torch.Tensor, rectifier: str, out: torch.Tensor) -> torch.Tensor:
    if rectifier == "square":
        return torch.mul(parts, parts, out=out)
    return out.copy_(RECTIFIERS[rectifier][0](parts))


class _Outside:
    """The samples of each row that do not count."""

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
        some = self.valid[first : first + rows]
        if all(ends == some[0] for ends in some):
            some, parts = some[:1], parts[:, None]
        for row, (begin, end) in enumerate(some):
            if begin > 0:
                parts[:, row, ..., :begin, :] = 0.0
            if end < size:
                parts[:, row, ..., end:, :] = 0.0
