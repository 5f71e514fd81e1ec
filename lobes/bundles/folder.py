"""Files of a bundle, none of which leads out of its folder."""

import os
import stat
from pathlib import Path

from .description import BundleError


def file_in(folder: str | os.PathLike, name: str) -> Path | None:
    """The path of a file of a bundle; None where it has none of this name.

    Raises
    ------
    BundleError
        A link that leads out of the folder; a folder, a pipe or a device.
    """
    path = Path(folder, name)
    try:
        real = path.resolve(strict=True)
        kind = os.stat(real).st_mode
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise BundleError(
                f"{path} is a link to a file that is not there; copy it whole"
            ) from None
        return None
    except (OSError, RuntimeError) as error:  # a loop of links
        raise BundleError(f"{path} cannot be opened: {error}") from None
    if not real.is_relative_to(Path(folder).resolve()):
        raise BundleError(
            f"{path} is a link out of the bundle, which reads no file but its own. Where you trust "
            f"it, copy the folder with what its links name: cp -rL {folder} COPY (of a hub: "
            "download it with local_dir=FOLDER)"
        )
    if not stat.S_ISREG(kind):
        raise BundleError(f"{path} is no regular file")
    return path
