"""Files of embeddings, .safetensors or .npz: nothing in either can run code.

- .safetensors: the tensor `vectors`; in the metadata `format`, and as JSON `names` and `about`.
- .npz: the arrays `vectors` and `names` (text), and `about` (text, JSON; may be missing). Anyone
  can write one: `numpy.savez(path, names=names, vectors=vectors)` with an array of text.

`names` are the recordings' full relative paths, `vectors` (n, D) or (n, crops, D) floats, and
`about` says where they are from (`model_digest` for one, so that embeddings of two models are not
compared).
"""

import json
import os
import zipfile
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ...system.files import parse_json, replacing
from .embeddings import Embeddings

FORMAT = "auricle embeddings 1"
SUFFIXES = (".safetensors", ".npz")
_MOST_NAMES_BYTES = 2**28
#: NumPy does not pack; embeddings that somebody has packed are hardly smaller.
_MOST_PACKED = 10


def write_embeddings(
    path: str | os.PathLike, embeddings: Embeddings, about: dict | None = None
) -> Path:
    """Write embeddings; the suffix says in which of the two formats. Returns the path.

    The file appears complete or not at all.

    Arguments
    ---------
    path : a file with one of `SUFFIXES`; folders are made.
    embeddings : what to write.
    about : where they are from; anything that JSON holds.

    Example
    -------
    >>> import tempfile
    >>> embeddings = Embeddings(["a/1.wav", "b/1.wav"], [[1.0, 0.0], [0.6, 0.8]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_embeddings(Path(folder, "e.npz"), embeddings, {"model": "mine"})
    ...     again, about = read_embeddings(path)
    >>> again.names, about
    (('a/1.wav', 'b/1.wav'), {'model': 'mine'})
    """
    path = Path(path)
    suffix = _suffix(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(about or {}, ensure_ascii=False, allow_nan=False)
    if suffix == ".safetensors":
        names = json.dumps(embeddings.names, ensure_ascii=False)
        metadata = {"format": FORMAT, "names": names, "about": text}
        return save_tensors(path, {"vectors": embeddings.vectors}, metadata)
    names = np.array(embeddings.names)
    with replacing(path) as part, open(part, "wb") as out:
        np.savez(out, vectors=embeddings.vectors, names=names, about=np.array(text))
    return path


def save_tensors(path: Path, arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> Path:
    """Write .safetensors, complete or not at all."""
    with replacing(path) as part:
        held = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        save_file(held, part, metadata)
    return path


def read_embeddings(path: str | os.PathLike) -> tuple[Embeddings, dict]:
    """Read embeddings and what is known about them.

    Raises
    ------
    ValueError
        Another suffix, a damaged file or one without names or vectors, what `Embeddings` refuses.
    """
    path = Path(path)
    suffix = _suffix(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file of embeddings")
    names, vectors, about = (_read_npz if suffix == ".npz" else _read_safetensors)(path)
    try:
        known = parse_json(about.encode(), path) if about else {}
        if not isinstance(known, dict):
            raise ValueError("'about' must be an object of JSON")
        if vectors.dtype.kind not in "fiu":
            raise ValueError(f"vectors must be real numbers, they are {vectors.dtype}")
        return Embeddings(names, vectors), known
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _suffix(path: Path) -> str:
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: embeddings are in files with the suffix {' or '.join(SUFFIXES)}")
    return path.suffix


def _read_npz(path: Path) -> tuple[list[str], np.ndarray, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > _MOST_PACKED * (2**20 + path.stat().st_size):
            raise ValueError(f"it unpacks to {unpacked} bytes")
        with np.load(path, allow_pickle=False) as held:
            lacks = [name for name in ("names", "vectors") if name not in held.files]
            if lacks:
                raise ValueError(
                    f"no array {' or '.join(map(repr, lacks))}; it holds {sorted(held.files)}"
                )
            names, vectors = held["names"], held["vectors"]
            about = str(held["about"]) if "about" in held.files else ""
    except Exception as error:  # zipfile, zlib and NumPy have errors of their own
        raise ValueError(
            f"{path} is no .npz of embeddings: {error} (wanted: 'vectors' (n, D) floats and "
            "'names' (n,) text, not objects)"
        ) from None
    if names.ndim != 1 or names.dtype.kind != "U":
        raise ValueError(
            f"{path}: 'names' is {names.dtype} of shape {names.shape}; it must be text of (n,)"
        )
    return names.tolist(), vectors, about


def _read_safetensors(path: Path) -> tuple[list[str], np.ndarray, str]:
    try:
        with safe_open(path, framework="np") as held:
            metadata = held.metadata() or {}
            if metadata.get("format") != FORMAT or "vectors" not in held.keys():
                raise ValueError(
                    f"its format is {metadata.get('format')!r} and not {FORMAT!r}: is it a file of "
                    "weights?"
                )
            names, about = (
                parse_json(metadata["names"].encode(), path, _MOST_NAMES_BYTES),
                metadata.get("about", ""),
            )
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise ValueError("'names' must be a list of text")
            return names, held.get_tensor("vectors"), about
    except (SafetensorError, ValueError, KeyError, OSError) as error:
        raise ValueError(f"{path} is no file of embeddings: {error}") from None
