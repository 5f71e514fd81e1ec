"""How the process gets its memory: large tensors without a page fault for every 4 kB of them."""

from __future__ import annotations

import ctypes
import os
import platform

__all__ = ["keep_freed_memory"]

# Parameters of glibc's mallopt, from malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_SETTINGS = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")


def keep_freed_memory() -> bool:
    """Let the process keep the memory of freed tensors for the next ones, where it runs on glibc.

    glibc asks the kernel for every block above a threshold (128 kB at first, 32 MB at most) and
    gives it back when it is freed. A training step allocates the same large tensors over and over,
    and the kernel clears every page of them each time: half the time of an epoch of a small model
    on the CPU, two thirds with clips of 8 s. What is computed does not change, and the peak of
    the memory hardly does; but what was used once stays with the process until it ends.

    Call it once, before the first large tensor. A user's own settings in the environment
    (MALLOC_MMAP_MAX_, MALLOC_MMAP_THRESHOLD_, MALLOC_TRIM_THRESHOLD_, GLIBC_TUNABLES, LD_PRELOAD)
    are left alone.

    Returns
    -------
    Whether it was done.

    Example
    -------
    >>> keep_freed_memory() in (True, False)
    True
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    if any(name in os.environ for name in (*_SETTINGS, "GLIBC_TUNABLES", "LD_PRELOAD")):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        return False
    # The largest int: the top of the heap is returned to the kernel above 2 GB only.
    return bool(libc.mallopt(_M_MMAP_MAX, 0) and libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))
