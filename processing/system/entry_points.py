"""What installed packages announce in a group of entry points, and which names are taken."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points


@dataclass
class Announced:
    """One entry point.

    Attributes
    ----------
    name : str
        "NAME@PACKAGE" where the name is taken.
    origin : str
        The package, and what it announces.
    point : EntryPoint
    error : str
        Why the name cannot be had; empty where it can.
    """

    name: str
    origin: str
    point: EntryPoint
    error: str = ""


def announced(group: str, taken: Mapping[str, str]) -> Iterator[Announced]:
    """The entry points of a group; nothing of the packages is imported.

    A clash in another package must not break the library: the first owner keeps the name, and the
    second is handed out with an error, under its package's name.

    Arguments
    ---------
    group : the group's name.
    taken : origins by the names that are taken already.
    """
    origins = dict(taken)
    for point in entry_points(group=group):
        package = getattr(point.dist, "name", "?")
        origin = f"package {package} ({point.value})"
        if point.name not in origins:
            origins[point.name] = origin
            yield Announced(point.name, origin, point)
            continue
        error = f"the name {point.name!r} is taken by {origins[point.name]}; both cannot have it"
        yield Announced(f"{point.name}@{package}", origin, point, error)
