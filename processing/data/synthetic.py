"""Tell auricle's synthetic mini corpora from recorded ones, by their mini.json."""

from pathlib import Path

from ..system.files import TextError, read_json

INFO_FILE = "mini.json"
GENERATOR = "auricle mini corpus"


def mini_info(folder: str | Path) -> dict | None:
    """What mini.json says of a mini corpus (corpus, size, seed, versions, ...), else None."""
    try:
        info = read_json(Path(folder) / INFO_FILE)
    except (OSError, TextError):
        return None
    return info if isinstance(info, dict) and info.get("generator") == GENERATOR else None


def is_mini(folder: str | Path) -> bool:
    """Whether a data folder is one of auricle's synthetic corpora; a result must then say so."""
    return mini_info(folder) is not None
