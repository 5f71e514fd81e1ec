"""Names that stand for a bundle: of those that auricle ships, and of those on a hub."""

import functools
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from ...processing.system.files import read_json
from ...processing.system.names import nearest
from ..tasks import find_task

logger = logging.getLogger(__name__)

MODELS = Path(__file__).with_name("models")
HUB = "hf://"


@dataclass(frozen=True)
class Shipped:
    """A bundle that is part of auricle.

    Attributes
    ----------
    name : as `load` takes it, "speech_commands/leaf_bcresnet".
    folder : where it lies.
    error : "", as of lobes that are broken.
    """

    name: str
    folder: Path
    error: str = ""

    @property
    def summary(self) -> str:
        """Its task, lobes, data and headline score, in a line."""
        about = read_json(self.folder / "bundle.json")
        task = find_task(about["task"])
        score = task.scores[task.headline]
        corpus = about["corpus"]
        return (
            f"{task.name}, {about['frontend']['name']} + {about['encoder']['name']}: "
            f"{score.heading} {score.text(about['test'][task.headline])} on {corpus['name']}"
            f"{' (synthetic)' if corpus['synthetic'] else ''}"
        )


def shipped_bundles() -> dict[str, Shipped]:
    """The bundles that auricle ships, by name.

    Example
    -------
    >>> all(entry.folder.is_dir() for entry in shipped_bundles().values())
    True
    """
    folders = sorted(file.parent for file in MODELS.glob("*/*/bundle.json"))
    names = [folder.relative_to(MODELS).as_posix() for folder in folders]
    return {name: Shipped(name, folder) for name, folder in zip(names, folders, strict=True)}


def find_bundle(source: str | os.PathLike) -> Path:
    """The folder of a bundle that is given as a folder or by name.

    A folder of this name wins over a bundle that auricle ships, and a warning says so. What is
    neither is returned as it is, for whoever opens it to refuse.

    Arguments
    ---------
    source : a folder; a name of `shipped_bundles`; or "hf://OWNER/NAME", "hf://OWNER/NAME@REVISION" of a hub,
        whose files are fetched.

    Raises
    ------
    BundleError
        A bundle on a hub that cannot be fetched.
    """
    name = os.fspath(source)
    if name.startswith(HUB):
        from .hub import fetch

        return fetch(name)
    known = shipped_bundles().get(name)
    if known is None:
        return Path(source)
    if os.path.lexists(name):
        _say_hidden(name)
        return Path(source)
    return known.folder


@functools.cache
def _say_hidden(name: str) -> None:
    logger.warning(
        "%s is a folder here, which is taken; the bundle of this name that auricle ships is opened "
        "from another folder",
        name,
    )


def shipped_names(name: str) -> str:
    """A sentence about what may have been meant by the name of a bundle that is not there."""
    known = shipped_bundles()
    return f"auricle ships {', '.join(known)}{nearest(name, known)}"
