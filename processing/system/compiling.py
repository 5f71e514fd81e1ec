"""Compile C sources on the user's machine on first use, and load the library.

Compiled for the present processor in a few seconds, and kept in auricle's cache folder. Without a
compiler, callers use torch operators that compute the same, several times slower.
`AURICLE_COMPILED=0` selects those.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import torch

from .cache_folder import cache_folder

_FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-std=gnu11")
_TIMEOUT_S = 120
_logger = logging.getLogger(__name__)


def library(*sources: Path) -> ctypes.CDLL | None:
    """Functions of C files, compiled if necessary; None where that fails or is switched off.

    A failure is logged once.

    Example
    -------
    >>> library(Path("missing.c")) is None
    True
    """
    return load(*sources) if os.environ.get("AURICLE_COMPILED", "1") != "0" else None


@lru_cache(maxsize=16)
def load(*sources: Path) -> ctypes.CDLL | None:
    """`library`, whatever AURICLE_COMPILED says: a backward pass goes on as forward began."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        _logger.warning(
            "no C compiler (cc, gcc or clang) is on the PATH: %s is left to torch operators, several "
            "times slower; with a compiler nothing needs to be set",
            _name(sources),
        )
        return None
    try:
        return _open(_compile(sources, compiler))
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:  # no home: RuntimeError
        output = getattr(error, "stderr", None) or str(error)
        _logger.warning(
            "%s could not compile %s, which is left to torch operators, several times slower:\n%s",
            compiler,
            ", ".join(source.name for source in sources),
            output.strip()[-2000:],
        )
        return None


def _name(sources: tuple[Path, ...]) -> str:
    return sources[0].stem if len(sources) == 1 else sources[0].parent.name


def _compile(sources: tuple[Path, ...], compiler: str) -> Path:
    """Path of the library for this compiler and processor, compiled unless it exists."""
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True)
    files = [*sources, *sorted(sources[0].parent.rglob("*.h"))]
    contents = [file.read_text(encoding="utf-8") for file in files]
    contents += [version.stdout, " ".join(_FLAGS), _processor()]
    digest = hashlib.sha256("\0".join(contents).encode()).hexdigest()[:16]
    path = cache_folder() / "compiled" / f"{_name(sources)}-{digest}.so"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Under another name first: several processes may be compiling at once.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        part = Path(folder) / path.name
        command = [compiler, *_FLAGS, "-fopenmp", "-shared", "-fPIC", "-o", str(part)]
        subprocess.run(
            [*command, *map(str, sources), "-lm"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_TIMEOUT_S,
        )
        part.replace(path)
    return path


def _processor() -> str:
    """Model and instruction sets of the processor: machines that differ may share a folder."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    prefixes = ("model name", "flags", "Features", "CPU part")
    known = sorted({line for line in lines if line.startswith(prefixes)})
    return "\n".join([platform.machine(), platform.processor(), *known])


def _open(path: Path) -> ctypes.CDLL:
    # The library must use torch's own OpenMP: two pools of threads would wait for each other.
    for own in sorted(Path(torch.__file__).parent.glob("lib/libgomp*")):
        ctypes.CDLL(str(own), mode=ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(str(path))
