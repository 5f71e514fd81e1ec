"""Write files whole or not at all, read text, and compute digests.

Every file that auricle writes is created under a temporary name in the same folder, exclusively
and never through a link, and takes its name only when it is complete. All temporary names end in
`PART`, and what is being written is locked, so that what a killed process left behind can be told
from anything else.
"""

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nothing is locked, and nothing swept
    fcntl = None

#: The suffix of every file that is being written.
PART = ".part"
#: Of a JSON file that is read: more than anything auricle writes, and no danger to the memory.
MAX_JSON_BYTES, MAX_JSON_DEPTH = 2**26, 64
_MOST_DIGITS = 20
_BLOCK = 1 << 20
#: What `tempfile` puts between the name and the suffix.
_RANDOM = "[a-z0-9_]" * 8
_NEW_S = 10  # between its creation and its lock a file is taken for one that is being written
_AT_ONCE = getattr(os, "O_NONBLOCK", 0)


class DiskFullError(OSError):
    """Nothing more can be written to a folder, which the message names."""

    def __init__(self, message: str):
        super().__init__(message)
        self.errno = errno.ENOSPC  # for callers that ask what kind of OSError it is


class TextError(ValueError):
    """A file that cannot be read as text or as JSON; the message names it and the place."""


@contextlib.contextmanager
def naming_full_disk(folder: str | os.PathLike) -> Iterator[None]:
    """Turn what libraries raise when the disk is full into a DiskFullError with the folder."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, DiskFullError) and _is_full(error, folder):
            raise DiskFullError(
                f"disk full: nothing more can be written to {Path(folder).absolute()}; make room "
                "there (or in your quota), and start again"
            ) from error
        raise


def _is_full(error: Exception, folder: str | os.PathLike) -> bool:
    full = (errno.ENOSPC, errno.EDQUOT)
    if isinstance(error, OSError):
        return error.errno in full
    if "os error 28" in str(error):  # safetensors
        return True
    if not isinstance(error, RuntimeError):
        return False
    try:  # torch does not say why it could not write
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_BLOCK))
    except OSError as problem:
        return problem.errno in full
    return False


def sync(path: str | os.PathLike) -> None:
    """Have a file, or the names in a folder, written to the disk, so that they survive a crash."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def lock_file(handle: int) -> bool:
    """Lock an open file or folder until it is closed or the process ends; False: another has it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def sweep_parts(folder: str | os.PathLike, name: str = "*") -> None:
    """Remove what killed processes were writing to a file, or to any file, in a folder.

    What is being written, is a link or belongs to somebody else is left alone.
    """
    for pattern in (f"{name}.{_RANDOM}{PART}", f".{name}.{_RANDOM}{PART}"):
        for part in Path(folder).glob(pattern):
            with contextlib.suppress(OSError):
                _remove_abandoned(part)


def _remove_abandoned(part: Path) -> None:
    status = part.lstat()
    is_folder = stat.S_ISDIR(status.st_mode)
    is_own = fcntl is not None and status.st_uid == os.getuid()
    if not is_own or not (is_folder or stat.S_ISREG(status.st_mode)):
        return
    handle = os.open(part, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        if time.time() - status.st_mtime > _NEW_S and lock_file(handle):
            shutil.rmtree(part) if is_folder else part.unlink()
    finally:
        os.close(handle)


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary file beside `path` that replaces it when the block ends without an error.

    The temporary file is new, empty and readable like any other file; a library may write to it by
    its name. After an error it is removed and `path` is left as it was. A link at `path` is
    replaced, not followed.

    Example
    -------
    >>> folder = Path(tempfile.mkdtemp())
    >>> with replacing(folder / "scores.txt") as part:
    ...     _ = part.write_text("0.5")
    >>> [file.name for file in folder.iterdir()]
    ['scores.txt']
    """
    path = Path(path)
    with naming_full_disk(path.parent):
        # mkstemp creates exclusively and does not follow links.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.", suffix=PART)
    lock_file(handle)
    try:
        with naming_full_disk(path.parent):
            yield Path(name)
            sync(name)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    finally:
        os.close(handle)


@contextlib.contextmanager
def replacing_folder(folder: str | os.PathLike) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its name when the block ends without an error.

    `folder` must be empty, or not exist; after an error it is as it was.

    Raises
    ------
    OSError
        At the end of the block, where `folder` holds something by then.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    sweep_parts(folder.parent, folder.name)
    with (
        tempfile.TemporaryDirectory(
            suffix=PART, prefix=f".{folder.name}.", dir=folder.parent, ignore_cleanup_errors=True
        ) as private,
        _locked(private),
    ):
        whole = Path(private, folder.name)  # with the permissions of any other folder
        whole.mkdir()
        with naming_full_disk(folder.parent):
            yield whole
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        whole.rename(folder)


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        lock_file(handle)
        yield
    finally:
        os.close(handle)


def write_text(path: str | os.PathLike, text: str) -> Path:
    """Write UTF-8 text, whole or not at all; returns the path."""
    with replacing(path) as part, open(part, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    return Path(path)


def write_json(path: str | os.PathLike, value, indent: int | None = 2) -> Path:
    """Write a value as JSON with a newline at its end; NaN is refused."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    return write_text(path, text + "\n")


def read_text(path: str | os.PathLike, errors: str = "strict") -> str:
    """Text in UTF-8, with or without a byte order mark, line ends as "\\n".

    `errors` is that of `bytes.decode`: "replace" takes text of other encodings as well, with a mark
    where a byte cannot be read.

    Raises
    ------
    TextError
        Bytes that are not UTF-8, with the line they are in.
    OSError
        A file that is not there or may not be read.
    """
    return _decoded(Path(path).read_bytes(), path, errors)


def _decoded(data: bytes, path: str | os.PathLike, errors: str = "strict") -> str:
    try:
        text = data.decode("utf-8-sig", errors)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TextError(
            f"{path}, line {line}: not text in UTF-8 (byte 0x{data[error.start]:02x}); "
            "save the file as UTF-8"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def text_lines(path: str | os.PathLike) -> Iterator[tuple[int, str]]:
    """(number, text) of each line that is not blank, without the white space around it.

    The file is read as by `read_text`, but never held as a whole.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line := line.strip():
                    yield number, line
    except UnicodeDecodeError:
        read_text(path)  # says in which line
        raise


def read_json(path: str | os.PathLike, most_bytes: int = MAX_JSON_BYTES):
    """The value in a JSON file.

    Raises
    ------
    TextError
        As `parse_json`; what is no regular file.
    """
    # A pipe is opened without waiting for somebody who writes to it.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _AT_ONCE)) as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise TextError(f"{path}: no regular file; name a file of JSON")
        data = file.read(most_bytes + 1)
    return parse_json(data, path, most_bytes)


def parse_json(data: bytes, path: str | os.PathLike, most_bytes: int = MAX_JSON_BYTES):
    """The value in bytes of JSON; `path` is for the messages.

    Raises
    ------
    TextError
        Anything that is not JSON, with its line; NaN, infinity and numbers that become so; whole
        numbers of more than 20 digits; a key that an object has twice; more than `MAX_JSON_DEPTH`
        lists and objects in each other; more than `most_bytes`.
    """
    if len(data) > most_bytes:
        raise TextError(f"{path}: more than {most_bytes} bytes of JSON, which nothing here writes")

    def unique(pairs: list[tuple]) -> dict:
        value = {}
        for name, inner in pairs:
            if name in value:
                raise TextError(f"{path}: an object has the key {name!r} twice; leave one")
            value[name] = inner
        return value

    def finite(text: str) -> float:
        if not math.isfinite(number := float(text)):
            raise TextError(f"{path}: holds {text[:20]}, which is no number of JSON")
        return number

    def whole(text: str) -> int:
        if len(text) > _MOST_DIGITS:
            raise TextError(f"{path}: holds a number of {len(text)} digits; floats have exponents")
        return int(text)

    numbers = {"parse_float": finite, "parse_constant": finite, "parse_int": whole}
    try:
        value = json.loads(_decoded(data, path), object_pairs_hook=unique, **numbers)
        depth = _depth(value)
    except json.JSONDecodeError as error:
        raise TextError(f"{path}, line {error.lineno}: not JSON ({error.msg})") from None
    except RecursionError:
        depth = math.inf
    if depth > MAX_JSON_DEPTH:
        raise TextError(
            f"{path}: more than {MAX_JSON_DEPTH} lists and objects in each other, which nothing "
            "here writes"
        )
    return value


def _depth(value) -> int:
    """How many lists and objects stand in each other, without recursion."""
    depth, level = 0, [value]
    while level := [inner for inner in level if isinstance(inner, (dict, list))]:
        depth += 1
        level = [
            child
            for inner in level
            for child in (inner.values() if isinstance(inner, dict) else inner)
        ]
    return depth


def file_digest(*paths: str | os.PathLike) -> str:
    """SHA-256 of the bytes of files, one after the other, in hexadecimal."""
    total = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            while block := file.read(_BLOCK):
                total.update(block)
    return total.hexdigest()


def json_digest(value) -> str:
    """SHA-256 of a value as JSON with sorted keys, in hexadecimal.

    Example
    -------
    >>> json_digest({"b": 1, "a": 2}) == json_digest({"a": 2, "b": 1})
    True
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
