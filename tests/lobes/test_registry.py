"""Lobes are found by name: in the library's folders, in other packages, in plugin files."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from refusals import refused

from auricle.lobes import (
    ENCODERS,
    FRONTENDS,
    build_frontend,
    list_encoders,
    list_frontends,
    load_plugin,
)
from auricle.lobes.registry import (
    DuplicateLobe,
    LobeError,
    PluginError,
    Registry,
    UnknownLobe,
    nearest,
)

REGISTRIES = [FRONTENDS, ENCODERS]

# What every comparison starts from and nobody published as an idea.
BASELINES = {"waveform", "linear", "small_cnn"}

PLUGIN = '''
from auricle.lobes import register_{kind}
from auricle.lobes.contracts import Frontend, Encoder

@register_{kind}("{name}", paper="A paper (2026)", source="someone/code@1234567")
class Mine(Frontend):
    """One line about it.

    More about it.
    """
    def __init__(self, sample_rate=16000, width=3):
        super().__init__(sample_rate, hop=1, window=1, num_features=1)
        self.width = width

    def forward(self, wavs, lengths=None):
        return wavs[..., None] * {factor}
'''


MY_LOBE = PLUGIN.format(name="my_lobe", kind="frontend", factor=1)


def plugin(path, name="my_lobe", kind="frontend", factor=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PLUGIN.format(name=name, kind=kind, factor=factor))
    return path


@pytest.fixture(autouse=True)
def registries_as_they_were():
    """Forget what a test registers. Loaded first: a module runs its decorators only once."""
    for registry in REGISTRIES:
        for name in registry.names():
            registry.get(name)
    before = [(registry, dict(registry.lobes)) for registry in REGISTRIES]
    modules = set(sys.modules)
    yield
    for registry, lobes in before:
        registry._lobes = lobes
    for name in set(sys.modules) - modules:
        if name.startswith(("auricle_plugin_", "other_package")):
            del sys.modules[name]


# -- the library's folders -----------------------------------------------------------------------


@pytest.mark.parametrize("registry", REGISTRIES, ids=["frontends", "encoders"])
def test_names_equal_file_names(registry):
    folder = Path(sys.modules["auricle.lobes"].__file__).parent / f"{registry.kind}s"
    files = {path.stem for path in folder.glob("*.py") if not path.name.startswith("_")}
    assert files, f"no file in {folder}"
    own = {n for n, lobe in registry.lobes.items() if lobe.module.startswith(registry.package)}
    assert own == files


@pytest.mark.parametrize(
    ("registry", "name"),
    [
        pytest.param(registry, name, id=f"{registry.kind}-{name}")
        for registry in REGISTRIES
        for name in registry.names()
    ],
)
def test_what_is_read_equals_what_is_registered_on_import(registry, name):
    """The scan reads the file, the decorator runs: both must tell the same story."""
    read = Registry(registry.kind, registry.package, registry.group).describe(name)
    cls = registry.get(name)
    known = registry.describe(name)
    assert known.cls is cls and cls.registered_name == name
    assert (read.name, read.origin, read.module) == (known.name, known.origin, known.module)
    assert (read.paper, read.source, read.summary) == (known.paper, known.source, known.summary)
    assert known.summary.endswith("."), f"{name}: its docstring starts with one sentence"
    assert known.paper or name in BASELINES, f"{name} names no paper"


@pytest.mark.parametrize(
    ("listed", "pattern", "want"),
    [
        (list_frontends, "*", FRONTENDS.names()),
        (list_encoders, "*", ENCODERS.names()),
        (list_encoders, "bcres*", ["bcresnet", "bcresnet_blstm"]),
        (list_frontends, "LEAF", []),
        (list_frontends, "no_such_*", []),
    ],
)
def test_names_are_listed_by_a_glob_pattern(listed, pattern, want):
    assert listed(pattern) == want and listed() == listed("*")


LISTING = """
import sys
from auricle.lobes import FRONTENDS, ENCODERS
for registry in (FRONTENDS, ENCODERS):
    for name in registry.names():
        assert registry.describe(name).summary
heavy = {"torch", "torchaudio", "speechbrain", "numpy", "matplotlib", "timm", "transformers"}
assert FRONTENDS.names() and ENCODERS.names()
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""


def test_listing_imports_nothing_heavy():
    subprocess.run([sys.executable, "-c", LISTING], check=True, timeout=60)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A package of lobes of its own, and a registry that scans it."""
    package = tmp_path / "lobe_folder_under_test"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "_private.py").write_text("raise RuntimeError('is not even read')")
    monkeypatch.syspath_prepend(tmp_path)
    yield package
    for name in [n for n in sys.modules if n.startswith(package.name)]:
        del sys.modules[name]


def scan(folder, group="auricle.no_such_group"):
    return Registry("frontend", folder.name, group)


def test_a_folder_is_listed_without_running_it(folder):
    (folder / "one.py").write_text(
        "raise SystemExit\n@x.register_frontend(name='one', paper='P')\nclass A:\n  'Line.\\n\\n'"
    )
    (folder / "another.py").write_text("@register_frontend('another')\nclass A: ...")
    registry = scan(folder)
    assert registry.names() == ["another", "one"]
    assert registry.describe("one").paper == "P"
    assert registry.describe("one").summary == "Line."
    assert registry.describe("one").cls is None


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("@register_frontend('other')\nclass A: ...", "registers 'other'.*file's name"),
        ("class A: ...", "lacks @register_frontend"),
        ("@register_encoder('bad')\nclass A: ...", "lacks @register_frontend"),
    ],
)
def test_a_library_file_that_breaks_the_rule_is_an_error_every_time(folder, source, says):
    (folder / "a_good.py").write_text("@register_frontend('a_good')\nclass A: ...")
    (folder / "bad.py").write_text(source)
    registry = scan(folder)
    for _ in range(2):  # not half a list the second time
        refused(says, registry.names, error=LobeError)


# -- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("registry", "typo", "meant"),
    [
        (FRONTENDS, "leav", "leaf"),
        (FRONTENDS, "wave_form", "waveform"),
        (ENCODERS, "linaer", "linear"),
    ],
)
def test_unknown_name_suggests_the_nearest_and_lists_all(registry, typo, meant):
    with pytest.raises(UnknownLobe) as caught:
        registry.get(typo)
    text = str(caught.value)
    assert f"no {registry.kind} is called {typo!r}; did you mean {meant!r}?" in text
    assert all(name in text for name in registry.names()) and "load_plugin" in text


def test_unknown_name_near_nothing_reads_as_sentences():
    refused("'qqqqqqq'. Known frontends: ", FRONTENDS.get, "qqqqqqq", error=UnknownLobe)
    assert nearest("qqqqqqq", ["leaf"]).strip(". ") == ""


@pytest.mark.parametrize("name", ["Leaf", "my-lobe", "1st", "", "my lobe"])
def test_a_name_is_lower_snake(name):
    refused("lower_snake", FRONTENDS.register, name, type("A", (), {}), error=LobeError)


def test_duplicates_raise_naming_both_origins(tmp_path):
    own = FRONTENDS.describe("leaf").origin
    path = plugin(tmp_path / "clash.py", name="leaf")
    with pytest.raises(DuplicateLobe) as caught:
        load_plugin(path)
    assert own in str(caught.value) and str(path) in str(caught.value)
    assert FRONTENDS.describe("leaf").origin == own
    assert FRONTENDS.get("leaf").__module__ == "auricle.lobes.frontends.leaf"


def test_a_frontend_and_an_encoder_may_have_one_name(tmp_path):
    load_plugin(plugin(tmp_path / "a.py", kind="frontend"))
    load_plugin(plugin(tmp_path / "b.py", kind="encoder"))
    assert "my_lobe" in FRONTENDS.names() and "my_lobe" in ENCODERS.names()


def test_a_file_that_is_run_again_replaces_its_own_lobe(tmp_path):
    """A notebook cell that defines a lobe is run more than once."""
    first = type("First", (), {"__doc__": "Old.", "__module__": __name__})
    second = type("Second", (), {"__doc__": "New.", "__module__": __name__})
    FRONTENDS.register("mine", first)
    FRONTENDS.register("mine", second)
    assert FRONTENDS.get("mine") is second and FRONTENDS.describe("mine").summary == "New."
    FRONTENDS.forget("mine")
    with pytest.raises(UnknownLobe):
        FRONTENDS.get("mine")


# -- plugin files --------------------------------------------------------------------------------


def test_plugin_is_listed_described_built_and_pickled(tmp_path):
    path = plugin(tmp_path / "my_file.py")
    assert load_plugin(path) == ["frontend my_lobe"]
    assert load_plugin(str(path)) == ["frontend my_lobe"], "twice does nothing"
    lobe = FRONTENDS.describe("my_lobe")
    assert lobe.origin == str(path) and lobe.summary == "One line about it."
    assert (lobe.paper, lobe.source) == ("A paper (2026)", "someone/code@1234567")
    built = build_frontend("my_lobe", 8000, {"my_lobe": {"width": 5}})
    assert (built.sample_rate, built.width) == (8000, 5)
    assert pickle.loads(pickle.dumps(built)).width == 5


def test_plugins_of_one_file_name_in_two_folders_do_not_collide(tmp_path):
    for index, folder in enumerate(("a", "b")):
        load_plugin(plugin(tmp_path / folder / "lobe.py", name=f"mine_{folder}", factor=index))
    import torch

    got = [build_frontend(f"mine_{f}")(torch.ones(1, 2)).sum().item() for f in ("a", "b")]
    assert got == [0.0, 2.0]


def test_plugin_path_may_be_relative_or_through_a_link(tmp_path, monkeypatch):
    path = plugin(tmp_path / "lobe.py")
    (tmp_path / "link.py").symlink_to(path)
    monkeypatch.chdir(tmp_path)
    assert load_plugin("lobe.py") == load_plugin("link.py") == ["frontend my_lobe"]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import no_such_module_at_all", "ModuleNotFoundError.*no_such_module_at_all"),
        ("def broken(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("", "registered no lobe.*@register_frontend"),
        ("x = 1", "registered no lobe"),
        (MY_LOBE + "\n1 / 0\n", "ZeroDivision"),
    ],
    ids=["import", "syntax", "error", "empty", "no-lobe", "error-after-registering"],
)
def test_broken_plugin_says_so_and_harms_nothing(tmp_path, source, says):
    path = tmp_path / "broken.py"
    path.write_text(source)
    before = FRONTENDS.names()
    modules = set(sys.modules)
    for _ in range(2):  # and it is no better the second time
        with pytest.raises(PluginError, match=says) as caught:
            load_plugin(path)
        assert str(path) in str(caught.value)
    assert FRONTENDS.names() == before
    assert not [m for m in set(sys.modules) - modules if m.startswith("auricle_plugin_")]


def test_plugin_can_be_mended_and_loaded_in_one_process(tmp_path):
    path = tmp_path / "mended.py"
    path.write_text("1 / 0")
    with pytest.raises(PluginError):
        load_plugin(path)
    assert load_plugin(plugin(path)) == ["frontend my_lobe"]


def test_missing_plugin_file(tmp_path):
    (tmp_path / "lobe.txt").write_text("")
    for path in (tmp_path / "none.py", tmp_path, tmp_path / "lobe.txt"):
        refused(f"Python file that exists, got {path}", load_plugin, path, error=PluginError)


# -- other packages, through entry points --------------------------------------------------------


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """Write an installed package (its metadata and a module) and look for entry points again."""

    def install(
        module=MY_LOBE, lobe="my_lobe", target="other_package:Mine", file="other_package.py"
    ):
        info = tmp_path / "other_package-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-package\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[auricle.frontends]\n{lobe} = {target}\n")
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(module)
        monkeypatch.syspath_prepend(tmp_path)
        for registry in REGISTRIES:
            registry._scan_entry_points()

    return install


def test_entry_point_is_listed_by_name_and_loaded_on_demand(distribution):
    distribution()
    assert "my_lobe" in FRONTENDS.names()
    assert FRONTENDS.describe("my_lobe").origin == "package other-package (other_package:Mine)"
    assert "other_package" not in sys.modules, "listing imports nothing of it"
    assert build_frontend("my_lobe", options={"my_lobe": {"width": 4}}).width == 4
    assert FRONTENDS.describe("my_lobe").paper == "A paper (2026)"


def test_entry_point_may_name_a_class_without_decorator(distribution):
    distribution("\n".join(line for line in MY_LOBE.split("\n") if not line.startswith("@")))
    assert build_frontend("my_lobe").width == 3
    assert FRONTENDS.get("my_lobe").registered_name == "my_lobe"


def test_entry_point_may_name_the_module(distribution):
    distribution(target="other_package")
    assert build_frontend("my_lobe").width == 3


def test_entry_point_may_name_a_class_that_a_submodule_defines(distribution, tmp_path):
    """`__init__.py` hands on what `lobe.py` defines: the usual shape of a package."""
    distribution(target="other_package_folder:Mine", file="other_package_folder/lobe.py")
    (tmp_path / "other_package_folder/__init__.py").write_text("from .lobe import Mine\n")
    assert build_frontend("my_lobe").width == 3


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("import no_such_module_at_all", "ModuleNotFoundError"),
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("x = 1", "AttributeError"),
        ("Mine = 1", "registered no frontend called 'my_lobe'"),
    ],
)
def test_broken_entry_point_is_listed_as_broken_and_harms_nothing(distribution, module, says):
    distribution(module)
    for _ in range(2):
        with pytest.raises(PluginError, match=f"my_lobe.*other-package.*broken.*{says}"):
            FRONTENDS.get("my_lobe")
    assert "my_lobe" in FRONTENDS.lobes and FRONTENDS.describe("my_lobe").error
    assert "my_lobe" not in FRONTENDS.names()
    assert build_frontend("waveform").num_features == 1


def test_entry_point_that_clashes_with_the_library_is_broken_and_the_library_stays(distribution):
    own = FRONTENDS.describe("waveform").origin
    module = PLUGIN.format(name="waveform", kind="frontend", factor=1)
    distribution(module, lobe="waveform")
    clash = FRONTENDS.describe("waveform@other-package")
    assert "taken by" in clash.error and own in clash.error and "other-package" in clash.origin
    assert "waveform@other-package" not in FRONTENDS.names()
    assert FRONTENDS.describe("waveform").origin == own
    assert build_frontend("waveform").hop == 1
    refused("taken by", FRONTENDS.get, "waveform@other-package", error=PluginError)


def test_plugin_that_clashes_with_an_entry_point_names_both(distribution, tmp_path):
    distribution()
    with pytest.raises(DuplicateLobe, match=r"package other-package.*mine\.py"):
        load_plugin(plugin(tmp_path / "mine.py"))


ELSEWHERE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from auricle.lobes import FRONTENDS
listed = {name: lobe.origin for name, lobe in FRONTENDS.lobes.items()}
print(json.dumps({"listed": listed, "torch": "torch" in sys.modules}))
"""


def test_a_fresh_process_lists_an_installed_package_without_importing_it(distribution, tmp_path):
    distribution("import torch\n1 / 0\n")
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    seen = json.loads(done.stdout)
    assert seen["listed"]["my_lobe"] == "package other-package (other_package:Mine)"
    assert "leaf" in seen["listed"] and not seen["torch"]
