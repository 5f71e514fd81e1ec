"""Per-channel energy normalisation (PCEN) without a loop over frames."""

import math

import torch
from torch import nn
from torch.nn import functional

from ..system.operators import is_traced, operator
from .engine import backend
from .framing import frame_count

CHUNK_FRAMES = 32
#: Calls within one another of the form for other runtimes, whose memory grows with the square of
#: frames / CHUNK_FRAMES^PLAIN_LEVELS: 176 for half an hour at 100 frames per second.
PLAIN_LEVELS = 2
#: Frames between two smoothed energies that are kept for backward; FRAMES in pcen.c.
_PIECE_FRAMES = 64
_INPUTS = ("energy", "state", "alpha", "delta", "power", "smooth")
#: Parametrisations: the four values themselves, or their logarithms.
PARAMETERS = ("linear", "log")


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

    Example
    -------
    >>> smooth_energy(torch.ones(1, 3, 1), torch.tensor([0.5]), torch.zeros(1, 1)).flatten()
    tensor([0.5000, 0.7500, 0.8750])
    """
    if energy.shape[1] == 0:
        return energy
    return _smoothed(energy, smooth, state)


def _smoothed(energy, smooth, state, levels: int | None = None) -> torch.Tensor:
    first = energy[:, 0] if state is None else state
    inputs = (energy * smooth).permute(2, 0, 1)
    smoothed = _linear_recurrence(inputs, 1.0 - smooth, first.transpose(0, 1), levels)
    return smoothed.permute(1, 2, 0)


def _linear_recurrence(
    inputs: torch.Tensor, decay: torch.Tensor, state: torch.Tensor, levels: int | None = None
) -> torch.Tensor:
    """m[t] = decay * m[t-1] + inputs[t] along the last axis of (F, B, N); m[-1] is a state (F, B).

    Within a chunk of 32 frames the solution is one product with the matrix decay^(t-k); the ends
    of the chunks obey the same recurrence with decay^32 and are solved by the same function: about
    log32(N) steps for N frames. Every factor is a power of a number in [0, 1]: nothing overflows,
    however long the signal.

    With `levels`, it calls itself that often, whatever the number of frames, which a compiler does
    not know; the last call takes all ends as one chunk.
    """
    channels, batch, frames = inputs.shape
    if levels is None:
        size = min(CHUNK_FRAMES, frames)
        chunks = frame_count(frames, size)
    elif levels:  # one chunk more than needed: a size of 1 would be taken for a constant
        size, chunks = CHUNK_FRAMES, 1 + frame_count(frames, CHUNK_FRAMES)
    else:
        size, chunks = frames, 1
    steps = torch.arange(size, device=inputs.device)
    lag = steps[:, None] - steps[None, :]
    powers = decay[:, None, None] ** lag.clamp(min=0) * (lag >= 0)  # (F, t, k)
    padded = functional.pad(inputs, (0, chunks * size - frames))
    local = torch.bmm(padded.reshape(channels, batch * chunks, size), powers.transpose(1, 2))
    local = local.view(channels, batch, chunks, size)
    before = state[..., None]
    if levels or (levels is None and chunks > 1):
        deeper = None if levels is None else levels - 1
        ends = local[:, :, :-1, -1] if levels is None else local[..., -1]  # a size may not be 0
        ends = _linear_recurrence(ends, decay**size, state, deeper)
        before = torch.cat([before, ends], dim=2)[:, :, :chunks]
    fade = decay[:, None] ** (steps + 1)  # (F, t)
    local = local + before[..., None] * fade[:, None, None]
    return local.reshape(channels, batch, chunks * size)[..., :frames]


class _Compress(torch.autograd.Function):
    """(E / (floor + M)^alpha + delta)^power - delta^power, in few passes over the frames."""

    @staticmethod
    def forward(ctx, energy, smoothed, alpha, delta, power, floor):
        mean = smoothed + floor
        gain = torch.exp(-alpha * mean.log())
        log_base = (energy * gain).add_(delta).log_()
        raised = torch.exp(power * log_base)
        ctx.save_for_backward(energy, mean, gain, log_base, raised, alpha, delta, power)
        return raised - delta**power

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        energy, mean, gain, log_base, raised, alpha, delta, power = ctx.saved_tensors
        frames = (0, 1)
        grad_raised = grad * raised
        grad_base = power * grad_raised * torch.exp(-log_base)
        grad_energy = grad_base * gain
        grad_log_gain = grad_energy * energy
        total = grad.sum(frames)
        bias = delta**power
        grad_power = (grad_raised * log_base).sum(frames) - total * bias * delta.log()
        grad_delta = grad_base.sum(frames) - total * power * bias / delta
        grad_alpha = -(grad_log_gain * mean.log()).sum(frames)
        grad_smoothed = -alpha * grad_log_gain / mean
        return grad_energy, grad_smoothed, grad_alpha, grad_delta, grad_power, None


class _SmoothAndCompress(torch.autograd.Function):
    """Smoothing and `_Compress` in C; backward keeps one smoothed energy in 64 frames.

    Arguments are contiguous float32 tensors: energy (B, N, F), N > 0, state (B, F) or None,
    (F,) for the four values, and a float. Returns the output and the last smoothed energy (B, F).
    """

    @staticmethod
    def forward(ctx, energy, state, alpha, delta, power, smooth, floor):
        ctx.set_materialize_grads(False)
        batch, frames, channels = energy.shape
        inputs = [energy, state, alpha, delta, power, smooth]
        inputs = [None if tensor is None else tensor.contiguous() for tensor in inputs]
        out, last = torch.empty_like(inputs[0]), energy.new_empty(batch, channels)
        marks = None
        if any(ctx.needs_input_grad):
            marks = energy.new_empty(batch, -(-frames // _PIECE_FRAMES), channels)
        ctx.numbers = {"batch": batch, "frames": frames, "channels": channels, "floor": floor}
        tensors = dict(zip(_INPUTS, inputs, strict=True))
        backend.call("pcen", **tensors, **ctx.numbers, out=out, last=last, marks=marks)
        ctx.save_for_backward(*inputs, marks)
        return out, last

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, *grads):
        *inputs, marks = ctx.saved_tensors
        energy, state = inputs[:2]
        of_energy = torch.empty_like(energy) if ctx.needs_input_grad[0] else None
        of_state = torch.empty_like(state) if ctx.needs_input_grad[1] else None
        of_values = energy.new_empty(4, len(energy), energy.shape[2], dtype=torch.float64)
        grads = [None if grad is None else grad.contiguous() for grad in grads]
        backend.call(
            "pcen_backward",
            **dict(zip(_INPUTS, inputs, strict=True)),
            **ctx.numbers,
            **dict(zip(("grad", "grad_last"), grads, strict=True)),
            **{"grad_energy": of_energy, "grad_state": of_state, "grad_values": of_values},
            marks=marks,
        )
        return of_energy, of_state, *of_values.sum(1).float().unbind(), None


class PCEN(nn.Module):
    """Per-channel energy normalisation with four learned values per channel (sPCEN).

    y = (E / (floor + M)^alpha + delta)^(1 / root) - delta^(1 / root), M the smoothed energy.

    With "linear", parameters are used as they are: call `project_()` after an optimiser step to
    keep them in range. A clamp in forward would stop the gradient of a value that has left its
    range. With "log", a value outside its range is read as the end of the range with the gradient
    there: no finite parameter gives NaN, even without projection, and none stops learning.

    Arguments
    ---------
    num_features : int
        F.
    alpha, delta, root, smooth : float
        Initial gain exponent, bias, root and smoothing coefficient (per frame), whatever
        `parameters` is. EfficientLEAF starts with 1, 1, 1, 0.025 and a floor of 1e-6; at root = 1
        the output does not depend on delta, whose gradient is zero until root has moved.
    floor : float
        Added to the smoothed energy.
    trainable : bool
        False keeps the initial values.
    parameters : str
        "linear": `alpha`, `delta`, `root` and `smooth` are learned. "log": their logarithms,
        `log_alpha` and so on, so that a step is a factor and no value can change its sign.

    Shape
    -----
    (B, N, F) energies >= 0 -> (B, N, F) float32

    Raises
    ------
    ValueError
        For another `parameters`, or initial values outside `LOG_RANGES` with "log".

    References
    ----------
    Wang et al., Trainable Frontend For Robust and Far-Field Keyword Spotting (2017);
    Zeghidour et al., LEAF (2021): initial values and per-channel smoothing. Deviation: delta is
    kept at or above `MIN_DELTA` (the reference leaves it free and gives NaN below 0; the
    derivative of delta^(1/root) is infinite at 0).
    Logarithms: CPJKU/EfficientLEAF@5e87fcd, which learns the logarithm of 1 / root where this
    learns that of root (the other sign), and sets no range: there a smooth above 1 diverges.

    Example
    -------
    >>> PCEN(40)(torch.ones(1, 100, 40)).shape
    torch.Size([1, 100, 40])
    """

    MIN_DELTA = 1e-3
    #: Range of each value with parameters="log". The lower ends keep the slope, which is the value
    #: itself, from vanishing.
    LOG_RANGES = {
        "alpha": (1e-3, 1.0),
        "delta": (MIN_DELTA, 1e3),
        "root": (1.0, 100.0),
        "smooth": (1e-4, 1.0),
    }

    def __init__(
        self,
        num_features: int,
        alpha: float = 0.96,
        delta: float = 2.0,
        root: float = 2.0,
        smooth: float = 0.04,
        floor: float = 1e-12,
        trainable: bool = True,
        parameters: str = "linear",
    ):
        super().__init__()
        if parameters not in PARAMETERS:
            raise ValueError(f"PCEN parameters must be one of {PARAMETERS}, got {parameters!r}")
        self.floor = floor
        self.is_plain = False
        self.in_logs = parameters == "log"
        values = {"alpha": alpha, "delta": delta, "root": root, "smooth": smooth}
        for name, value in values.items():
            if self.in_logs:
                low, high = self.LOG_RANGES[name]
                if not low <= value <= high:
                    raise ValueError(f"{name} must lie in {low:g} ... {high:g}, got {value!r}")
                name, value = f"log_{name}", math.log(value)
            parameter = nn.Parameter(torch.full((num_features,), float(value)), trainable)
            self.register_parameter(name, parameter)

    def values(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """alpha, delta, root and smooth as they are used, (F,) each."""
        if not self.in_logs:
            return self.alpha, self.delta, self.root, self.smooth
        values = []
        for name, (low, high) in self.LOG_RANGES.items():
            parameter = getattr(self, f"log_{name}")
            clamped = parameter.detach().clamp(math.log(low), math.log(high))
            # The difference is zero, its gradient is one.
            values.append(torch.exp(clamped + (parameter - parameter.detach())))
        return tuple(values)

    @torch.no_grad()
    def project_(self) -> None:
        """Put every value back into its range, in place."""
        if self.in_logs:
            for name, (low, high) in self.LOG_RANGES.items():
                getattr(self, f"log_{name}").clamp_(math.log(low), math.log(high))
            return
        self.alpha.clamp_(0.0, 1.0)
        self.delta.clamp_(min=self.MIN_DELTA)
        self.root.clamp_(min=1.0)
        self.smooth.clamp_(0.0, 1.0)

    def use_plain_operators_(self) -> None:
        """Compute by matrix products and pointwise operators from now on, without a gradient."""
        self.is_plain = True

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
            Returned by the call for the previous piece; None at the start.

        Returns
        -------
        tensor (B, N, F), and the state for the next piece, (B, F).
        """
        with torch.autocast(energy.device.type, enabled=False):
            values = self.values()
            dtype = torch.promote_types(values[0].dtype, torch.float32)
            energy = energy.to(dtype)
            alpha, delta, root, smooth = (value.to(dtype) for value in values)
            power = 1.0 / root
            tensors = energy, state, alpha, delta, power, smooth
            normalise = _pcen_operator if is_traced(*tensors) else _normalise
            normalise = _plainly if self.is_plain else normalise
            return normalise(*tensors, float(self.floor))


def _fits_c(energy: torch.Tensor, state: torch.Tensor | None, *values: torch.Tensor) -> bool:
    """Whether shapes are those of `_SmoothAndCompress`, not merely broadcastable to them, and C
    takes the tensors."""
    states = [] if state is None else [state]
    return (
        energy.ndim == 3
        and energy.shape[1] > 0
        and all(state.shape == energy[:, 0].shape for state in states)
        and all(value.shape == energy.shape[2:] for value in values)
        and backend.takes(energy, *values, *states)
    )


def _normalise(
    energy: torch.Tensor,
    state: torch.Tensor | None,
    alpha: torch.Tensor,
    delta: torch.Tensor,
    power: torch.Tensor,
    smooth: torch.Tensor,
    floor: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """PCEN and the last smoothed energy, in C or by torch operators."""
    tensors = energy, state, alpha, delta, power, smooth
    if _fits_c(*tensors):
        return _SmoothAndCompress.apply(*tensors, floor)
    smoothed = smooth_energy(energy, smooth, state)
    out = _Compress.apply(energy, smoothed, alpha, delta, power, floor)
    return out, smoothed[:, -1] if energy.shape[1] else state


def _plainly(energy, state, alpha, delta, power, smooth, floor):
    """`_normalise` in the same operators for any number of frames, which is at least 1."""
    smoothed = _smoothed(energy, smooth, state, PLAIN_LEVELS)
    gained = energy * torch.exp(-alpha * (smoothed + floor).log())
    return (gained + delta) ** power - delta**power, smoothed[:, -1]


def _shapes(energy, *_):
    return energy.new_empty(energy.shape), energy.new_empty(energy.shape[0], energy.shape[2])


_pcen_operator = operator("pcen", _normalise, _shapes)
