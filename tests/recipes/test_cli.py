"""The command `auricle`: what it prints, how it ends, and that wrong input never is a traceback."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from prediction import predicts_past_bad_files
from random_bundle import random_bundle
from run_results import run_result

from auricle.lobes import ENCODERS, FRONTENDS, promises
from auricle.lobes.bundles import bundle as pretrained
from auricle.lobes.promises import FRONTEND_PROMISES, check
from auricle.processing.data import mini
from auricle.recipes import cli

LABELS = ["down", "left", "right"]
PLUGIN = '''
import torch
from auricle.lobes import register_frontend
from auricle.lobes.contracts import Frontend

@register_frontend("{name}", paper="Nobody, 2026", source="nobody/nothing@0")
class Louder(Frontend):
    """Forgets about padding."""
    def __init__(self, sample_rate=16000, gain=1.0, hop_ms=10.0):
        hop = int(sample_rate * hop_ms / 1000)
        super().__init__(sample_rate, hop, hop, 1)
        self.gain = torch.nn.Parameter(torch.tensor(float(gain)))
    def forward(self, wavs, lengths=None):
        wavs = torch.nn.functional.pad(wavs, (0, -wavs.shape[1] % self.hop))
        frames = wavs.unfold(1, self.hop, self.hop)
        return self.gain * frames.square().mean(-1, keepdim=True)
'''


@pytest.fixture
def plugin(tmp_path):
    """A file with a frontend that breaks promises; forgotten afterwards."""
    name = "louder"
    path = tmp_path / "my_louder.py"
    path.write_text(PLUGIN.format(name=name))
    yield path
    FRONTENDS.forget(name)


def noise(path, seconds, rate=16000, channels=1, seed=0):
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, (round(seconds * rate), channels))
    soundfile.write(path, samples, rate)
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A small untrained model; what it says is arbitrary and always the same."""
    return random_bundle(
        tmp_path_factory.mktemp("bundle"),
        labels=LABELS,
        clip_s=0.5,
        frontend_options={"num_features": 8},
    )


# -- list, describe ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["frontends", "encoders"])
def test_listing_imports_nothing_heavy(kind):
    code = (
        "import sys; from auricle.recipes.cli import main; status = main(sys.argv[1:]);"
        "print([name for name in ('torch', 'numpy', 'speechbrain') if name in sys.modules], status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "list", kind], capture_output=True, text=True, check=True
    )
    *lobes, last = done.stdout.splitlines()
    assert last == "[] 0"
    registry = {"frontends": FRONTENDS, "encoders": ENCODERS}[kind]
    assert {line.split()[0] for line in lobes} >= set(registry.names()) - {"louder"}


def test_list_gives_a_line_each_and_json(auricle):
    text = auricle.output("list", "frontends")
    width = max(map(len, FRONTENDS.lobes))
    line = f"{'mel':<{width}}  Fixed log-mel filterbank: nothing is learned."
    assert line in text.splitlines()
    lobes = auricle.json("list", "encoders")
    assert [lobe["name"] for lobe in lobes] == list(ENCODERS.lobes)
    for lobe in lobes:
        assert lobe["summary"] and lobe["origin"].endswith(f"{lobe['name']}.py")
        assert not lobe["error"]


def test_a_broken_entry_point_is_listed_as_broken(auricle, monkeypatch):
    from auricle.lobes.registry import Lobe

    FRONTENDS.names()
    broken = Lobe("torn", "package torn (torn.torn)", error="ImportError: no module torn")
    monkeypatch.setitem(FRONTENDS._lobes, "torn", broken)
    text = auricle.output("list", "frontends")
    (line,) = [line for line in text.splitlines() if line.startswith("torn ")]
    assert line.split(maxsplit=1)[1] == "BROKEN: ImportError: no module torn"
    assert auricle("describe", "mel")[0] == 0
    error = auricle.refusal("describe", "torn")
    assert "package torn" in error and "is broken: ImportError" in error


def test_describe_prints_options_sizes_and_origin(auricle):
    text = auricle.output("describe", "mel")
    for expected in (
        "mel (frontend): Fixed log-mel filterbank",
        "torchaudio.transforms.MelSpectrogram",
        "    num_features = 40\n",
        "--frontend_options.mel.num_features VALUE",
        "    trainable_parameters: 0\n",
        "    frames_per_second: 101\n",
    ):
        assert expected in text


@pytest.mark.long
@pytest.mark.parametrize("name", [*FRONTENDS.names(), *ENCODERS.names()])
def test_describe_works_for_every_lobe(auricle, name):
    facts = auricle.json("describe", name)
    assert facts["name"] == name and facts["summary"]
    assert not {"self", "sample_rate", "in_features", "in_frames"} & set(facts["options"])
    assert facts["built_with_defaults"]["trainable_parameters"] >= 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["describe", "lef"], "'leaf'?"),
        (["check", "encoder", "linnear"], "'linear'?"),
        (["check", "frontend", "linear"], "'linear'"),
        (["check", "frontend", "mel", "--options", '{"num_feature": 3}'], "'num_features'?"),
        (["check", "frontend", "mel", "--options", "{"], "--options"),
        (["list", "frontend"], "frontends"),
        (["list", "frontends", "--js"], "--js"),
        (["list", "frontends", "--plugin", "nowhere.py"], "nowhere.py"),
        (["fly"], "invalid choice: 'fly'"),
        ([], "COMMAND"),
    ],
)
def test_wrong_input_ends_with_status_2(auricle, words, expected):
    assert expected in auricle.refusal(*words)


# -- check -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_check_of_a_broken_plugin_fails_and_says_why(auricle, plugin, monkeypatch):
    # Printed in two ways, checked once.
    monkeypatch.setattr(
        promises, "check", lambda *words, done=[]: done or done.extend(check(*words)) or done
    )
    status, text, _ = auricle("check", "frontend", "louder", "--plugin", plugin, "--json")
    results = json.loads(text)
    assert status == 1 and [result["name"] for result in results] == list(FRONTEND_PROMISES)
    broken = {result["name"]: result["detail"] for result in results if not result["passed"]}
    assert "padding" in broken and "mask_padding" in broken["padding"]
    assert "shapes" not in broken

    status, text, _ = auricle("check", "frontend", "louder", "--plugin", plugin)
    lines = text.splitlines()
    assert status == 1 and sum(line.startswith("BROKEN") for line in lines) == len(broken)
    kept = len(results) - len(broken)
    assert lines[-1] == f"frontend louder: {kept} of {len(results)} promises kept"


def test_check_hands_the_options_to_the_lobe(auricle, plugin):
    """A hop of 0 samples cannot be built, so the option has arrived."""
    words = ["check", "frontend", "louder", "--plugin", plugin]
    assert "hop" in auricle.refusal(*words, "--options", '{"hop_ms": 0}')


@pytest.mark.slow
def test_check_of_a_good_lobe_ends_well(auricle):
    text = auricle.output("check", "frontend", "waveform", "--json")
    assert all(result["passed"] for result in json.loads(text))


def test_describe_of_a_plugin(auricle, plugin):
    facts = auricle.json("describe", "louder", "--plugin", plugin)
    assert facts["origin"] == str(plugin) and facts["paper"] == "Nobody, 2026"
    assert facts["options"] == {"gain": 1.0, "hop_ms": 10.0}
    assert facts["built_with_defaults"]["hop"] == 160


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("raise RuntimeError('boom')", "RuntimeError: boom"),
        ("def (", "SyntaxError"),
        ("x = 1", "registered no lobe"),
        (PLUGIN.format(name="mel"), "'mel'"),
        (PLUGIN.format(name="My-Lobe"), "lower_snake"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_named(auricle, tmp_path, content, expected):
    path = tmp_path / "bad.py"
    path.write_text(content)
    error = auricle.refusal("list", "frontends", "--plugin", path)
    assert expected in error
    assert str(path) in error or "My-Lobe" in error
    assert FRONTENDS.describe("mel").origin.endswith("mel.py")


# -- mini --------------------------------------------------------------------------------------------


def test_mini_leaves_a_folder_that_holds_something_alone(auricle, tmp_path):
    (tmp_path / "thesis.txt").write_text("only copy")
    assert str(tmp_path) in auricle.refusal("mini", "speech_commands", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["speech_command"], "speech_commands"),
        (["speech_commands", "--size", "huge"], "tiny, small"),
        (["speech_commands", "--seed", "-1"], "seed is -1"),
    ],
)
def test_mini_names_what_there_is(auricle, tmp_path, words, expected):
    assert expected in auricle.refusal("mini", words[0], tmp_path / "new", *words[1:])
    assert not (tmp_path / "new").exists()


# -- predict -----------------------------------------------------------------------------------------


def test_predict_labels_files_of_any_rate_channels_and_length(auricle, bundle, tmp_path):
    files = [
        noise(tmp_path / "exact.wav", 0.5),
        noise(tmp_path / "short.flac", 0.2),
        noise(tmp_path / "long stereo.wav", 1.3, rate=44100, channels=2),
    ]
    text = auricle.output("predict", bundle, *files)
    rows = [line.split("\t") for line in text.splitlines()]
    assert [row[0] for row in rows] == [str(file) for file in files]
    lines = auricle.output("predict", bundle, *files, "--json").splitlines()
    objects = [json.loads(line) for line in lines]
    for row, found in zip(rows, objects, strict=True):
        assert row[1:] == [found["label"], f"{found['probability']:.3f}"]
        assert found["label"] in LABELS and 1 / 3 <= found["probability"] <= 1

    wav = torch.from_numpy(soundfile.read(files[0], dtype="float32")[0])
    probabilities = pretrained.load(bundle)(wav[None]).exp()[0]
    assert objects[0]["label"] == LABELS[int(probabilities.argmax())]
    assert objects[0]["probability"] == pytest.approx(probabilities.max().item(), abs=1e-6)


def test_predict_goes_on_after_a_bad_file(auricle, bundle, tmp_path):
    good = [noise(tmp_path / f"{i}.wav", 0.5, seed=i) for i in range(2)]
    predicts_past_bad_files(auricle, bundle, good)


def test_predict_with_something_that_is_no_bundle(auricle, bundle, tmp_path):
    file = noise(tmp_path / "x.wav", 0.5)
    assert "bundle.json" in auricle.refusal("predict", tmp_path, file)
    status, _, error = auricle("predict", file, file)
    assert status == 2 and "is no bundle" in error
    weights = (bundle / "model.safetensors").read_bytes()
    description = json.loads((bundle / "bundle.json").read_text())
    for content, cut, expected in (
        ({**description, "frontend": {"name": "louder", "options": {}}}, 0, "--plugin FILE.py"),
        ({**description, "labels": LABELS[:2]}, 0, "classifier.linear.bias: (3,)"),
        ({**description, "format": 99}, 0, "bundle format 99"),
        ({"format": 1}, 0, "is damaged"),
        (description, 100, "model.safetensors is damaged"),
    ):
        (tmp_path / "bundle.json").write_text(json.dumps(content))
        (tmp_path / "model.safetensors").write_bytes(weights[: len(weights) - cut])
        assert expected in auricle.refusal("predict", tmp_path, file)


# -- table -------------------------------------------------------------------------------------------


def result(folder, seed, protocol="v2-12-official", accuracy=0.5):
    score = {"accuracy": accuracy, "macro_f1": accuracy, "n": 100}
    interval = {key: [accuracy - 0.1, accuracy + 0.1] for key in ("accuracy", "macro_f1")}
    test = {**score, "interval": {**interval, "unit": "utterance"}}
    made = run_result(
        protocol={"name": protocol, "split": "lists"},
        frontend="mel",
        encoder="linear",
        seed=seed,
        metrics={"valid": {"epoch": 1, **score}, "test": test},
    )
    made.write(folder / protocol / f"seed_{seed}")


def test_table_of_folders_keeps_protocols_apart(auricle, tmp_path):
    for seed in (1, 2):
        result(tmp_path / "a", seed, accuracy=0.5 + 0.1 * seed)
    result(tmp_path / "b", 1, protocol="v2-35")
    text = auricle.output("table", tmp_path / "a", tmp_path / "b")
    assert text.count("\n| `mel` | `linear` |") == 2
    assert text.count("### ") == 2 and "v2-35" in text and "v2-12-official" in text
    assert "| 65.0 ± " in text


def test_table_in_a_readme_is_written_and_checked(auricle, tmp_path):
    result(tmp_path / "a", 1)
    readme = tmp_path / "README.md"
    readme.write_text("# x\n<!-- results:begin -->\n<!-- results:end -->\nlast\n")
    words = ["table", tmp_path / "a", "--readme", readme]
    before = readme.read_text()
    status, text, error = auricle(*words, "--check")
    assert status != 0 and readme.read_text() == before
    assert auricle(*words)[:2] == (0, f"{readme}: updated\n")
    assert "| `mel` | `linear` |" in readme.read_text() and readme.read_text().endswith("last\n")
    assert auricle(*words, "--check")[:2] == (0, f"{readme}: up to date\n")


def test_table_without_results_or_readme(auricle, tmp_path):
    error = auricle.refusal("table", tmp_path, tmp_path / "nowhere")
    assert "no results.json" in error and "nowhere" in error
    result(tmp_path, 1)
    assert "--readme FILE" in auricle.refusal("table", tmp_path, "--check")


def test_table_takes_columns_and_a_bench(auricle, tmp_path):
    result(tmp_path / "1", 1)
    bench = {"frontend": "mel", "options": {}, "forward": 5.06, "forward_backward": 13.29}
    (tmp_path / "bench.json").write_text(json.dumps({"reference": "mel", "rows": [bench]}))
    words = ["table", tmp_path / "1", "--bench", tmp_path / "bench.json"]
    text = auricle.output(*words, "--columns", "accuracy, forward")
    assert "| frontend | encoder | accuracy (%) | forward / `mel` |" in text
    assert "| 5.1 |" in text and "13.3" not in text
    assert "no number 'accuracies'" in auricle.refusal(*words, "--columns", "accuracies")
    (tmp_path / "bench.json").write_text("{}")
    assert "bench.json" in auricle.refusal(*words)


# -- the installed command ---------------------------------------------------------------------------


def test_the_console_script_is_this_command(tmp_path):
    script = os.path.join(os.path.dirname(sys.executable), "auricle")
    done = subprocess.run(
        [script, "list", "frontends"], cwd=tmp_path, capture_output=True, text=True
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("mel ")]
    assert done.returncode == 0 and line.split()[1:3] == ["Fixed", "log-mel"]
    done = subprocess.run([script, "describe", "lef"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("auricle: ")


def test_a_closed_pipe_is_no_error(tmp_path):
    done = subprocess.run(
        f"{sys.executable} -m auricle.recipes.cli list frontends | true",
        shell=True,
        executable="/bin/bash",
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert not done.stderr


def test_a_closed_output_is_an_error_and_no_traceback(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", None)
    assert cli.main(["list", "frontends"]) == 2
    assert "standard output" in capsys.readouterr().err


def test_a_cache_that_cannot_be_written_is_named_with_the_remedy(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AURICLE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(OSError, match="cache .*file/cache.*AURICLE_CACHE"):
        mini.cached_mini("speech_commands")
