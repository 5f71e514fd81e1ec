"""Rooms import from those above them in one order; few modules stand outside a room."""

import ast
import functools
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: Rooms, and modules that stand alone: each imports from lines above its own, never from its line.
ORDER = """
processing.system
processing
processing.filterbank
processing.transcription
processing.data  processing.scoring
processing.plots
lobes.options  lobes.registry
lobes.layers  lobes.tasks
lobes.contracts  lobes.heads  lobes.plugins
lobes.frontends  lobes.model
lobes.build  lobes.encoders  lobes.memory
lobes  lobes.bundles  lobes.promises
lobes.conversion  lobes.distillation  lobes.export  lobes.pretrained
lobes.brains
hparams.include
hparams  hparams.loader
recipes  recipes.reports
recipes.inference  recipes.training
recipes.music_emotion  recipes.own_sounds  recipes.speech_commands  recipes.timit  recipes.voxceleb
recipes.studies
recipes.commands
recipes.cli
recipes.package
"""
PLACES = {room: number for number, line in enumerate(ORDER.split("\n")) for room in line.split()}
TOPS = ("hparams", "lobes", "processing", "recipes")

#: Modules beside the rooms of a folder: those that it has, and how many others it may have.
ALONE = {
    "lobes": ({"model", "tasks", "build", "registry", "contracts", "options"}, 4),
    "recipes": ({"cli"}, 0),
    "processing": (set(), 0),
    "hparams": ({"include", "loader"}, 0),
}

#: The generator of the mini corpora, and who may import it.
MINI = "processing.data.mini"
MAKERS = (MINI, "recipes.commands.", "recipes.training.runner in resolve_corpus")


@functools.cache
def sources():
    """Text of every module by its name below `auricle`."""
    files = [path for top in TOPS for path in (ROOT / top).rglob("*.py")]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]
    assert len(files) > 200
    return {n: p.read_text(encoding="utf-8") for n, p in zip(names, files, strict=True)}


def imports(name, text):
    """(module, or name in one; function around the import) of all imports from the library."""
    package = ["auricle", *name.split(".")[:-1]]
    nodes = [(ast.parse(text), "")]
    while nodes:
        node, function = nodes.pop()
        targets = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base += [node.module] if node.module else []
            targets = [".".join((*base, alias.name)) for alias in node.names]
        for target in targets:
            if target.startswith("auricle."):
                yield target.removeprefix("auricle."), function
        function = function or getattr(node, "name", "")
        nodes += [(child, function) for child in ast.iter_child_nodes(node)]


def graph(files):
    """Module -> {(module that it imports, function around the import)}, for files of the library."""
    modules = {name.removesuffix(".__init__") for name in (*sources(), *files)}
    return {
        name.removesuffix(".__init__"): {
            (target if target in modules else target.rpartition(".")[0], function)
            for target, function in imports(name, text)
        }
        for name, text in files.items()
    }


@functools.cache
def library():
    return graph(sources())


def room_of(module):
    return ".".join(module.split(".")[:2])


def wrong_arrows(arrows):
    """Imports from a room that is not above; modules in a room without a place; as text."""
    for module, targets in sorted(arrows.items()):
        here = room_of(module)
        if here not in PLACES:
            yield f"{module}: the room {here} has no place, give it one in ORDER"
            continue
        for target, function in sorted(targets):
            there = room_of(target)
            where = f"{module} in {function}" if function else module
            if here != there and PLACES.get(there, len(PLACES)) >= PLACES[here]:
                yield f"{where} imports {target}: {there} is not above {here} in ORDER"
            if f"{target}.".startswith(f"{MINI}.") and not where.startswith(MAKERS):
                yield f"{where} imports {target}: only {', '.join(MAKERS)} may"


def ring(arrows):
    """Modules that import one another, as text; empty where none do."""
    names = {module: {target for target, _ in targets} for module, targets in arrows.items()}
    try:
        graphlib.TopologicalSorter(names).prepare()
    except graphlib.CycleError as error:
        return " is imported by ".join(error.args[1])
    return ""


@pytest.mark.slow
def test_every_room_has_a_place():
    assert set(PLACES) == {room_of(module) for module in library()}


def test_imports_point_to_rooms_above():
    wrong = "\n".join(wrong_arrows(library()))
    assert not wrong, wrong


def test_no_modules_import_one_another():
    found = ring(library())
    assert not found, found


@pytest.mark.parametrize("folder", TOPS)
def test_few_modules_stand_outside_a_room(folder):
    needed, most = ALONE[folder]
    others = {path.stem for path in (ROOT / folder).glob("*.py")} - {"__init__"} - needed
    assert len(others) <= most, f"{folder} has {sorted(others)} outside a room: move them into one"
    assert all((ROOT / folder / f"{name}.py").is_file() for name in needed)


@pytest.mark.parametrize(
    ("module", "line", "expected"),
    [
        ("lobes.heads.x", "from ..brains import base", "lobes.brains is not above lobes.heads"),
        (
            "lobes.brains.x",
            "def f():\n  from auricle.recipes import cli",
            "in f imports recipes.cli",
        ),
        ("lobes.model", "if TYPE_CHECKING:\n  import auricle.hparams.loader", "hparams.loader"),
        ("lobes.tasks", "from . import build_model", "lobes is not above lobes.tasks"),
        ("lobes.x", "x = 1", "lobes.x has no place"),
        ("processing.data.x", "from ..scoring import paired", "processing.scoring is not above"),
        ("recipes.timit.x", "from ..voxceleb.corpus import y", "recipes.voxceleb is not above"),
        ("recipes.training.runner", f"from auricle.{MINI}.timit import write", "may"),
    ],
)
def test_an_arrow_that_points_back_is_seen(module, line, expected):
    assert expected in "\n".join(wrong_arrows(graph({module: line})))


def test_a_ring_is_seen():
    files = {"lobes.heads.x": "from .y import z", "lobes.heads.y": "from . import x"}
    assert "lobes.heads.y is imported by lobes.heads.x" in ring(graph(files))
