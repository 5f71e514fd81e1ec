"""Compile C sources on the user's machine on first use, and load the library.

Compiled for the present processor in a few seconds, and kept in auricle's cache folder; from then
on no compiler is needed. Without a library, callers use torch operators that compute the same,
several times slower. `AURICLE_COMPILED=0` selects those.
"""

import contextlib
import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import torch

from .cache_folder import cache_folder
from .files import file_digest, write_json

_FLAGS = ("-O3", "-ffp-contract=fast", "-fno-math-errno", "-std=gnu11", "-fPIC")
#: Flags that some compilers refuse, with what is lost without them.
_WANTED = {
    "-march=native": "the C code does not use all instructions of this processor",
    "-fopenmp": "the C code runs on one thread (clang needs the package libomp)",
}
_PROBE = """long probe(long n) {
#pragma omp parallel for reduction(+ : n)
    for (int i = 0; i < 9; i++) n += i;
    return n;
}
"""
_COMPILE_S, _VERSION_S = 120, 10
_logger = logging.getLogger(__name__)


def library(*sources: Path) -> ctypes.CDLL | None:
    """Functions of C files, compiled if necessary; None where that fails or is switched off.

    Each cause of a failure is logged once.

    Example
    -------
    >>> library(Path("missing.c")) is None
    True
    """
    return load(*sources) if os.environ.get("AURICLE_COMPILED", "1") != "0" else None


def library_path(*sources: Path) -> Path | None:
    """Where the library that `load` has opened lies; None where there is none."""
    opened = load(*sources)
    return opened and Path(opened._name)


@lru_cache(maxsize=16)
def load(*sources: Path) -> ctypes.CDLL | None:
    """`library`, whatever AURICLE_COMPILED says: a backward pass goes on as forward began."""
    try:
        stem = _stem(sources)
        for path in _kept(stem):
            try:
                return _open(path)
            except OSError as error:
                _logger.warning("%s cannot be loaded (%s); it is made anew", path, error)
                path.unlink(missing_ok=True)
        return _open(_compile(sources, stem))
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:  # no home: RuntimeError
        _warn_once((getattr(error, "stderr", None) or str(error)).strip()[-2000:])
        return None


@lru_cache(maxsize=64)
def _warn_once(cause: str) -> None:
    _logger.warning("auricle's C code is left to torch operators, several times slower: %s", cause)


def _stem(sources: tuple[Path, ...]) -> Path:
    """Path of the library without what tells its contents, for this processor and this torch.

    The compiler is not part of it: what one has compiled is used where there is none.
    """
    files = [*sources, *sorted(sources[0].parent.rglob("*.h"))]
    contents = [file.read_text(encoding="utf-8") for file in files]
    contents += [" ".join([*_FLAGS, *_WANTED]), _processor(), torch.__version__]
    digest = hashlib.sha256("\0".join(contents).encode()).hexdigest()[:16]
    name = sources[0].stem if len(sources) == 1 else sources[0].parent.name
    return cache_folder() / "compiled" / f"{name}-{digest}"


def _processor() -> str:
    """Model and instruction sets of the processor: machines that differ may share a folder."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    prefixes = ("model name", "flags", "Features", "CPU part")
    known = sorted({line for line in lines if line.startswith(prefixes)})
    return "\n".join([platform.machine(), platform.processor(), *known])


def _kept(stem: Path) -> Iterator[Path]:
    """Libraries that were compiled before, whole and writable by nobody else; others are removed.

    A name ends in the digest of the contents, so that a file that was cut or exchanged is known.
    """
    if stem.parent.exists() and (danger := _danger(stem.parent)):
        raise RuntimeError(
            f"{stem.parent} {danger}, so nothing in it is loaded; remove it (it is made anew), or "
            "set AURICLE_CACHE to a folder of your own"
        )
    for path in sorted(stem.parent.glob(f"{stem.name}-*.so")):
        flaw = _danger(path)
        if not flaw and path.stem != f"{stem.name}-{file_digest(path)[:16]}":
            flaw = "is damaged"
        if not flaw:
            yield path
        else:
            _logger.warning("%s %s; it is not loaded but made anew", path, flaw)
            path.unlink(missing_ok=True)


def _danger(path: Path) -> str:
    """Who else could have written a file or a folder, which must not be run then; "" for nobody."""
    status = path.stat()
    if hasattr(os, "getuid") and status.st_uid not in (os.getuid(), 0):
        return f"belongs to another user (number {status.st_uid})"
    return "can be written by other users" if os.name == "posix" and status.st_mode & 0o022 else ""


def _compile(sources: tuple[Path, ...], stem: Path) -> Path:
    """Compile all files, side by side, into one library under a name that tells its contents."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise RuntimeError(
            "no C compiler (cc, gcc or clang) is on the PATH; once one is installed nothing needs "
            "to be set"
        )
    stem.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    names = ", ".join(source.name for source in sources)
    _logger.info("compiling %s with %s once, a few seconds", names, compiler)
    start = time.monotonic()
    # In a folder of its own first: several processes may be compiling at once.
    with tempfile.TemporaryDirectory(dir=stem.parent) as folder:
        part, flags = _build(sources, compiler, Path(folder))
        _open(part)  # before it is kept
        part.chmod(0o755)
        path = stem.with_name(f"{stem.name}-{file_digest(part)[:16]}.so")
        write_json(
            path.with_suffix(".json"),
            {
                "compiler": compiler,
                "version": _version(compiler),
                "flags": flags,
                "torch": torch.__version__,
                "seconds": round(time.monotonic() - start, 1),
            },
        )
        part.replace(path)
    return path


def _version(compiler: str) -> str:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return _run(compiler, "--version", timeout_s=_VERSION_S).strip()
    return "unknown"


def _build(sources: tuple[Path, ...], compiler: str, folder: Path) -> tuple[Path, list[str]]:
    """The compiled library and the flags used: all, or those that the compiler does not refuse."""
    try:
        return _link(sources, compiler, _WANTED, folder)
    except subprocess.CalledProcessError:
        probe = folder / "probe.c"
        probe.write_text(_PROBE, encoding="utf-8")
        refused = {}
        for flag in _WANTED:
            try:
                _link((probe,), compiler, [flag], folder)
            except subprocess.CalledProcessError as error:
                refused[flag] = error.stderr.strip().split("\n")[0]
        if not refused:
            raise
    made = _link(sources, compiler, [flag for flag in _WANTED if flag not in refused], folder)
    for flag, words in refused.items():
        _logger.warning("%s refuses %s (%s): %s", compiler, flag, words, _WANTED[flag])
    return made


def _link(
    sources: tuple[Path, ...], compiler: str, wanted: Iterable[str], folder: Path
) -> tuple[Path, list[str]]:
    flags = [*_FLAGS, *wanted]
    objects = [folder / f"{source.stem}.o" for source in sources]
    commands = [
        [compiler, *flags, "-c", str(source), "-o", str(made)]
        for source, made in zip(sources, objects, strict=True)
    ]
    # All are waited for before an error is raised: that of the first file, which speaks for all.
    with ThreadPoolExecutor(len(sources)) as pool:
        running = [pool.submit(_run, *command) for command in commands]
    for one in running:
        one.result()
    made = folder / "library.so"
    _run(compiler, *flags, "-shared", "-o", str(made), *map(str, objects), "-lm")
    return made, flags


def _run(*command: str, timeout_s: float = _COMPILE_S) -> str:
    """What a program prints; it is ended after `timeout_s`."""
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=True, timeout=timeout_s
    )
    return done.stdout


def _open(path: Path) -> ctypes.CDLL:
    # The library must use torch's own OpenMP: two pools of threads would wait for each other.
    for own in sorted(Path(torch.__file__).parent.glob("lib/libgomp*")):
        ctypes.CDLL(str(own), mode=ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(str(path))
