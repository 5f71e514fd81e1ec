"""Decide between compiled C and torch operators, and call the C functions.

`takes` is the only place that decides. The engine asks it once per call, PCEN once per call, and
everything below is told the answer (`compiled`).
"""

import ctypes
import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch

from ...system.compiling import library, load

#: Rows that the C functions process side by side, as in lanes.h.
LANES = 8
_SOURCES = tuple(sorted(Path(__file__).parent.glob("*.c")))


def takes(*tensors: torch.Tensor) -> bool:
    """Whether C computes with these tensors: float32 on a CPU with a C compiler, and not traced.

    Example
    -------
    >>> takes(torch.ones(2).double()), takes(torch.ones(0))
    (False, False)
    """
    if torch.jit.is_tracing() or torch.onnx.is_in_onnx_export():
        return False
    for tensor in tensors:
        if tensor.device.type != "cpu" or tensor.dtype != torch.float32 or not tensor.numel():
            return False
    return library(*_SOURCES) is not None


def call(function: str, *args: torch.Tensor | int | float | None) -> int:
    """Call a C function; the number of threads is appended to its arguments.

    Arguments
    ---------
    function : str
        A function of one of the C files of this folder that returns -1 when it gets no memory.
    args
        In the order of the C declaration: a contiguous tensor or None for a pointer, an int for a
        long, a float for a double. Types and shapes are the caller's responsibility.

    Raises
    ------
    MemoryError
    """
    threads = ctypes.c_int(torch.get_num_threads())
    status = getattr(load(*_SOURCES), function)(*map(_c_value, args), threads)
    if status < 0:
        raise MemoryError(f"no memory for the buffers of {function}")
    return status


def _c_value(value: torch.Tensor | int | float | None):
    if value is None:
        return ctypes.c_void_p(None)
    if isinstance(value, torch.Tensor):
        assert value.is_contiguous() and not value.is_conj()
        return ctypes.c_void_p(value.data_ptr())
    return ctypes.c_double(value) if isinstance(value, float) else ctypes.c_long(value)


def has_fast_fft(points: int) -> bool:
    """Whether the FFT of lanes_fft.h is fast: no prime factor above 13.

    Example
    -------
    >>> has_fast_fft(2200), has_fast_fft(2200 * 17)
    (True, False)
    """
    for factor in (2, 3, 5, 7, 11, 13):
        while points % factor == 0:
            points //= factor
    return points == 1


def keep_tensors(maxsize: int) -> Callable[[Callable], Callable]:
    """`lru_cache` for a function that makes tensors from sizes, also when inference calls it first.

    Tensors made in inference mode cannot be saved for a backward pass later.

    Example
    -------
    >>> steps = keep_tensors(8)(torch.arange)
    >>> with torch.inference_mode():
    ...     steps(3).is_inference()
    False
    """
    return lambda make: lru_cache(maxsize)(torch.inference_mode(False)(make))


@keep_tensors(maxsize=256)
def roots(size: int) -> torch.Tensor:
    """Roots of unity exp(2 pi i t / size) for t < size, (size, 2) float32."""
    angles = torch.arange(size, dtype=torch.float64) * (2 * math.pi / size)
    return torch.stack([angles.cos(), angles.sin()], dim=1).float()
