"""Record a module as a graph for any batch and any time, and make sure that it is for any."""

import contextlib
import warnings

import torch
from torch import nn
from torch.utils._sympy.numbers import int_oo

from .record import ExportError


def recorded(
    module: nn.Module,
    x: torch.Tensor,
    lengths: torch.Tensor,
    longest: int | None = None,
) -> torch.export.ExportedProgram:
    """The graph of `module(x, lengths)`, as torch.export records it, for any B and T.

    Arguments
    ---------
    module : nn.Module
        In evaluation, such as `ExportedModel` or what `Lobe.exported()` gives.
    x : tensor (B, T, ...)
        An example, B >= 2: its values and sizes do not matter.
    lengths : tensor (B,)
        Relative.
    longest : int or None
        The largest T that the module takes; None: there is no bound.

    Raises
    ------
    ExportError
        A way through the module that depends on a value or on a size.

    Example
    -------
    >>> from auricle.lobes import build_frontend
    >>> program = recorded(build_frontend("waveform"), torch.ones(2, 9), torch.ones(2))
    >>> program.module()(torch.ones(3, 4), torch.tensor([1.0, 0.5, 0.5])).shape
    torch.Size([3, 4, 1])
    """
    any_size = torch.export.Dim.DYNAMIC
    shapes = {0: any_size, 1: any_size}, {0: any_size}
    # Without it, a number of windows that is 1 in the example is taken for 1 always.
    # `conformer`, which shifts a square of positions, is recorded by the second way only.
    ways = [contextlib.nullcontext()]
    if hasattr(torch.fx.experimental._config, "backed_size_oblivious"):  # not before torch 2.8
        ways.insert(0, torch.fx.experimental._config.patch(backed_size_oblivious=True))
    problems = []
    for way in ways:
        try:
            with torch.no_grad(), warnings.catch_warnings(), way:
                warnings.simplefilter("ignore")
                program = torch.export.export(
                    module, (x, lengths), dynamic_shapes=shapes, strict=False
                )
            break
        except Exception as error:  # torch.export raises dozens of classes
            problems.append(first_lines(error))
    else:
        raise ExportError(f"torch.export cannot record it: {problems[0]}")
    for axis, size in program.range_constraints.items():
        if size.upper < (longest or int_oo):
            raise ExportError(
                f"it can be recorded for at most {size.upper} steps or items ({axis}): the way "
                "through a lobe depends on the size of its input"
            )
    return program


def first_lines(error: Exception) -> str:
    """What an exporter says, without the pages of advice behind it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3])[:600] or repr(error)
