"""What the documents show is executed: the worked example, marked blocks, docstring examples, paths.

A fenced block of CONTRIBUTING.md or README.md is executed when its info string says so:

    ```sh test            run by bash (stops at the first error)
    ```python test        run by python
    ```python file=NAME   written to the file NAME (any language)

The blocks of one document run from top to bottom in one temporary folder, those of README.md in
what looks like a fresh clone, those of CONTRIBUTING.md in a folder beside that clone (`../auricle`).
Blocks without a mark are only shown; of README.md, their commands are checked without running them.
"""

import ast
import configparser
import dataclasses
import doctest
import hashlib
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from auricle.hparams.loader import ConfigError, load_hparams
from auricle.lobes import ENCODERS, FRONTENDS
from auricle.recipes import cli
from auricle.recipes.training.lobe_checks import lobe_problems

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "CONTRIBUTING.md", ROOT / "README.md"]
SOURCES = ("lobes", "processing", "recipes", "hparams")
FENCE = re.compile(r"^```(\w+) *([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BUNDLE = "results/speech_commands/my_frontend_linear/seed_1/bundle"


@dataclasses.dataclass
class Block:
    """A fenced block: its language, the rest of its info string, its text."""

    language: str
    mark: str
    text: str

    @property
    def file(self) -> str:
        return self.mark.removeprefix("file=") if self.mark.startswith("file=") else ""

    @property
    def runs(self) -> bool:
        return self.mark == "test"


def blocks_of(document: Path) -> list[Block]:
    return [Block(*found) for found in FENCE.findall(document.read_text(encoding="utf-8"))]


def environment(**more) -> dict:
    """As in an activated environment: `python` and `auricle` are those of this interpreter."""
    scripts = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": scripts + os.pathsep + os.environ["PATH"],
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }


def run(command: list[str], folder: Path, text: str | None = None, **more) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(
        command, cwd=folder, input=text, env=environment(**more), capture_output=True, text=True
    )
    shown = text or " ".join(command)
    assert done.returncode == 0, f"exit {done.returncode} of\n{shown}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run_blocks(document: Path, tmp: Path, cache: Path) -> tuple[Path, list[str]]:
    """Execute a document; the folder it ran in and the output of each block."""
    clone = tmp / "auricle"
    clone.mkdir()
    for entry in ROOT.iterdir():
        if not entry.name.startswith(".") and entry.name not in ("results", "build", "dist"):
            (clone / entry.name).symlink_to(entry)
    folder = clone if document.name == "README.md" else tmp / "my_lobes"
    folder.mkdir(exist_ok=True)
    outputs = []
    for block in blocks_of(document):
        if block.file:
            (folder / block.file).write_text(block.text, encoding="utf-8")
        elif block.runs:
            command = {"sh": ["bash", "-euo", "pipefail", "-s"], "python": ["python", "-"]}
            more = {"AURICLE_CACHE": str(cache)}
            outputs.append(run(command[block.language], folder, block.text, **more))
    return folder, outputs


def digest_of_sources() -> str:
    digest = hashlib.sha256()
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()


# -- the worked example ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def example(tmp_path_factory, shared_cache, mini_folder):
    """CONTRIBUTING.md, executed once: folder, outputs, digest of the library before and after."""
    before = digest_of_sources()
    tmp = tmp_path_factory.mktemp("contributing")
    # `auricle mini` leaves alone what it has written before: here, for another test.
    shutil.copytree(mini_folder, tmp / "my_lobes" / "clips")
    folder, outputs = run_blocks(DOCUMENTS[0], tmp, shared_cache)
    return folder, outputs, (before, digest_of_sources())


@pytest.mark.long
def test_the_worked_example_is_checked_trained_saved_and_used(example):
    folder, outputs, (before, after) = example
    checked, trained, predicted, in_python = outputs[:4]
    kept = re.search(r"frontend my_frontend: (\d+) of (\d+) promises kept", checked)
    assert kept and kept[1] == kept[2] and int(kept[1]) > 10
    assert "Test accuracy" in trained and "synthetic mini corpus" in trained
    assert {path.name for path in (folder / BUNDLE).iterdir()} == {
        "README.md",
        "bundle.json",
        "model.safetensors",
        "hyperparams.yaml",
    }
    assert (folder / BUNDLE).with_name("learned_filters.png").is_file()
    lines = [line.split("\t") for line in predicted.splitlines()]
    labels = {"_silence_", "_unknown_", "yes", "no", "up", "down", "left", "right", "on", "off"}
    labels |= {"stop", "go"}
    assert len(lines) == len(list((folder / "clips/yes").glob("*.wav"))) > 1
    for file, label, probability in lines:
        assert Path(folder, file).is_file() and label in labels and 0 < float(probability) <= 1
    file, label, probability = lines[0]
    assert in_python == f"{file}: {label} ({float(probability):.2f})\n"
    assert before == after, "the example changed the library"
    assert not folder.resolve().is_relative_to(ROOT)


COMPARE = f"""
import sys, torch
from pathlib import Path
from auricle.hparams.loader import load_hparams
from auricle.lobes import bundles
from auricle.lobes.heads import build_head

folder = Path({BUNDLE!r})
config = load_hparams(sys.argv[1:], "speech_commands")
model = config.build()["model"]
model.classifier = build_head("classifier", model.embedding_model.out_features, 12)
untrained = {{key: value.clone() for key, value in model.state_dict().items()}}
weights = next((folder.parent / "checkpoints").glob("CKPT*/model.ckpt"))
model.load_state_dict(torch.load(weights, weights_only=True))
model.eval()
moved = [key for key, value in model.state_dict().items() if not value.equal(untrained[key])]
assert "compute_features.centre" in moved and "compute_features.width" in moved, moved

wavs = 0.1 * torch.randn(3, 16000, generator=torch.Generator().manual_seed(0))
lengths = torch.tensor([1.0, 0.7, 0.4])
assert model.compute_features(wavs, lengths).shape == (3, 101, 32)
want = model(wavs, lengths)
print((bundles.load(folder)(wavs, lengths) - want).abs().max().item())
"""


@pytest.mark.long
def test_the_loaded_bundle_gives_the_output_of_the_trained_model(example):
    """The trained model is rebuilt from the YAML and the checkpoint, without the bundle."""
    folder, _, _ = example
    arguments = re.search(r"train\.py [^\n]*\n((?: +--[^\n]*\n)+)", DOCUMENTS[0].read_text())[1]
    words = arguments.replace("\\\n", " ").split()
    words = [word for word in words if word not in ("--device", "cpu")]
    off = run(["python", "-c", COMPARE, *words], folder)
    assert float(off) <= 1e-6


@pytest.mark.long
def test_the_entry_point_of_the_document_adds_the_lobe(example, tmp_path):
    """An installed package is its folder and a dist-info; pip is not needed to make one."""
    folder, _, _ = example
    setup = configparser.ConfigParser()
    setup.read(folder / "setup.cfg")
    groups = setup["options.entry_points"]
    assert set(groups) == {"auricle.frontends", "auricle.encoders", "auricle.recipes"}
    package, info = tmp_path / "my_package", tmp_path / "my_package-1.0.dist-info"
    package.mkdir()
    info.mkdir()
    (package / "__init__.py").touch()
    for name in ("my_frontend.py", "floors.py", "floors.yaml"):
        (package / name).write_text((folder / name).read_text())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    points = "".join(f"[{group}]{text}\n" for group, text in groups.items())
    (info / "entry_points.txt").write_text(points)

    path = {"PYTHONPATH": str(tmp_path)}
    listed = json.loads(run(["auricle", "list", "frontends", "--json"], tmp_path, **path))
    mine = [lobe for lobe in listed if lobe["name"] == "my_frontend"]
    assert [lobe["origin"] for lobe in mine] == ["package my-package (my_package.my_frontend)"]
    described = run(["auricle", "describe", "my_frontend"], tmp_path, **path)
    assert "Log energies of Gaussian filters" in described
    assert str(package / "my_frontend.py") in described
    listed = json.loads(run(["auricle", "list", "recipes", "--json"], tmp_path, **path))
    assert [recipe["name"] for recipe in listed if "my-package" in recipe["origin"]] == ["floors"]
    helped = run(["auricle", "train", "floors", "--help"], tmp_path, **path)
    assert "usage: auricle train floors" in helped and "  early_stopping_epochs: 0" in helped


@pytest.mark.long
def test_nets_of_others_keep_every_promise(example):
    _, outputs, _ = example
    kept = re.findall(r"encoder (\w+): (\d+) of (\d+) promises kept", outputs[4])
    assert [name for name, *_ in kept] == ["deep_speech", "audio_conformer"]
    assert all(count == total for _, count, total in kept)


@pytest.mark.long
def test_without_its_mask_a_net_is_told_what_to_do(example, tmp_path):
    folder, _, _ = example
    lines = (
        (folder / "my_encoders.py").read_text().replace("(self.net, counts,", "(self.net, None,")
    )
    (tmp_path / "my_encoders.py").write_text(lines)
    code = """
from auricle.lobes import load_plugin
from auricle.lobes.promises import subject_of
from auricle.lobes.promises.subject import BrokenPromise, ENCODER_PROMISES
load_plugin("my_encoders.py")
try:
    ENCODER_PROMISES["padding"](subject_of("encoder", "audio_conformer"))
except BrokenPromise as broken:
    print(broken)
"""
    told = run(["python", "-c", code], tmp_path)
    assert "per_item or masked_inside" in told and "padded with noise against zeros" in told


@pytest.mark.long
def test_the_data_set_of_the_document_trains_and_its_bundle_answers(example):
    folder, outputs, _ = example
    made = folder / "results/floors/leaf_small_cnn/seed_1"
    (predicted,) = [line for line in outputs[6].splitlines() if line.startswith("steps/")]
    file, label, probability = predicted.split("\t")
    assert label in ("oak", "tiles", "gravel") and 1 / 3 < float(probability) <= 1
    result = json.loads((made / "results.json").read_text())
    assert result["dataset"] == "floors" and result["counts"] == dict(train=48, valid=24, test=24)
    assert result["options"] == {"frontend_options": {"num_features": 16}}
    assert result["metrics"]["test"]["accuracy"] > 0.5 and (made / "bundle/bundle.json").is_file()


def test_the_data_set_of_the_document_is_short():
    blocks = {block.file: block.text for block in blocks_of(DOCUMENTS[0])}
    assert all(len(blocks[name].splitlines()) <= 45 for name in ("floors.py", "floors.yaml"))


def test_contributing_marks_what_the_worked_example_needs():
    marked = [block for block in blocks_of(DOCUMENTS[0]) if block.mark]
    assert [block.file or block.language for block in marked] == [
        "my_frontend.py",
        "sh",
        "sh",
        "sh",
        "python",
        "my_encoders.py",
        "sh",
        "python",
        "floors.py",
        "floors.yaml",
        "sh",
        "setup.cfg",
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_mark_is_one_of_the_three(document):
    """A mistyped mark would turn a tested block into a shown one."""
    text = document.read_text(encoding="utf-8")
    assert text.count("```") % 2 == 0
    opened = re.findall(r"^```(.*)$", text, re.MULTILINE)[::2]
    wrong = [line for line in opened if not re.fullmatch(r"\w+( test| file=[\w.]+)?", line)]
    assert not wrong


def test_the_plugin_of_the_worked_example_is_short():
    """A stranger reads it in a minute: at most 60 lines of code."""
    tree = ast.parse(blocks_of(DOCUMENTS[0])[0].text)
    lines = set()
    for node in ast.walk(tree):
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, (ast.stmt, ast.arg)) and not docstring:
            ends = node.lineno if hasattr(node, "body") else node.end_lineno
            lines.update(range(node.lineno, ends + 1))
    assert 20 < len(lines) <= 60


# -- the README ------------------------------------------------------------------------------------


def shown_commands(document: Path) -> list[list[str]]:
    """The words of every command in the sh blocks of a document, marked or not."""
    blocks = [block.text for block in blocks_of(document) if block.language == "sh"]
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def problems_of(command: list[str]) -> list[str]:
    """What a command that is only shown would be refused for; nothing is run."""
    if command[0] == "make":
        targets = re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return [f"no target {word}" for word in command[1:] if word not in targets]
    if command[0] == "auricle":
        try:
            arguments = cli._parser().parse_args(command[1:])
        except SystemExit:
            return ["refused by auricle"]
        if getattr(arguments, "kind", "") in ("labels", "leakage"):
            return []  # a folder, and no lobe
        named = arguments.name if command[1] in ("describe", "check") else "leaf"
        return [] if named in (*FRONTENDS.names(), *ENCODERS.names()) else [f"no lobe {named}"]
    scripts = [number for number, word in enumerate(command) if word.endswith("/train.py")]
    if not scripts:
        return []
    recipe = Path(command[scripts[0]]).parent.name
    words = [word for word in command[scripts[0] + 1 :] if word not in ("...", "--help")]
    words = [str(ROOT / word) if word.startswith("hparams/") else word for word in words]
    try:
        load_hparams(words, recipe, [lobe_problems])
    except ConfigError as error:
        return error.problems
    return []


@pytest.mark.slow
def test_commands_shown_in_the_readme_are_valid():
    commands = shown_commands(DOCUMENTS[1])
    kinds = {words[0] for words in commands}
    assert {"make", "auricle", "python"} <= kinds and len(commands) > 5
    assert [(words, found) for words in commands if (found := problems_of(words))] == []


@pytest.mark.parametrize(
    "command",
    [
        "make demoo",
        "auricle lst frontends",
        "auricle describe lef",
        "python recipes/speech_commands/train.py --frontent leaf",
        "torchrun --nproc_per_node=2 recipes/speech_commands/train.py hparams/speech.yaml",
    ],
)
def test_a_wrong_command_would_be_seen(command):
    assert problems_of(command.split())


@pytest.mark.long
def test_marked_blocks_of_the_readme_run(tmp_path, shared_cache):
    _, outputs = run_blocks(DOCUMENTS[1], tmp_path, shared_cache)
    assert len(outputs) == sum(block.runs for block in blocks_of(DOCUMENTS[1]))
    assert all(outputs), "a block that prints nothing shows nothing"


# -- paths -----------------------------------------------------------------------------------------


def headings(document: Path) -> set[str]:
    """Anchors as GitHub makes them."""
    text = FENCE.sub("", document.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def named_paths(document: Path) -> set[str]:
    """Links, and whatever in backquotes or commands starts like a path of the repository."""
    text = document.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    tops = "|".join(("lobes", "processing", "recipes", "hparams", "tests"))
    names = re.findall(rf"(?<![\w/])(?:\.\./auricle/)?((?:{tops})/[\w./]*[\w/])", text)
    return {link for link in links if "://" not in link} | set(names)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_paths_lead_somewhere(document):
    missing = []
    for name in sorted(named_paths(document)):
        path, _, anchor = name.partition("#")
        target = ROOT / path if path else document
        if not target.exists() or (anchor and anchor not in headings(target)):
            missing.append(name)
    assert not missing


def test_paths_are_found_in_links_commands_and_backquotes(tmp_path):
    document = tmp_path / "x.md"
    document.write_text(
        "# A `b`: c\n[x](setup.cfg) `tests/docs` ../auricle/recipes/x/train.py [y](#a-b-c)"
        " [z](https://example.org/) my/lobes/x\n"
    )
    assert named_paths(document) == {"setup.cfg", "tests/docs", "recipes/x/train.py", "#a-b-c"}
    assert headings(document) == {"a-b-c"}


def test_links_of_the_readme_lead_somewhere_where_the_package_is_read():
    """An index of packages shows the README without the repository: a path is text there, no link."""
    links = re.findall(r"\]\(([^)\s]+)\)", DOCUMENTS[1].read_text(encoding="utf-8"))
    assert links and [link for link in links if not re.match("https://|#", link)] == []


def test_links_of_contributing_are_not_few():
    assert len(named_paths(DOCUMENTS[0])) > 10


# -- docstring examples ----------------------------------------------------------------------------


def modules_with_examples() -> list[str]:
    """By their `auricle.` names: `pytest --doctest-modules` would import `lobes.build`."""
    names = []
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if ">>>" in path.read_text(encoding="utf-8"):
                parts = path.relative_to(ROOT).with_suffix("").parts
                names.append(".".join(("auricle", *parts)).removesuffix(".__init__"))
    return names


@pytest.mark.slow
@pytest.mark.parametrize("name", modules_with_examples())
def test_docstring_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AURICLE_CACHE", str(tmp_path))
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
