"""Download an archive, check its checksum and unpack it safely."""

import hashlib
import http.client
import os
import stat
import tarfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from ..system.files import PART, DiskFullError, lock_file, naming_full_disk, replacing_folder

_BLOCK_BYTES = 1 << 20
_SLOWEST_BYTES_PER_S = 1000


class DownloadError(RuntimeError):
    """A file that cannot be fetched or unpacked; the text says why, and how to get it by hand."""


def fetch(url, path, checksum=None, progress=True, timeout_s=30):
    """Download a file, going on where an earlier attempt stopped.

    The file grows as `<path>.part` and gets its name only when it is complete and its checksum is
    right; a file already at `path` is checked and kept.

    Arguments
    ---------
    url : str
        http, https or file address.
    path : str or Path
        Where the file goes.
    checksum : str, optional
        `md5:<hex>` or `sha256:<hex>`.
    progress : bool
        Whether to draw a progress bar.
    timeout_s : float
        How long to wait for the server, per answer; in twice that time at least 1 kB/s must come.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DownloadError
        The address cannot be reached, the connection breaks or trickles, another process fetches
        the same file, or the checksum is wrong.
    DiskFullError
    """
    path = Path(path)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + PART)
        _download(url, part, progress, timeout_s)
        _verify(part, checksum, url, progress)
        os.replace(part, path)
    else:
        _verify(path, checksum, url, progress)
    return path


def extract_tar(archive, folder):
    """Unpack a tar archive into a new or empty folder, which appears whole or not at all.

    Entries that point outside the folder, devices and the like are refused.

    Raises
    ------
    DownloadError
        The archive is damaged or unsafe, or the folder already holds something.
    """
    archive, folder = Path(archive), Path(folder)
    if not hasattr(tarfile, "data_filter"):
        raise DownloadError(
            "this Python cannot unpack archives safely; use 3.10.12, 3.11.4, 3.12 or newer, or "
            f"unpack {archive} into {folder} by hand"
        )
    if folder.exists() and any(folder.iterdir()):
        raise DownloadError(f"{folder} is not empty; name a new folder to unpack into")
    try:
        with replacing_folder(folder) as partial, tarfile.open(archive) as tar:
            tar.extractall(partial, filter="data")
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        reason = str(error).partition(":\n")[0]
        raise DownloadError(
            f"{archive} cannot be unpacked ({reason}); delete it and fetch it again"
        ) from error


def _download(url, part, progress, timeout_s):
    handle = _open_part(url, part)
    have_bytes = os.fstat(handle).st_size
    request = urllib.request.Request(url)
    if have_bytes:
        request.add_header("Range", f"bytes={have_bytes}-")
    try:
        with (
            open(handle, "ab") as file,
            urllib.request.urlopen(request, timeout=timeout_s) as answer,
            naming_full_disk(part.parent),
        ):
            # A server that does not know ranges answers 200 and starts from the beginning.
            if getattr(answer, "status", None) != 206:
                have_bytes = 0
                file.truncate(0)
            length = answer.headers.get("Content-Length")
            total_bytes = have_bytes + int(length) if length else None
            bar = {"desc": part.stem, "initial": have_bytes, "disable": None if progress else True}
            with tqdm(total=total_bytes, unit="B", unit_scale=True, **bar) as counted:
                for block in _blocks(answer, 2 * timeout_s):
                    file.write(block)
                    counted.update(len(block))
    except urllib.error.HTTPError as error:
        if error.code == 416 and have_bytes:
            return  # nothing is left to fetch; the checksum decides whether that is right
        raise _unreachable(url, part, f"the server answers {error.code} {error.reason}") from error
    except DiskFullError:
        raise
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _unreachable(url, part, getattr(error, "reason", error)) from error
    got_bytes = part.stat().st_size
    if total_bytes is not None and got_bytes < total_bytes:
        raise _unreachable(
            url, part, f"the connection broke after {got_bytes} of {total_bytes} bytes"
        )


def _open_part(url, part):
    """A descriptor of the growing file: new or begun by this user, no link, locked."""
    flags = os.O_RDWR | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    try:
        try:
            handle = os.open(part, flags | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            handle = os.open(part, flags)
    except OSError as error:
        raise _unreachable(url, part, f"{part} cannot be written: {error.strerror}") from error
    status = os.fstat(handle)
    problem = ""
    if not stat.S_ISREG(status.st_mode) or (hasattr(os, "getuid") and status.st_uid != os.getuid()):
        problem = f"{part} is no file of yours; remove it"
    elif not lock_file(handle):
        problem = f"another process is writing {part}; wait for it"
    if problem:
        os.close(handle)
        raise _unreachable(url, part, problem)
    return handle


def _blocks(answer, patience_s):
    """What comes, as it comes; an error when it trickles."""
    since_s, num_bytes = time.monotonic(), 0
    while block := answer.read1(_BLOCK_BYTES):
        yield block
        num_bytes += len(block)
        took_s = time.monotonic() - since_s
        if took_s > patience_s:
            if num_bytes < _SLOWEST_BYTES_PER_S * took_s:
                raise OSError(f"only {num_bytes} bytes came in the last {took_s:.0f} s")
            since_s, num_bytes = time.monotonic(), 0


def _unreachable(url, part, reason):
    return DownloadError(
        f"{url} could not be fetched ({reason}). Run the same command again where there is a "
        f"network (it goes on where it stopped), or fetch the file by hand and put it at "
        f"{part.with_suffix('')}."
    )


def _verify(path, checksum, url, progress):
    if checksum is None:
        return
    algorithm, _, expected = checksum.partition(":")
    total = hashlib.new(algorithm)
    bar = {"desc": "checksum", "disable": None if progress else True}
    with (
        open(path, "rb") as file,
        tqdm.wrapattr(file, "read", path.stat().st_size, **bar) as counted,
    ):
        while block := counted.read(_BLOCK_BYTES):
            total.update(block)
    if total.hexdigest() == expected:
        return
    if path.suffix == PART:
        path.unlink()  # going on from wrong bytes can never end well
    raise DownloadError(
        f"{path.name} from {url} has the {algorithm} {total.hexdigest()}, expected {expected}: the "
        "download is damaged or is another file; delete it and fetch it again"
    )
