"""Decide between compiled C and torch operators, and call the C functions.

`takes` is the only place that decides. The engine asks it once per call, PCEN once per call, and
everything below is told the answer (`compiled`).
"""

import math
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path

import torch
from cffi import FFI

from ...system.compiling import library, library_path

#: Rows that the C functions process side by side, as in lanes.h.
LANES = 8
_SOURCES = tuple(sorted(Path(__file__).parent.glob("*.c")))
_DTYPES = {
    "float": (torch.float32,),
    "double": (torch.float64,),
    "long": (torch.int64,),
    "char": (torch.bool,),
    "cfloat": (torch.complex64, torch.float32),
    "cvec": (torch.float32,),
}


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


def call(function: str, /, **members: torch.Tensor | int | float | None) -> int:
    """Call a function of engine.h with its one structure, and with the number of threads.

    Arguments
    ---------
    function : str
    members
        As in `structures`.

    Raises
    ------
    MemoryError
    """
    compiled, name = _function(function)
    status = compiled(structures(name, [members]), torch.get_num_threads())
    if status < 0:
        raise MemoryError(f"no memory for the buffers of {function}")
    return status


def structures(name: str, rows: Sequence):
    """An array of structures of engine.h, made of members or copied.

    Arguments
    ---------
    name : str
        Of the type.
    rows : list of dict, or of structures of this type
        Members by name: a contiguous tensor of the pointer's type (complex numbers also as pairs of
        floats), None for NULL, or a number. The rest is 0. That shapes are right, and that the
        tensors live as long as the array, is the caller's responsibility.

    Example
    -------
    >>> structures("numbers", [{"to": torch.ones(2), "count": 2}])[0].count
    2
    """
    dtypes = _dtypes(name)
    rows = [
        {
            member: _pointer(value, dtypes[member]) if isinstance(value, torch.Tensor) else value
            for member, value in row.items()
            if value is not None
        }
        if isinstance(row, dict)
        else row
        for row in rows
    ]
    return _declarations().new(f"{name}[]", rows)


def set_pointer(structure, member: str, tensor: torch.Tensor) -> None:
    """Let a member of a structure in an array point to a tensor, as `structures` does."""
    name = _declarations().typeof(structure).cname.removesuffix(" &")
    setattr(structure, member, _pointer(tensor, _dtypes(name)[member]))


def _pointer(tensor: torch.Tensor, dtypes: tuple[torch.dtype, ...]):
    assert tensor.dtype in dtypes and tensor.is_contiguous() and not tensor.is_conj()
    return _declarations().cast("void *", tensor.data_ptr())


@cache
def _dtypes(name: str) -> dict[str, tuple[torch.dtype, ...]]:
    """The tensors that each member of a structure takes."""
    fields = dict(_declarations().typeof(name).fields)
    items = {
        member: field.type.item.cname if field.type.kind == "pointer" else ""
        for member, field in fields.items()
    }
    return {member: _DTYPES.get(item, ()) for member, item in items.items()}


@lru_cache(maxsize=1)
def _declarations() -> FFI:
    ffi = FFI()
    ffi.cdef(Path(__file__).with_name("engine.h").read_text(encoding="utf-8"))
    return ffi


@cache
def _function(name: str) -> tuple[Callable, str]:
    """A compiled function, and the name of its structure."""
    function = getattr(_declarations().dlopen(str(library_path(*_SOURCES))), name)
    return function, _declarations().typeof(function).args[0].item.cname


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
