"""Fetch bundles from a hub of Hugging Face's kind."""

import os
import re
import shutil
from pathlib import Path

from ...processing.system.cache_folder import cache_folder
from ...processing.system.files import replacing_folder
from ...processing.system.memory import size_text
from .card import CARD
from .description import MAX_BYTES, BundleError

#: Files of a bundle that are fetched, with the most bytes of each; nothing else of a repository is.
FILES = {
    "bundle.json": MAX_BYTES,
    "model.safetensors": 2**34,
    CARD: 2**20,
    "calibration.json": MAX_BYTES,
    "bigram.json": 2**28,
}
_NEEDED = ("bundle.json", "model.safetensors")
NAME = re.compile(r"hf://([\w-][\w.-]*/[\w-][\w.-]*)(?:@([\w-][\w./-]*))?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")


def fetch(source: str) -> Path:
    """The folder of a bundle of a hub; its files are fetched where they are not in the cache.

    Arguments
    ---------
    source : "hf://OWNER/NAME", or with a branch, tag or commit "hf://OWNER/NAME@REVISION". Of a
        commit of 40 digits that was fetched before the hub is not asked.

    Returns
    -------
    Path, below `cache_folder()`.

    Raises
    ------
    BundleError
        A name of another form; a hub that is not reached, or has no such repository or revision;
        one that is no bundle, or whose files are larger than those of bundles.
    """
    match = NAME.fullmatch(source)
    if match is None:
        raise BundleError(f"{source} names no bundle of a hub: hf://OWNER/NAME[@REVISION]")
    name, revision = match.groups()
    versions = cache_folder() / "hub" / name
    if revision and _COMMIT.fullmatch(revision) and (versions / revision).is_dir():
        return versions / revision
    api = hub_api()
    try:
        about = api.model_info(name, revision=revision, files_metadata=True)
        commit, sizes = about.sha, {file.rfilename: file.size for file in about.siblings or ()}
    except Exception as error:  # of the hub's client, of its HTTP library, of the system
        raise refused(source, error) from None
    if not _COMMIT.fullmatch(str(commit)):
        raise BundleError(f"{source}: the hub names the commit {commit!r:.80}, which is none")
    wanted = [file for file in FILES if file in sizes]
    if missing := [file for file in _NEEDED if file not in wanted]:
        raise BundleError(f"{source} is no bundle: {' and '.join(missing)} missing there")
    for file in wanted:
        if not isinstance(sizes[file], int) or not 0 <= sizes[file] <= FILES[file]:
            raise BundleError(
                f"{source}: {file} has {sizes[file]!r:.40} bytes there, allowed are "
                f"{size_text(FILES[file])}"
            )
    if (versions / commit).is_dir():
        return versions / commit
    try:
        with replacing_folder(versions / commit) as folder:
            for file in wanted:
                path = api.hf_hub_download(name, file, revision=commit, local_dir=folder / ".hub")
                os.replace(path, folder / file)
            shutil.rmtree(folder / ".hub")
    except Exception as error:
        raise refused(source, error) from None
    return versions / commit


def hub_api():
    """The client of the hub in `HF_ENDPOINT`, by default Hugging Face."""
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise BundleError(
            "bundles of a hub need huggingface_hub: pip install 'auricle[hub]'"
        ) from None
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT"), library_name="auricle")


def refused(source: str, error: Exception) -> BundleError:
    """What the hub, or the way to it, has against a request."""
    if isinstance(error, BundleError):
        return error
    lines = [line for line in str(error).splitlines() if line.strip()] or [repr(error)]
    return BundleError(f"{source}: the hub says {' '.join(lines[:3])} ({type(error).__name__})")
