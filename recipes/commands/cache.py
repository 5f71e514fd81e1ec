"""`auricle cache`: what auricle keeps to make it only once, and its removal."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from ...processing.data.synthetic import is_mini
from ...processing.system.cache_folder import cache_folder
from ...processing.system.memory import size_text
from ..reports.printing import show
from ..training.command_line import UsageError

#: A compiled library, and what it was compiled with: NAME-DIGEST[-DIGEST].
_COMPILED = re.compile(r"\w+(-[0-9a-f]{16}){1,2}\.(so|json)")


def run(
    action: Literal["list", "clear"] = "list", /, *, yes: bool = False, json: bool = False
) -> None:
    """List what the cache folder holds, with sizes, or delete what auricle made there.

    Compiled C code, mini corpora, bundles of a hub and the runtime of pages (`auricle demo`); all are
    made or fetched again when needed. The folder is
    $AURICLE_CACHE, or auricle in $XDG_CACHE_HOME or in ~/.cache. What else is there is left alone,
    and links are not followed.

    Arguments
    ---------
    action
        list or clear.
    yes
        clear: do not ask.
    json
        Print JSON.
    """
    folder = cache_folder()
    sizes = {path: _size(path) for path in _made_by_auricle(folder)}
    total = size_text(sum(sizes.values()))
    if action == "clear":
        if sizes and not (yes or _agreed(f"Delete {len(sizes)} entries ({total}) of {folder}?")):
            print("nothing was deleted")
            return
        for path in sizes:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    entries = [
        {"path": path.relative_to(folder).as_posix(), "bytes": size} for path, size in sizes.items()
    ]
    lines = [f"{size_text(entry['bytes']):>9}  {entry['path']}" for entry in entries]
    done = "deleted from" if action == "clear" else "in"
    show(
        {"folder": str(folder), "action": action, "entries": entries},
        [*lines, f"{len(entries)} entries ({total}) {done} {folder}"],
        json,
    )


def _made_by_auricle(folder: Path) -> Iterator[Path]:
    kinds = {
        "compiled/*": _is_library,
        "mini/*": is_mini,
        "hub/*/*": _is_fetched,
        "web/*": _is_runtime,
    }
    for pattern, is_ours in kinds.items():
        if not (folder / pattern.partition("/")[0]).is_symlink():
            for path in sorted(folder.glob(pattern)):
                if not path.is_symlink() and is_ours(path):
                    yield path


def _is_library(path: Path) -> bool:
    return path.is_file() and _COMPILED.fullmatch(path.name) is not None


def _is_fetched(path: Path) -> bool:
    """Whether a folder holds versions of a bundle from a hub, and nothing else."""
    return not path.parent.is_symlink() and all(
        (version / "bundle.json").is_file() for version in path.glob("*")
    )


def _is_runtime(path: Path) -> bool:
    return path.is_file() and path.match("onnxruntime-web-*.tgz")


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    files = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    return sum(file.lstat().st_size for file in files)


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("nobody can be asked here: auricle cache clear --yes deletes")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
