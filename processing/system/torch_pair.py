"""Whether the installed torch and torchaudio belong together, told without importing either.

Up to torch 2.11 a torchaudio belongs to the torch of its own number; 2.11.0 also to later ones
built for the same CUDA, and 2.11.1, the last one, to those from 2.13 on. Others end in a missing
symbol, far from the cause.
"""

import importlib.metadata
import re

OLDEST = (2, 6)
#: What is installed by `make`, and advised in place of what is too old.
KNOWN = "torch==2.11.0 torchaudio==2.11.0"


def check_installed() -> None:
    """Raise ImportError for an installed pair that does not work; silent where none is known."""
    try:
        problem = misfit(*map(importlib.metadata.version, ("torch", "torchaudio")))
    except importlib.metadata.PackageNotFoundError:  # built from source, or missing: torch says so
        return
    if problem:
        raise ImportError(problem)


def misfit(torch: str, torchaudio: str) -> str | None:
    """What is wrong with two versions and what to run; None where they belong together.

    Example
    -------
    >>> misfit("2.8.0+cpu", "2.8.0"), misfit("2.15.0", "2.11.1")
    (None, None)
    >>> misfit("2.8.0", "2.7.1").partition("run: ")[2]
    'pip install torch==2.8.0 torchaudio==2.8.0'
    """
    numbers, audio = _numbers(torch), _numbers(torchaudio)
    if numbers[:2] < OLDEST:
        wrong = "is too old, auricle needs torch 2.6 or newer"
        return f"torch {torch} {wrong}; run: pip install {KNOWN}"
    if numbers < (2, 11):
        fits = audio[:2] == numbers[:2]
    else:
        fits = (audio == (2, 11, 0) and numbers < (2, 15)) or (
            audio > (2, 11, 0) and numbers >= (2, 13)
        )
    if fits:
        return None
    release = ".".join(map(str, numbers))
    wanted = release if numbers < (2, 11) else "2.11.0" if numbers < (2, 13) else "2.11.1"
    return (
        f"torchaudio {torchaudio} does not belong to torch {torch}, which takes torchaudio "
        f"{wanted}; run: pip install torch=={release} torchaudio=={wanted}"
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:3]))
