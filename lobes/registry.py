"""Registry of frontends and encoders: decorators, a lazy scan, entry points.

Listing imports nothing heavy: a file of the library is read with `ast`, and an entry point is
known by its name until it is loaded.
"""

import ast
import fnmatch
import importlib
import importlib.util
import inspect
from dataclasses import dataclass
from pathlib import Path

from ..processing.system.entry_points import announced
from ..processing.system.names import nearest

#: How errors name the remedy for a lobe that is in a file of somebody's own.
LOAD_PLUGIN = 'load_plugin("FILE.py")'


class LobeError(ValueError):
    """A lobe that cannot be found, registered or built."""


class UnknownLobe(LobeError):
    """No lobe has this name."""


class DuplicateLobe(LobeError):
    """Two lobes claim one name."""


class PluginError(LobeError):
    """A plugin file or entry point could not be loaded."""


@dataclass
class Lobe:
    """One entry of a registry. `cls` is None until the lobe is loaded."""

    name: str
    origin: str
    paper: str = ""
    source: str = ""
    summary: str = ""
    module: str = ""
    cls: type | None = None
    entry_point: object = None
    error: str = ""


class Registry:
    """All lobes of one kind.

    Arguments
    ---------
    kind : str
        "frontend" or "encoder".
    package : str
        Package whose folder is scanned: one file per lobe, the file's name is the lobe's name.
    group : str
        Entry-point group through which other packages add lobes.
    """

    def __init__(self, kind: str, package: str, group: str):
        self.kind = kind
        self.package = package
        self.group = group
        self._lobes: dict[str, Lobe] | None = None

    # -- look up -------------------------------------------------------------------------------

    @property
    def lobes(self) -> dict[str, Lobe]:
        """Every known lobe by name, sorted; scans on the first call, imports nothing heavy."""
        if self._lobes is None:
            self._lobes = {}
            try:
                self._scan_folder()
                self._scan_entry_points()
            except BaseException:
                self._lobes = None  # half a list must not pass for the whole on the next call
                raise
        return dict(sorted(self._lobes.items()))

    def names(self, pattern: str = "*") -> list[str]:
        """Names that match a glob pattern, sorted, without those whose loading failed."""
        usable = (name for name, lobe in self.lobes.items() if not lobe.error)
        return [name for name in usable if fnmatch.fnmatchcase(name, pattern)]

    def describe(self, name: str) -> Lobe:
        """The entry of `name`, without loading it.

        Raises
        ------
        UnknownLobe
            With the nearest name and the list of all.
        """
        lobes = self.lobes
        if name not in lobes:
            raise UnknownLobe(
                f"no {self.kind} is called {name!r}{nearest(name, lobes)} "
                f"Known {self.kind}s: {', '.join(self.names())}. "
                f"A lobe of your own is added with {LOAD_PLUGIN}"
            )
        return lobes[name]

    def get(self, name: str) -> type:
        """The class registered under `name`, imported now if it was not.

        Raises
        ------
        UnknownLobe, PluginError
        """
        lobe = self.describe(name)
        if lobe.cls is None and not lobe.error:
            try:
                if lobe.entry_point is not None:
                    loaded = lobe.entry_point.load()
                    if inspect.isclass(loaded) and self._lobes[name].cls is None:
                        self.register(name, loaded)  # a class without the decorator
                else:
                    importlib.import_module(lobe.module)
            except Exception as error:  # foreign code may raise anything
                if not lobe.entry_point:
                    raise
                lobe.error = f"{type(error).__name__}: {error}"
            lobe = self._lobes[name]
            if lobe.cls is None and not lobe.error:
                lobe.error = f"loading it registered no {self.kind} called {name!r}"
        if lobe.error:
            raise PluginError(f"{self.kind} {name!r} from {lobe.origin} is broken: {lobe.error}")
        return lobe.cls

    # -- enter ------------------------------------------------------------------------------

    def register(self, name: str, cls: type, paper: str = "", source: str = "") -> type:
        """Enter a class; the decorators call this.

        Raises
        ------
        DuplicateLobe
            When another origin holds the name; the message names both.
        """
        if not name.isidentifier() or name != name.lower():
            raise LobeError(f"a {self.kind}'s name is lower_snake, got {name!r}")
        origin = _origin(cls)
        known = self.lobes.get(name)
        if known is not None and not known.error and known.origin != origin:
            # An entry point is registered by the decorator in the package that it names.
            point = known.entry_point
            if point is None or point.module.split(".")[0] != cls.__module__.split(".")[0]:
                raise DuplicateLobe(
                    f"two {self.kind}s are called {name!r}: {known.origin} and {origin}. "
                    "Rename one of them"
                )
        self._lobes[name] = Lobe(
            name=name,
            origin=origin,
            paper=paper,
            source=source,
            summary=_first_line(cls.__doc__),
            module=cls.__module__,
            cls=cls,
        )
        cls.registered_name = name
        return cls

    def restore(self, lobes: dict[str, Lobe]) -> None:
        """Take `lobes` for all there are, as a copy of them was taken earlier."""
        self._lobes = lobes

    def forget(self, name: str) -> None:
        """Remove an entry (a test or a notebook that redefines a lobe)."""
        self.lobes  # noqa: B018 - scans
        self._lobes.pop(name, None)

    def _scan_folder(self) -> None:
        spec = importlib.util.find_spec(self.package)
        for folder in spec.submodule_search_locations or []:
            for path in sorted(Path(folder).glob("*.py")):
                if not path.name.startswith("_"):
                    self._lobes[path.stem] = self._read(path)

    def _read(self, path: Path) -> Lobe:
        """Name, paper and summary of a library file, by reading and not by importing it."""
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        for node in tree.body:
            for call in getattr(node, "decorator_list", []):
                if not (isinstance(call, ast.Call) and _called(call) == f"register_{self.kind}"):
                    continue
                keywords = {
                    word.arg: word.value.value
                    for word in call.keywords
                    if isinstance(word.value, ast.Constant)
                }
                name = call.args[0].value if call.args else keywords.get("name")
                if name != path.stem:
                    raise LobeError(
                        f"{path} registers {name!r}: the file's name must be the lobe's name"
                    )
                return Lobe(
                    name=path.stem,
                    origin=str(path),
                    paper=keywords.get("paper", ""),
                    source=keywords.get("source", ""),
                    summary=_first_line(ast.get_docstring(node)),
                    module=f"{self.package}.{path.stem}",
                )
        raise LobeError(f"{path} registers no {self.kind}: it lacks @register_{self.kind}(...)")

    def _scan_entry_points(self) -> None:
        taken = {name: lobe.origin for name, lobe in self._lobes.items()}
        for found in announced(self.group, taken):
            point = None if found.error else found.point
            self._lobes[found.name] = Lobe(
                found.name, found.origin, entry_point=point, error=found.error
            )


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n")[0]


def _origin(cls: type) -> str:
    try:
        return str(Path(inspect.getfile(cls)))
    except (OSError, TypeError):
        return f"module {cls.__module__}"


FRONTENDS = Registry("frontend", "auricle.lobes.frontends", "auricle.frontends")
ENCODERS = Registry("encoder", "auricle.lobes.encoders", "auricle.encoders")


def list_frontends(pattern: str = "*") -> list[str]:
    """Names of the frontends that match a glob pattern; none match: an empty list.

    Example
    -------
    >>> list_frontends("stft_*")
    ['stft_mel']
    """
    return FRONTENDS.names(pattern)


def list_encoders(pattern: str = "*") -> list[str]:
    """Names of the encoders that match a glob pattern; none match: an empty list.

    Example
    -------
    >>> list_encoders("bcresnet*")
    ['bcresnet', 'bcresnet_blstm']
    """
    return ENCODERS.names(pattern)


def register_frontend(name: str, paper: str = "", source: str = ""):
    """Class decorator: enter a `Frontend` under a name.

    Arguments
    ---------
    name : str
        lower_snake; in the library it is the file's name.
    paper : str
        Where the idea was published.
    source : str
        The code that was followed, `repository@commit`.
    """
    return lambda cls: FRONTENDS.register(name, cls, paper, source)


def register_encoder(name: str, paper: str = "", source: str = ""):
    """Class decorator: enter an `Encoder` under a name; arguments as `register_frontend`."""
    return lambda cls: ENCODERS.register(name, cls, paper, source)
