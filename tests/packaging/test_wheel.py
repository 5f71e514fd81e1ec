"""What is installed: one wheel, everything below `auricle`, and the same names when editable.

The package is built from a copy, with the setuptools that is here, and used without this
environment's own installation of it: no network, nothing left behind.
"""

import configparser
import json
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from auricle.processing.system.version import __version__

ROOT = Path(__file__).resolve().parents[2]
MAPPED = ("hparams", "lobes", "processing", "recipes")
NOT_COPIED = (".*", "__pycache__", "*.egg-info", "results", "build", "dist", "tests")

pytestmark = pytest.mark.long

# -I and -S leave out PYTHONPATH, the working directory and every .pth file, and with them the
# installation under test; what auricle needs is found in the folder of this environment.
START = f"""
import site, sys
target = sys.argv.pop(1)
sys.path.insert(0, target)  # in front: an editable install here has a finder of the same name
sys.path.append({sysconfig.get_path("purelib")!r})
site.addsitedir(target)
"""


def run(command, cwd):
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run_with(target, code, *arguments, cwd):
    return run([sys.executable, "-I", "-S", "-c", START + code, target, *arguments], cwd)


def sources():
    """What belongs into the wheel, by its path there."""
    files = {
        "auricle/" + path.relative_to(ROOT).as_posix()
        for top in MAPPED
        for pattern in ("*.py", "*.yaml", "*.html", "*.c", "*.h")
        for path in (ROOT / top).rglob(pattern)
        if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
    }
    shipped = [path for path in (ROOT / "lobes/bundles/models").rglob("*") if path.is_file()]
    files |= {"auricle/" + path.relative_to(ROOT).as_posix() for path in shipped}
    assert len(files) > 30
    return {name.replace("auricle/recipes/package/", "auricle/") for name in files}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source") / "auricle"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*NOT_COPIED))
    return folder


@pytest.fixture(scope="module")
def wheel(copy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-index"]
    run([*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", folder, copy], cwd=folder)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-index"]
    run([*pip, "--no-deps", "--target", target, wheel], cwd=target)
    return target


@pytest.fixture(scope="module")
def editable(copy, tmp_path_factory):
    """What `pip install -e` puts into an environment, made by the same hook."""
    folder = tmp_path_factory.mktemp("editable")
    code = "import sys; from setuptools import build_meta; build_meta.build_editable(sys.argv[1])"
    run([sys.executable, "-c", code, folder], cwd=copy)
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder)
    built.unlink()
    return folder


def test_the_wheel_holds_everything_below_auricle_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        files = set(archive.namelist())
    information = {name for name in files if name.split("/")[0].endswith(".dist-info")}
    assert {name.split("/")[0] for name in files - information} == {"auricle"}
    assert files - information == sources()
    assert wheel.name.endswith("-py3-none-any.whl")


def test_the_wheel_says_what_it_is_and_needs(wheel):
    with zipfile.ZipFile(wheel) as archive:
        texts = {
            name.split("/")[-1]: archive.read(name).decode()
            for name in archive.namelist()
            if ".dist-info/" in name
        }
    metadata = texts["METADATA"]
    for line in (
        "Name: auricle",
        f"Version: {__version__}",
        "Requires-Python: >=3.10",
        "Provides-Extra: mini",
    ):
        assert f"{line}\n" in metadata
    needed = [line for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    core = {line.split()[1].split("=")[0].split(">")[0] for line in needed if "extra" not in line}
    assert {"torch", "torchaudio", "speechbrain", "hyperpyyaml"} <= core
    assert "Apache License" in texts["LICENSE"]
    points = configparser.ConfigParser()
    points.read_string(texts["entry_points.txt"])
    assert dict(points["console_scripts"]) == {"auricle": "auricle.recipes.cli:main"}


def test_nothing_generic_is_installed(installed):
    names = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"auricle", "bin"}
    assert [path.name for path in (installed / "bin").iterdir()] == ["auricle"]
    code = "import importlib.util as u, json; print(json.dumps([bool(u.find_spec(n)) for n in sys.argv[1:]]))"
    found = run_with(installed, code, *MAPPED, "tests", "auricle.lobes", cwd=installed)
    assert json.loads(found) == [False] * 5 + [True]


LISTED = """
from auricle.recipes.cli import main
import auricle.lobes
print(auricle.lobes.__file__)
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("kind", ["frontends", "encoders"])
def test_the_installed_command_lists_the_lobes(installed, tmp_path, kind):
    path, *lines = run_with(installed, LISTED, "list", kind, cwd=tmp_path).splitlines()
    assert path == str(installed / "auricle" / "lobes" / "__init__.py")
    in_repository = {path.stem for path in (ROOT / "lobes" / kind).glob("[!_]*.py")}
    assert {line.split()[0] for line in lines} == in_repository


def test_a_recipe_of_the_wheel_finds_its_yaml(installed, tmp_path):
    code = (
        "import auricle.recipes.speech_commands.train as recipe\n"
        "assert recipe.__file__.startswith(target)\n"
        "from auricle.recipes import cli\n"
        "from auricle.recipes.studies.study import find_study\n"
        "assert cli.main(['copy', 'speech_commands', 'my.yaml']) == 0\n"
        "assert len(find_study('leaf_report').cells()) > 100\n"
        "status = recipe.main(['--help']) or cli.main(\n"
        "    ['train', 'speech_commands', 'my.yaml', '--frontend', 'mell'])\n"
        "print('status', status)"
    )
    printed = run_with(installed, code, cwd=tmp_path)
    assert "  number_of_epochs: 30" in printed and printed.endswith("status 2\n")


def test_the_wheel_has_bundles_that_open_by_name(installed, tmp_path):
    code = (
        "from auricle.lobes import pretrained\n"
        "names = list(pretrained.shipped_bundles())\n"
        "print(len(names), [len(pretrained.load(name).labels) > 0 for name in names])"
    )
    assert run_with(installed, code, cwd=tmp_path) == f"5 {[True] * 5}\n"


VERSIONS = """
import runpy, auricle
print(auricle.__version__, auricle.__file__)
runpy.run_module("auricle", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("kind", ["installed", "editable"])
def test_the_package_itself_has_a_version_and_is_the_command(kind, request, tmp_path):
    target = request.getfixturevalue(kind)
    first, second = run_with(target, VERSIONS, "--version", cwd=tmp_path).splitlines()
    version, file = first.split()
    assert version == __version__ and second == f"auricle {__version__}"
    folder = target if kind == "installed" else request.getfixturevalue("copy")
    assert Path(file).is_relative_to(folder)


NAMES = """
import importlib.metadata, importlib.util, json
names = [name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in
         sys.argv[1:] if name.endswith(".py")]
origins = {name: importlib.util.find_spec(name).origin for name in names}
points = importlib.metadata.distribution("auricle").entry_points
print(json.dumps([origins, [point.value for point in points]]))
"""


def test_an_editable_install_gives_the_same_names(installed, editable, copy, tmp_path):
    files = sorted(sources())
    there, points = json.loads(run_with(installed, NAMES, *files, cwd=tmp_path))
    here, editable_points = json.loads(run_with(editable, NAMES, *files, cwd=tmp_path))
    assert list(there) == list(here) and points == editable_points
    for name in there:
        assert Path(there[name]).is_relative_to(installed / "auricle")
        assert Path(here[name]).is_relative_to(copy)
    path, *lines = run_with(editable, LISTED, "list", "frontends", cwd=tmp_path).splitlines()
    assert Path(path).is_relative_to(copy)
    assert lines == run_with(installed, LISTED, "list", "frontends", cwd=tmp_path).splitlines()[1:]
