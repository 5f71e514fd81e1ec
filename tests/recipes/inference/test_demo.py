"""The page of `auricle demo`, without a browser: its files, and what is refused."""

import io
import json
import re
import tarfile

import pytest
from random_bundle import random_bundle

from auricle.processing.system.files import file_digest
from auricle.recipes.inference import demo

HOSTILE = "</script><script>alert(1)//"


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    """An archive that passes for ONNX Runtime Web's, and exports that are no models."""
    path = tmp_path / "runtime.tgz"
    with tarfile.open(path, "w:gz") as tar:
        for name in (*(f"dist/{name}" for name in demo.RUNTIME), "dist/other.js", "../evil"):
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = 3
            tar.addfile(entry, io.BytesIO(b"abc"))
    monkeypatch.setattr(demo, "SHA256", file_digest(path))
    exported = {
        "scores": (b"s", {"shortest_samples": 1}),
        "frames": (b"f", {"shortest_samples": 400}),
    }
    monkeypatch.setattr(demo, "exported_bytes", lambda model, form, output: exported[output])
    return path


def test_the_page_has_the_models_the_runtime_and_labels_that_are_no_markup(runtime, tmp_path):
    bundle = random_bundle(tmp_path / "bundle", labels=(HOSTILE, "yes"))
    page = demo.write_demo(bundle, tmp_path / "page", runtime)
    names = {file.name for file in page.parent.iterdir()}
    assert names == {"index.html", "scores.onnx", "frames.onnx", *demo.RUNTIME}
    assert not (tmp_path / "evil").exists()
    text = page.read_text()
    assert text.count("<script") == 1 and text.count("</script") == 1
    shown = json.loads(re.search(r"const model = (.*);\n", text)[1])
    assert shown["labels"] == [HOSTILE, "yes"] and shown["shortest_samples"] == 400
    assert (shown["sample_rate"], shown["clip_s"], shown["tags"]) == (16000, 1.0, False)


@pytest.mark.parametrize("what", ["task", "folder", "archive", "digest"])
def test_what_cannot_be_a_page_is_refused_and_leaves_nothing(runtime, tmp_path, what):
    task = "verification" if what == "task" else "keyword_spotting"
    bundle, folder = random_bundle(tmp_path / "bundle", task=task), tmp_path / "page"
    if what == "folder":
        folder.mkdir()
        (folder / "mine.txt").write_text("mine")
    if what == "digest":
        runtime.write_bytes(runtime.read_bytes() + b"x")
    words = {"task": "classification or tagging", "folder": "nothing is overwritten"}
    before = set(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=words.get(what, "--runtime")):
        demo.write_demo(bundle, folder, tmp_path / "none.tgz" if what == "archive" else runtime)
    assert set(tmp_path.rglob("*")) == before


def test_npm_fetches_the_runtime_once_into_the_cache(runtime, tmp_path, monkeypatch):
    monkeypatch.setenv("AURICLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="no npm"):
        demo.find_runtime()
    npm = tmp_path / "npm"
    npm.write_text(f"#!/bin/sh\n/bin/cp {runtime} {tmp_path}/cache/web/{demo.ARCHIVE}\n")
    npm.chmod(0o755)
    path = demo.find_runtime()
    npm.unlink()
    assert demo.find_runtime() == path and path.is_relative_to(tmp_path / "cache")
