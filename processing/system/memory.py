"""Memory of the process: used, peak and available bytes, and how glibc allocates it."""

import ctypes
import os
import platform
import re
import sys
from pathlib import Path

# Parameters of glibc's mallopt, from malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_SETTINGS = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
#: Blocks of at least this size come from the kernel and return to it: a large page.
_GIVEN_BACK_BYTES = 2 * 2**20
_keeps = False


def use_large_pages() -> None:
    """Ask torch for pages of 2 MB for large tensors on the CPU, where the kernel has them.

    A fresh block then costs a page fault per 2 MB instead of 4 kB: a training step of m5 or crnn
    that returns its memory takes 0.6 times as long. Call it before the first tensor; a user's own
    THP_MEM_ALLOC_ENABLE takes precedence.

    Example
    -------
    >>> use_large_pages()
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def keep_freed_memory() -> bool:
    """Let the process keep the memory of freed tensors for the next ones, where it runs on glibc.

    glibc asks the kernel for every block above a threshold (128 kB at first, 32 MB at most) and
    gives it back when it is freed. A training step allocates the same large tensors over and over,
    and the kernel clears every page of them each time: half the time of an epoch of a small model
    on the CPU, two thirds with clips of 8 s. Results do not change; but freed memory stays with
    the process until it ends, fragmented: the peak grows by 0.4 to 1.7 times the activations. A
    large model therefore returns it (`give_freed_memory_back`).

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
    global _keeps
    if platform.libc_ver()[0] != "glibc":
        return False
    if any(name in os.environ for name in (*_SETTINGS, "GLIBC_TUNABLES", "LD_PRELOAD")):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        return False
    # The largest int: the top of the heap is returned to the kernel above 2 GB only.
    _keeps = bool(libc.mallopt(_M_MMAP_MAX, 0) and libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))
    return _keeps


def keeps_freed_memory() -> bool:
    """Whether `keep_freed_memory` is in force.

    Example
    -------
    >>> keeps_freed_memory() in (True, False)
    True
    """
    return _keeps


def give_freed_memory_back() -> bool:
    """Undo `keep_freed_memory`: tensors of 2 MB and more return to the kernel when freed.

    The peak is then that of the live tensors. Without `keep_freed_memory` nothing happens.

    Returns
    -------
    Whether it was done.

    Example
    -------
    >>> give_freed_memory_back() in (True, False)
    True
    """
    global _keeps
    if not _keeps:
        return False
    libc = ctypes.CDLL(None)
    done = libc.mallopt(_M_MMAP_MAX, 2**16) and libc.mallopt(_M_MMAP_THRESHOLD, _GIVEN_BACK_BYTES)
    libc.malloc_trim(0)
    _keeps = not done
    return bool(done)


def peak_memory_bytes(device="cpu") -> int:
    """Peak memory of the process so far; on a GPU, of its tensors there.

    Arguments
    ---------
    device : a device of torch: "cpu", "cuda:1".

    Example
    -------
    >>> peak_memory_bytes() > 2**20
    True
    """
    if _is_gpu(device):
        import torch

        return torch.cuda.max_memory_allocated(device)
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return 1024 * int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[1])
    except (OSError, ValueError, TypeError):  # no Linux
        import resource
    # On Linux this would include the peak of the process that started this one.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in kB


def resident_bytes() -> int:
    """Memory of the process now; its peak where the system does not report that.

    Example
    -------
    >>> 2**20 < resident_bytes() <= peak_memory_bytes() + 2**24
    True
    """
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return peak_memory_bytes()
    return pages * os.sysconf("SC_PAGE_SIZE")


def available_bytes(device="cpu") -> int | None:
    """Memory that the process can still allocate; None where the system does not report it.

    Arguments
    ---------
    device : a device of torch: "cpu", "cuda:1".

    Example
    -------
    >>> available = available_bytes()
    >>> available is None or available > 0
    True
    """
    if _is_gpu(device):
        import torch

        return torch.cuda.mem_get_info(device)[0]
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


def size_text(size_bytes: float) -> str:
    """A size for people: in GiB, below a tenth of one in MiB, below one MiB in KiB.

    Example
    -------
    >>> size_text(3 * 2**30), size_text(5.4 * 2**20), size_text(600)
    ('3.0 GiB', '5 MiB', '1 KiB')
    """
    if size_bytes >= 2**30 / 10:
        return f"{size_bytes / 2**30:.1f} GiB"
    if size_bytes >= 2**20:
        return f"{size_bytes / 2**20:.0f} MiB"
    return f"{size_bytes / 2**10:.0f} KiB"


def _is_gpu(device) -> bool:
    return str(device).startswith("cuda")
