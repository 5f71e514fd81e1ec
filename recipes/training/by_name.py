"""Recipes by name: those that come with auricle, and those that installed packages announce.

A recipe is a function `main(argv)` that takes the words of a command line and returns an exit status,
as `run_recipe` does. A package announces its own in the entry-point group `auricle.recipes`:

    [options.entry_points]
    auricle.recipes =
        floors = my_package.floors:main
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path

from ...processing.system.entry_points import announced
from ...processing.system.names import nearest
from .messages import RecipeError

GROUP = "auricle.recipes"
_FOLDER = Path(__file__).resolve().parents[1]


@dataclass
class Recipe:
    """A recipe that is known by name; nothing of it is imported before `load`."""

    name: str
    origin: str
    point: EntryPoint
    summary: str = ""
    error: str = ""

    def load(self) -> Callable[[list[str]], int]:
        """Its `main`.

        Raises
        ------
        RecipeError
            It cannot be imported, is no function, or its name is taken.
        """
        try:
            main = None if self.error else self.point.load()
        except Exception as error:  # foreign code may raise anything
            self.error = f"{type(error).__name__}: {error}"
            raise self._broken() from error
        if not callable(main):
            self.error = self.error or f"{self.point.value} is no function main(argv)"
            raise self._broken()
        return main

    def _broken(self) -> RecipeError:
        return RecipeError(
            f"recipe {self.name!r} from {self.origin} is broken: {self.error}. Correct the entry "
            f"point {self.point.name} of the group {GROUP} in that package, or remove the package"
        )


def recipes() -> dict[str, Recipe]:
    """Every known recipe by name: auricle's own, then those of other packages."""
    own = {}
    for folder in sorted(file.parent for file in _FOLDER.glob("*/prepare.py")):
        name, script = folder.name, folder / "train.py"
        point = EntryPoint(name, f"auricle.recipes.{name}.train:main", GROUP)
        text = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8")))
        own[name] = Recipe(name, str(script), point, text.partition("\n")[0])
    taken = {name: recipe.origin for name, recipe in own.items()}
    others = (
        Recipe(found.name, found.origin, found.point, f"of {found.origin}", found.error)
        for found in announced(GROUP, taken)
    )
    return own | {recipe.name: recipe for recipe in others}


def find_recipe(name: str) -> Callable[[list[str]], int]:
    """The `main` of a recipe.

    Raises
    ------
    RecipeError
        No recipe has the name (with the nearest), or it is broken.
    """
    known = recipes()
    if name not in known:
        raise RecipeError(
            f"no recipe is called {name!r}{nearest(name, known)} Known recipes: "
            f"{', '.join(known)}. One of your own is run as its file (python NAME.py), or announced "
            f"by an installed package in the entry-point group {GROUP}"
        )
    return known[name].load()
