"""`auricle export`: what it refuses before and after the work, and commands on an exported file."""

import json

import numpy as np
import pytest
import soundfile
from onnx_models import DESCRIPTION, RECORD, mean_model, write_model
from random_bundle import random_bundle

from auricle.lobes.export.record import ExportError
from auricle.recipes.cli import main
from auricle.recipes.inference import export as exporting

#: Classes by the sign of their samples, which `mean_model` tells apart.
LEVELS = {"low": -0.5, "high": 0.5}


@pytest.fixture
def sounds(tmp_path):
    for label, level in LEVELS.items():
        (tmp_path / "sounds" / label).mkdir(parents=True)
        for number in range(3):
            wav = np.full(900 + number, level, np.float32)
            soundfile.write(tmp_path / "sounds" / label / f"{number}.wav", wav, 8000)
    return tmp_path / "sounds"


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """A bundle whose export is `mean_model`, at once; its weight is what a test puts there."""
    weights = [[[-1.0, 1.0]]]

    def exported_bytes(bundle, format, output, calibration=None, batches=None):
        record = {"description": bundle.description, "int8": batches is not None}
        weight = weights[-1] if batches is not None else weights[0]
        model = mean_model(weight=weight, **record)
        return model.SerializeToString(), {**RECORD, **record, "opset": 20}

    monkeypatch.setattr(exporting, "exported_bytes", exported_bytes)
    about = {"clip_s": 0.1, "sample_rate": 8000, "labels": tuple(LEVELS)}
    return random_bundle(tmp_path / "bundle", **about), weights


def test_a_file_of_the_user_is_never_replaced(bundle, tmp_path, capsys):
    folder, _ = bundle
    for name, data in {"m.onnx": b"mine", "m.ts": b"mine", "m.pt2": b"PK mine"}.items():
        (tmp_path / name).write_bytes(data)
        assert main(["export", str(folder), str(tmp_path / name)]) == 2
        assert "not exported by auricle" in capsys.readouterr().err
        assert (tmp_path / name).read_bytes() == data
    (tmp_path / "link.onnx").symlink_to(write_model(tmp_path / "export.onnx"))
    (tmp_path / "folder.onnx").mkdir()
    for name in ("link.onnx", "folder.onnx", "nowhere/m.onnx"):
        assert main(["export", str(folder), str(tmp_path / name)]) == 2


def test_an_earlier_export_is_replaced(bundle, tmp_path, capsys):
    folder, _ = bundle
    path = write_model(tmp_path / "m.onnx")
    assert main(["export", str(folder), str(path), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["bytes"] == path.stat().st_size and record["output"] == "scores"
    assert record["description"]["weights_sha256"]


def test_nothing_is_written_where_exporting_fails(bundle, tmp_path, monkeypatch, capsys):
    folder, _ = bundle

    def refuse(*arguments):
        raise ExportError("the file and the model differ")

    monkeypatch.setattr(exporting, "exported_bytes", refuse)
    assert main(["export", str(folder), str(tmp_path / "m.onnx")]) == 2
    assert "differ" in capsys.readouterr().err and not [*tmp_path.glob("m.onnx*")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["m.bin"], ".onnx or .ts"),
        (["m.onnx", "--format", "pt2"], ".pt2, got '.onnx'"),
        (["m.onnx", "--int8"], "belong together"),
        (["m.onnx", "--check", "sounds"], "belong together"),
        (["m.onnx", "--max-loss", "-1"], "0 or more"),
        (["m.pt2", "--int8", "--check", "sounds", "--calibration", "sounds"], "for .onnx files"),
        (
            "m.onnx --int8 --check sounds --calibration sounds --output frames".split(),
            "reads scores",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(
    bundle, sounds, tmp_path, monkeypatch, capsys, words, message
):
    monkeypatch.chdir(tmp_path)
    try:
        assert main(["export", "bundle", *words]) == 2
    except SystemExit as end:
        assert end.code == 2
    assert message in capsys.readouterr().err


def test_8_bits_that_lose_too_much_are_refused(bundle, sounds, tmp_path, capsys):
    folder, weights = bundle
    weights.append([[1.0, -1.0]])  # every answer is wrong
    out, data = tmp_path / "m.onnx", str(sounds)
    words = ["export", str(folder), str(out), "--int8", "--calibration", data, "--check", data]
    assert main([*words, "--max-loss", "0.4"]) == 2
    assert "accuracy goes from" in capsys.readouterr().err and not out.exists()
    assert main([*words, "--max-loss", "0.6"]) == 0
    assert "0.0000 after" in capsys.readouterr().out and out.exists()


def test_commands_take_a_file_like_a_bundle(sounds, tmp_path, capsys):
    path = str(write_model(tmp_path / "m.onnx"))
    files = [str(sounds / label / "0.wav") for label in LEVELS]
    assert main(["predict", path, *files]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[1] for line in lines] == list(LEVELS)
    assert main(["evaluate", path, str(sounds), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"]["accuracy"] == 1.0
    for command in (["transcribe", path, files[0]], ["verify", path, *files]):
        assert main(command) == 2
        assert "was trained for classification" in capsys.readouterr().err


def test_verification_takes_the_calibration_in_the_file(sounds, tmp_path, capsys):
    scoring = {"source": "embeddings", "model_digest": "0" * 64, "backend": "cosine"}
    scoring |= {"mean_subtraction": False, "norm": "none"}
    fitted = {"format": 1, "scale": 2.0, "offset": -1.0, "prior": 0.5, "fitted_on": {}}
    about = {**DESCRIPTION, "task": "verification", "weights_sha256": "0" * 64}
    changes = {"output": "embedding", "description": about, "longest_samples": None}
    path = tmp_path / "m.onnx"
    write_model(path, calibration={**fitted, "scoring": scoring}, **changes)
    wav = np.random.default_rng(0).uniform(0.1, 0.2, 8000).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", wav, 8000)
    assert main(["verify", str(path), *[str(tmp_path / "a.wav")] * 2, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["score"] == pytest.approx(1) and result["llr"] == pytest.approx(1, abs=1e-3)
    fitted["scale"] = "x"
    write_model(path, calibration={**fitted, "scoring": scoring}, **changes)
    assert main(["verify", str(path), *[str(tmp_path / "a.wav")] * 2]) == 2
    assert "no calibration" in capsys.readouterr().err
