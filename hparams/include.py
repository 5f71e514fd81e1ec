"""Includes of a YAML: keys that it takes from shared files of auricle or from files of its own.

    include: [training, classification, model]

A name without a suffix is a file of auricle's (`SHARED`); one that ends in .yaml is a path relative
to the YAML that includes it. A key that several files have is taken from the YAML itself, else from
the first file that has it.
"""

import functools
import re
from collections.abc import Iterable
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from ..processing.system.files import read_text
from ..processing.system.names import nearest

KEY = "include"
#: Shared files by name: `_training.yaml` is "training".
SHARED = {file.stem[1:]: file for file in sorted(Path(__file__).parent.glob("_*.yaml"))}


#: Of a YAML, those that an alias repeats counted each time; more were never meant.
MOST_VALUES, _MOST_DEPTH = 100_000, 100


class IncludeError(ValueError):
    """An include that cannot be followed."""


@functools.lru_cache(maxsize=16)
def parse(text: str):
    """Maps, lists and scalars with their tags; kept, as ruamel takes 0.1 s: trees are only read."""
    return _bounded(YAML(typ="rt"), text)


def plain_value(text: str):
    """The value that a YAML text stands for; a tag, which would run code, is a YAMLError."""
    return _bounded(YAML(typ="safe", pure=True), text)


def _bounded(loader: YAML, text: str):
    """What a YAML text holds; a YAMLError where it is none, or more than anybody writes."""
    depth = 0
    for bracket in re.finditer(r"[][{}]", text):  # ruamel takes seconds to find out
        depth += 1 if bracket[0] in "[{" else -1
        if depth > _MOST_DEPTH:
            raise YAMLError(f"more than {_MOST_DEPTH} lists and maps in each other")
    try:
        value = loader.load(text)
    except RecursionError:
        raise YAMLError("hundreds of lists and maps in each other") from None
    except (ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
        raise YAMLError(f"a value that cannot be read ({error})") from None  # the 13th month
    nodes, count = [value], 0
    while nodes:
        node, count = nodes.pop(), count + 1
        if count > MOST_VALUES:
            raise YAMLError(f"more than {MOST_VALUES:,} values, or a map that holds itself")
        if isinstance(node, (dict, list)):
            nodes += node.values() if isinstance(node, dict) else node
    return value


def expanded(path: Path, within: tuple[Path, ...] = ()) -> str:
    """Text of a YAML in which the keys of what it includes follow its own.

    Arguments
    ---------
    path : of the YAML.
    within : files that include it.

    Raises
    ------
    IncludeError
        An include that is no name or list of names, is not there, or includes itself.
    OSError, ruamel.yaml.error.YAMLError
        A file that cannot be read.
    """
    path = path.resolve()
    if path in within:
        raise IncludeError(f"{path} includes itself, by way of {within[-1].name}: take it out")
    text = read_text(path)
    if not isinstance(parse(text), CommentedMap) or KEY not in parse(text):
        return text
    names = parse(text)[KEY]
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise IncludeError(f"{path.name}: include is a name or a list of names, got {names!r}")
    known, parts = set(parse(text)), [_without(text, [KEY])]
    for name in names:
        part = expanded(_file_of(name, path), (*within, path))
        keys = set(parse(part) or ())
        parts.append(_without(part, keys & known))
        known |= keys
    return "\n".join(parts)


def _file_of(name: str, path: Path) -> Path:
    if not name.endswith((".yaml", ".yml")):
        if name in SHARED:
            return SHARED[name]
        raise IncludeError(
            f"{path.name} includes {name!r}, which auricle does not share{nearest(name, SHARED)} "
            f"It shares {', '.join(SHARED)}; a file of your own is named with its .yaml"
        )
    file = path.parent / name
    if not file.is_file():
        raise IncludeError(
            f"{path.name} includes {name}, and {file} is not there: correct the name, which is "
            f"relative to {path.parent}, or take it out of include"
        )
    return file


def _without(text: str, keys: Iterable[str]) -> str:
    """The text of a YAML map without some of its keys; all other lines stay as they are."""
    lines, places = text.splitlines(), parse(text)
    starts = sorted(places.lc.key(key)[0] for key in places) if keys else []
    for start in [places.lc.key(key)[0] for key in keys]:
        end = min((line for line in starts if line > start), default=len(lines))
        while lines[end - 1].startswith("#") or not lines[end - 1].strip():
            end -= 1  # of the next key
        lines[start:end] = [None] * (end - start)
    return "".join(f"{line}\n" for line in lines if line is not None)
