"""PCEN's smoothing and compression as compiled C (pcen.c), where the machine has a C compiler."""

from __future__ import annotations

import ctypes
from pathlib import Path

import torch

from ..system.compiling import Functions

__all__ = ["can_take", "is_available", "smooth_and_compress"]

#: Frames between two smoothed energies that are kept for backward; as FRAMES in pcen.c.
_PIECE_FRAMES = 64
#: Values for which it pays to wake another thread.
_VALUES_PER_THREAD = 4096


class _Call(ctypes.Structure):
    _fields_ = [
        *(
            (name, ctypes.c_void_p)
            for name in (
                *("energy", "state", "alpha", "delta", "power", "smooth", "out", "last", "marks"),
                *("grad", "grad_last", "grad_energy", "grad_state", "grad_values"),
            )
        ),
        *((name, ctypes.c_long) for name in ("batch", "frames", "channels")),
        ("floor", ctypes.c_float),
    ]


_ARGTYPES = [ctypes.POINTER(_Call), ctypes.c_int]
_FUNCTIONS = Functions(Path(__file__).with_name("pcen.c"), pcen=_ARGTYPES, pcen_backward=_ARGTYPES)
is_available = _FUNCTIONS.are_available


def _run(name: str, shape: torch.Size, floor: float, **tensors: torch.Tensor | None) -> None:
    where = {name: one.data_ptr() for name, one in tensors.items() if one is not None}
    call = _Call(*(where.get(field) for field, _ in _Call._fields_[:-4]), *shape, floor)
    threads = min(torch.get_num_threads(), max(1, shape.numel() // _VALUES_PER_THREAD))
    getattr(_FUNCTIONS, name)(call, threads)


class _SmoothAndCompress(torch.autograd.Function):
    """Of what forward computes, one smoothed energy in 64 is kept; the rest is computed again."""

    @staticmethod
    def forward(ctx, energy, state, alpha, delta, power, smooth, floor):
        ctx.set_materialize_grads(False)
        batch, frames, channels = energy.shape
        names = ("energy", "state", "alpha", "delta", "power", "smooth")
        given = (energy, state, alpha, delta, power, smooth)
        given = [None if one is None else one.contiguous() for one in given]
        out, last = torch.empty_like(given[0]), energy.new_empty(batch, channels)
        marks = None
        if any(ctx.needs_input_grad):
            marks = energy.new_empty(batch, -(-frames // _PIECE_FRAMES), channels)
        results = {"out": out, "last": last, "marks": marks}
        _run("pcen", energy.shape, floor, **dict(zip(names, given, strict=True)), **results)
        ctx.save_for_backward(*given, marks)
        ctx.floor = floor
        return out, last

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad, grad_last):
        names = ("energy", "state", "alpha", "delta", "power", "smooth", "marks")
        tensors = dict(zip(names, ctx.saved_tensors, strict=True))
        energy, state = tensors["energy"], tensors["state"]
        batch, _, channels = energy.shape
        of_energy = torch.empty_like(energy) if ctx.needs_input_grad[0] else None
        of_state = torch.empty_like(state) if ctx.needs_input_grad[1] else None
        of_values = energy.new_empty(4, batch, channels, dtype=torch.float64)
        _run(
            "pcen_backward",
            *(energy.shape, ctx.floor),
            **tensors,
            grad=None if grad is None else grad.contiguous(),
            grad_last=None if grad_last is None else grad_last.contiguous(),
            grad_energy=of_energy,
            grad_state=of_state,
            grad_values=of_values,
        )
        return of_energy, of_state, *of_values.sum(1).float().unbind(), None


def can_take(energy: torch.Tensor, state: torch.Tensor | None, *values: torch.Tensor) -> bool:
    """Whether `smooth_and_compress` is for these: float32 on the CPU, frames, and nothing traced.

    Arguments
    ---------
    energy : tensor (B, N, F)
    state : tensor (B, F) or None
    values : tensor (F,)
        Those that `smooth_and_compress` takes.

    Example
    -------
    >>> can_take(torch.ones(1, 2, 3).double(), None, torch.ones(3))
    False
    """
    if torch.jit.is_tracing() or torch.onnx.is_in_onnx_export() or torch.compiler.is_compiling():
        return False
    if energy.ndim != 3 or not energy.shape[1]:
        return False
    batch, _, channels = energy.shape
    if state is not None and state.shape != (batch, channels):
        return False
    if any(value.shape != (channels,) for value in values):
        return False
    tensors = (energy, *values) if state is None else (energy, state, *values)
    if any(one.dtype != torch.float32 or one.device.type != "cpu" for one in tensors):
        return False
    return is_available()


def smooth_and_compress(
    energy: torch.Tensor,
    state: torch.Tensor | None,
    alpha: torch.Tensor,
    delta: torch.Tensor,
    power: torch.Tensor,
    smooth: torch.Tensor,
    floor: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Smoothed and normalised energies, (E / (floor + M)^alpha + delta)^power - delta^power.

    For tensors that `can_take` approves of, with gradients of all of them; see `PCEN`.

    Arguments
    ---------
    energy : float32 tensor (B, N, F)
        N > 0.
    state : float32 tensor (B, F) or None
        M[-1]; None is the first frame.
    alpha, delta, power, smooth : float32 tensor (F,)
        Gain exponent, bias, 1 / root and the smoothing coefficient per frame.
    floor : float
        Added to the smoothed energy M.

    Returns
    -------
    tensor (B, N, F), and M[N - 1], (B, F).

    Example
    -------
    >>> values = [torch.full((3,), value) for value in (0.96, 2.0, 0.5, 0.04)]
    >>> energy = torch.ones(1, 5, 3)
    >>> if can_take(energy, None, *values):
    ...     out, last = smooth_and_compress(energy, None, *values, 1e-12)
    ...     assert out.shape == (1, 5, 3) and last.shape == (1, 3)
    """
    return _SmoothAndCompress.apply(energy, state, alpha, delta, power, smooth, floor)
