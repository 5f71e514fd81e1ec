"""Tensors that depend on sizes only, and are made once."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch

__all__ = ["keep_tensors"]


def keep_tensors(maxsize: int) -> Callable[[Callable], Callable]:
    """`lru_cache` of a function that makes tensors: ordinary ones, whoever calls it first.

    What is made in inference mode cannot be saved for a backward pass later on.

    Example
    -------
    >>> steps = keep_tensors(8)(torch.arange)
    >>> with torch.inference_mode():
    ...     steps(3).is_inference()
    False
    """
    return lambda make: lru_cache(maxsize)(torch.inference_mode(False)(make))
