"""C sources of auricle, compiled on the user's machine when they are first needed.

For the processor at hand, in a second or two, and kept in auricle's cache folder. Where there is no
compiler the callers have torch operators for the same, several times slower. `AURICLE_COMPILED=0`
asks for those.
"""

from __future__ import annotations

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

__all__ = ["Functions", "library"]

_FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-std=gnu11")
_TIMEOUT_S = 120
_logger = logging.getLogger(__name__)


def library(source: Path) -> ctypes.CDLL | None:
    """The functions of a C file, compiled if need be; None where that is not wanted or fails.

    A failure is logged once.

    Example
    -------
    >>> library(Path("missing.c")) is None
    True
    """
    return _library(source) if os.environ.get("AURICLE_COMPILED", "1") != "0" else None


class Functions:
    """Functions of a C file as attributes; the file is compiled when that is first needed.

    Arguments
    ---------
    source : Path
    argtypes : of each function by its name, a list of ctypes
        What comes back, if anything, is an int.

    Example
    -------
    >>> Functions(Path("missing.c"), twice=[ctypes.c_int]).are_available()
    False
    """

    def __init__(self, source: Path, **argtypes: list):
        self.source, self.argtypes = source, argtypes

    def are_available(self) -> bool:
        return library(self.source) is not None

    def __getattr__(self, name: str):
        if name not in self.argtypes:
            raise AttributeError(name)
        function = getattr(_library(self.source), name)
        function.argtypes = self.argtypes[name]
        self.__dict__[name] = function
        return function


@lru_cache(maxsize=16)
def _library(source: Path) -> ctypes.CDLL | None:
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        _logger.warning(
            "no C compiler (cc, gcc or clang) is on the PATH: %s is left to torch operators, several "
            "times slower; with a compiler nothing needs to be set",
            source.stem,
        )
        return None
    try:
        return _load(_compile(source, compiler))
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:  # no home: RuntimeError
        output = getattr(error, "stderr", None) or str(error)
        _logger.warning(
            "%s could not compile %s, which is left to torch operators, several times slower:\n%s",
            compiler,
            source.name,
            output.strip()[-2000:],
        )
        return None


def _compile(source: Path, compiler: str) -> Path:
    """The compiled library, made for this processor if it is not there yet."""
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True)
    files = [source, *sorted(source.parent.rglob("*.h"))]
    about = [file.read_text(encoding="utf-8") for file in files]
    about += [version.stdout, " ".join(_FLAGS), _processor()]
    digest = hashlib.sha256("\0".join(about).encode()).hexdigest()[:16]
    made = cache_folder() / "compiled" / f"{source.stem}-{digest}.so"
    if made.exists():
        return made
    made.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Under another name first: several processes may be doing this at once.
    with tempfile.TemporaryDirectory(dir=made.parent) as folder:
        new = Path(folder) / made.name
        command = [compiler, *_FLAGS, "-fopenmp", "-shared", "-fPIC", "-o", str(new), str(source)]
        subprocess.run(
            [*command, "-lm"], capture_output=True, text=True, check=True, timeout=_TIMEOUT_S
        )
        new.replace(made)
    return made


def _processor() -> str:
    """What the compiler may make use of: a folder may be shared by machines that differ."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    wanted = ("model name", "flags", "Features", "CPU part")
    known = sorted({line for line in lines if line.startswith(wanted)})
    return "\n".join([platform.machine(), platform.processor(), *known])


def _load(path: Path) -> ctypes.CDLL:
    # torch's own OpenMP answers the library's calls: two sets of threads would wait for each other.
    for own in sorted(Path(torch.__file__).parent.glob("lib/libgomp*")):
        ctypes.CDLL(str(own), mode=ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(str(path))
