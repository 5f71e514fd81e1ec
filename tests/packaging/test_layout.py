"""The package map equals the folders; each folder has one name; the core stays light."""

import ast
import configparser
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: Top-level folders that are mapped below `auricle`.
MAPPED = ("hparams", "lobes", "processing", "recipes")

#: What only an extra installs; the core must work without any of it.
EXTRAS = (
    "timm",
    "torchvision",
    "av",
    "sounddevice",
    "transformers",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "tflite",
    "ai_edge_litert",
    "protobuf",  # as the module google.protobuf
    "espeakng_loader",
    "sounddevice",
    "submitit",
    "ray",
    "tensorboard",
    "wandb",
    "mlflow",
    "playwright",
    "axe_playwright_python",
    # of the extra `test`
    "pytest",
    "sklearn",
    "nnAudio",
    "asteroid_filterbanks",
)


def options():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return config["options"]


def folders():
    """Package name -> folder, for every folder with an `__init__.py`; `auricle` has one of them."""
    found = {
        f"auricle.{'.'.join(init.parent.relative_to(ROOT).parts)}": init.parent
        for top in MAPPED
        for init in (ROOT / top).rglob("__init__.py")
    }
    assert len(found) >= len(MAPPED)
    found["auricle"] = found.pop("auricle.recipes.package")
    return dict(sorted(found.items()))


def modules():
    """Every importable module of the library; `__main__.py` runs, it is not imported."""
    return sorted(
        ".".join(("auricle", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(
            ".__init__"
        )
        for top in MAPPED
        for path in (ROOT / top).rglob("*.py")
        if path.name != "__main__.py" and (path.parent / "__init__.py").is_file()
    )


def run(code, *arguments, cwd):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
    )


# -- setup.cfg -----------------------------------------------------------------------------------


def test_package_list_equals_the_folders():
    listed = options()["packages"].split()
    assert listed == sorted(set(listed)), "sorted, and each once"
    assert listed == list(folders())


def test_package_dir_maps_each_package_to_its_own_folder():
    pairs = [line.split("=") for line in options()["package_dir"].strip().split("\n")]
    mapped = {name.strip(): (ROOT / folder.strip()) for name, folder in pairs}
    assert len(pairs) == len(mapped)
    assert mapped == folders()


def test_every_folder_with_code_is_a_package():
    bare = {
        path.parent
        for top in MAPPED
        for path in (ROOT / top).rglob("*.py")
        if not (path.parent / "__init__.py").is_file()
    }
    assert not bare, f"no __init__.py in {sorted(map(str, bare))}"


def test_nothing_generic_is_installed_at_top_level():
    assert all(name.split(".")[0] == "auricle" for name in options()["packages"].split())
    assert not (ROOT / "auricle").exists() and "py_modules" not in options()


# -- one name per folder -------------------------------------------------------------------------


@pytest.mark.parametrize("package", list(folders()))
def test_guard_is_the_first_statement_of_every_package(package):
    """Run in place: one process per package would take minutes."""
    path = folders()[package] / "__init__.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    guard = next(
        node
        for node in tree.body[1:]
        if not (isinstance(node, ast.ImportFrom) and node.module == "__future__")
    )
    code = compile(ast.Module([guard], []), str(path), "exec")
    with pytest.raises(ImportError, match=rf"{re.escape(package)}\b.*pip install -e \."):
        exec(code, {"__name__": ".".join(path.parent.relative_to(ROOT).parts)})
    exec(code, {"__name__": package})


GUARDED = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ImportError as error:
        assert "pip install -e ." in str(error) and f"auricle.{name}" in str(error), (name, error)
    else:
        raise SystemExit(f"`import {name}` from the repository's root works")
"""


def test_bare_imports_from_the_root_are_refused():
    done = run(GUARDED, *MAPPED, cwd=ROOT)
    assert done.returncode == 0, done.stderr


PROPER = """
import sys
import auricle.lobes, auricle.processing, auricle.recipes, auricle.hparams
assert "lobes" not in sys.modules
print(auricle.lobes.__file__)
"""


def test_proper_imports_work_from_the_root_and_elsewhere(tmp_path):
    for cwd in (ROOT, tmp_path):
        done = run(PROPER, cwd=cwd)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip().endswith("__init__.py")


# -- weight --------------------------------------------------------------------------------------

LIGHT = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
heavy = {"torch", "torchaudio", "speechbrain", "numpy", "scipy", "matplotlib", "soundfile"}
assert not heavy & set(sys.modules), sorted(heavy & set(sys.modules))
"""


def test_packages_and_the_registry_import_nothing_heavy(tmp_path):
    """What `auricle list` imports: it answers in a fraction of a second."""
    light = [f"auricle.{name}" for name in MAPPED]
    done = run(LIGHT, *light, "auricle.lobes.registry", "auricle.lobes.build", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


BLOCKED = """
import importlib, importlib.abc, json, sys, traceback

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r} (an extra)", name=name)

blocked, names = (argument.split(",") for argument in sys.argv[1:])
sys.meta_path.insert(0, Refuse())
failed = {}
for name in names:
    try:
        importlib.import_module(name)
    except BaseException as error:
        failed[name] = f"{type(error).__name__}: {error}"
loaded = sorted({name.split(".")[0] for name in sys.modules} & set(blocked))
print(json.dumps({"failed": failed, "loaded": loaded}))
"""


@pytest.mark.slow
def test_every_module_imports_without_any_extra(tmp_path):
    names = modules()
    assert "auricle.lobes.registry" in names
    done = run(BLOCKED, ",".join(EXTRAS), ",".join(names), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.strip().split("\n")[-1])
    assert seen == {"failed": {}, "loaded": []}


def test_the_block_blocks(tmp_path):
    """The test above, seen failing: a module that needs an extra is reported."""
    (tmp_path / "needs_extra.py").write_text("import onnx.helper\n")
    done = run(BLOCKED, ",".join(EXTRAS), "needs_extra,json", cwd=tmp_path)
    assert '"needs_extra": "ModuleNotFoundError' in done.stdout and '"json"' not in done.stdout


def test_extras_named_here_are_those_of_setup_cfg():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    named = {
        re.split(r"[=>\[]", line)[0].strip().lower().replace("-", "").replace("_", "")
        for extra in config["options.extras_require"].values()
        for line in extra.split("\n")
        if line.strip()
    }
    # tools that are run, what other packages import as well, a module that is called otherwise
    named -= {"pytestxdist", "ruff", "setuptools", "scikitlearn", "huggingfacehub"}
    named |= {"sklearn"}
    assert named == {name.lower().replace("_", "") for name in EXTRAS}
