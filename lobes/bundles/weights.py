"""Weights of a bundle, compared with its model before memory is taken for either."""

import json
import math
import os
from collections.abc import Callable, Mapping

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

from ...processing.system.files import TextError, parse_json
from ...processing.system.memory import available_bytes, size_text
from ..model import Model
from .description import BundleError

#: Type and shape of every weight, by its name.
Shapes = dict[str, tuple[torch.dtype, tuple[int, ...]]]

_MAX_HEADER_BYTES = 2**22
#: Types of safetensors that a model can have; a file may hold another precision than the model.
_FLOATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_WHOLE = {"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8}
_TYPES = _FLOATS | _WHOLE | {"U8": torch.uint8, "BOOL": torch.bool, "C64": torch.complex64}
#: Memory of a model that its weights do not account for: windows, tables, filters made anew.
_MAX_UNSAVED_BYTES = 2**28
#: Calls of torch that build a model, at most: so many, and so many more for each weight.
_CALLS, _CALLS_PER_WEIGHT = 5000, 60
#: Of its weights, at most, that building a model makes.
_COPIES = 8

#: What makes tensors of a size, and vectors of a number of values.
_SIZED = {
    *(torch.empty, torch.empty_strided, torch.zeros, torch.ones, torch.full),
    *(torch.rand, torch.randn, torch.randint, torch.Tensor.new_empty, torch.Tensor.new_full),
    *(torch.Tensor.new_zeros, torch.Tensor.new_ones),
}
_COUNTED = {
    **dict.fromkeys((torch.linspace, torch.logspace), lambda low, high, steps, *_: steps),
    **dict.fromkeys(
        (torch.randperm, torch.hann_window, torch.hamming_window, torch.blackman_window),
        lambda count, *_: count,
    ),
    torch.arange: lambda low, high=None, step=1: (low if high is None else high - low) / step,
}
#: Values that are worth no sketch: torch takes seconds to load its arithmetic on "meta".
_FEW = 4096
#: In-place functions that change more than values.
_NOT_OF_VALUES = {
    *("requires_grad_", "detach_", "set_", "resize_", "resize_as_", "share_memory_", "as_strided_"),
    *("squeeze_", "unsqueeze_", "t_", "transpose_", "swapaxes_", "swapdims_"),
}


def shapes_in(path: str | os.PathLike) -> Shapes:
    """Type and shape of every tensor, from the header of a safetensors file alone.

    Raises
    ------
    BundleError
        A header that is none, that is too long, or with types that no model has; weights that are
        cut off.
    """
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        behind = os.fstat(file.fileno()).st_size - 8
        if not 0 < size <= min(_MAX_HEADER_BYTES, behind):
            raise BundleError(
                f"{path} is damaged: a header of {size} bytes, allowed are {_MAX_HEADER_BYTES} "
                "within the file"
            )
        header = file.read(size)
    try:
        entries = parse_json(header, path)
        entries.pop("__metadata__", None)
        shapes = {
            name: (_TYPES[entry["dtype"]], tuple(map(_side, entry["shape"])))
            for name, entry in entries.items()
        }
    except TextError as error:
        raise BundleError(f"{path} is damaged: {error}") from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"{path} is damaged: {error!r:.200} in its header; the types of weights are "
            f"{', '.join(_TYPES)}"
        ) from None
    if behind - size != (promised := _bytes_of(shapes)):
        raise BundleError(
            f"{path} is damaged: {promised} bytes of weights are promised, {behind - size} are there; "
            "copy it again"
        )
    return shapes


def _side(value) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**40:
        raise ValueError(f"a side of {value}")
    return value


def compare(expected: Mapping[str, torch.Tensor], shapes: Shapes, owner: str) -> None:
    """Refuse weights that are not those of a model, by name.

    Arguments
    ---------
    expected : the model's state_dict.
    shapes : of the weights.
    owner : of the model, for the message.

    Raises
    ------
    BundleError
        Weights that lack or are too many, have another shape, or are another kind of number.
    """
    wrong = [
        f"{_named(key)}: {shapes[key][1] if key in shapes else 'missing'} in the weights, "
        f"{tuple(expected[key].shape) if key in expected else 'unknown'} in {owner}"
        for key in sorted({*expected, *shapes})
        if key not in expected or key not in shapes or expected[key].shape != shapes[key][1]
    ]
    if wrong:
        raise BundleError("weights do not fit the model:\n  " + "\n  ".join(wrong[:10]))
    for key, held in expected.items():
        got = shapes[key][0]
        if got != held.dtype and not (held.dtype.is_floating_point and got in _FLOATS.values()):
            raise BundleError(f"{owner}: the weight {key} is {got}, not {held.dtype}")


def _named(key: str) -> str:
    return json.dumps(key)[1:-1][:200]


def compare_sketch(build: Callable[[], Model], shapes: Shapes, owner: str) -> None:
    """Build a model without memory for its tensors, and refuse weights that are not its own.

    Arguments
    ---------
    build : makes the model.
    shapes : of the weights.
    owner : of the model, for the message.

    Raises
    ------
    BundleError
        As `compare`; a model that goes on growing beyond the weights, or larger than the memory.
    Exception
        What `build` raises.
    """
    with _Building(shapes, sketch=True):
        model = build()
    expected = model.state_dict()
    compare(expected, shapes, owner)
    saved = sum(map(_bytes, expected.values()))
    unsaved = sum(map(_bytes, (*model.parameters(), *model.buffers()))) - saved
    if unsaved > _MAX_UNSAVED_BYTES:
        raise BundleError(
            f"{owner}: its options make tables of {size_text(unsaved)} beside the weights; "
            f"allowed are {size_text(_MAX_UNSAVED_BYTES)}"
        )


def built_in_bounds(build: Callable[[], Model], shapes: Shapes, owner: str) -> Model:
    """Build a model, and stop where it takes much more memory than its weights have.

    Arguments and errors as `compare_sketch`.
    """
    needed = 2 * _bytes_of(shapes)  # what is read from the file, and what it is copied into
    available = available_bytes()
    if available is not None and needed > available:
        raise BundleError(
            f"{owner}: opening it takes {size_text(needed)}, and {size_text(available)} are free; "
            "close other programs, or take a machine with more memory"
        )
    with _Building(shapes, sketch=False):
        model = build()
    compare(model.state_dict(), shapes, owner)
    return model


def _bytes_of(shapes: Shapes) -> int:
    return sum(math.prod(shape) * dtype.itemsize for dtype, shape in shapes.values())


def _bytes(tensor: torch.Tensor) -> int:
    return math.prod(tensor.shape) * tensor.element_size()


class _Building(TorchFunctionMode):
    """While active, a model is built in bounds that follow from the weights it is to have.

    Calls of torch are counted. In a sketch, large tensors made by their size are on the device
    "meta", without memory; those that are small, or made of values, stay where the values are, so
    that code may read them; where both kinds meet, the result is on "meta", and what would only
    change values there is not done. Else the memory of tensors made by their size is counted.

    Raises
    ------
    BundleError
        When a bound is passed.
    """

    def __init__(self, shapes: Shapes, sketch: bool):
        super().__init__()
        self._calls = _CALLS + _CALLS_PER_WEIGHT * len(shapes)
        self._bytes = _MAX_UNSAVED_BYTES / 2 + _COPIES * _bytes_of(shapes)
        self._sketch = sketch

    def __enter__(self):
        self._had_gradients = torch.is_grad_enabled()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        # Beyond a bound every call raises, also the one by which a `no_grad` would end.
        torch.set_grad_enabled(self._had_gradients)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self._calls -= 1
        kwargs = kwargs or {}
        few = func in _COUNTED and abs(_count(func, args, kwargs)) <= _FEW
        if not few and (func in _SIZED or func in _COUNTED):
            sketched = func(*args, **{**kwargs, "device": "meta"})
            if self._sketch and sketched.numel() > _FEW:
                return sketched
            self._bytes -= _bytes(sketched)
        if self._calls < 0 or self._bytes < 0:
            raise BundleError("its options build a larger model than its weights are of")
        if not self._sketch:
            return func(*args, **kwargs)
        given = [value for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
        if not any(tensor.is_meta for tensor in given):
            return func(*args, **kwargs)
        name = func.__name__
        if name == "__setitem__":
            return None
        if name.endswith("_") and not name.startswith("__") and name not in _NOT_OF_VALUES:
            return given[0]
        args, kwargs = tree_map_only(torch.Tensor, lambda tensor: tensor.to("meta"), (args, kwargs))
        return func(*args, **kwargs)


def _count(func: Callable, args: tuple, kwargs: dict) -> float:
    """Values that a function of `_COUNTED` makes."""
    named = {name: value for name, value in kwargs.items() if name in ("steps", "step")}
    try:
        return float(_COUNTED[func](*args, **named))
    except (TypeError, ZeroDivisionError):  # called as torch may or may not take it
        return math.inf
