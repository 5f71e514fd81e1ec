"""`auricle cache`: only what auricle made is listed and deleted, links are left, somebody is asked."""

import json

import pytest

from auricle.recipes.commands import cache

LIBRARY = f"compiled/engine-{16 * 'a'}-{16 * 'b'}.so"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache folder with two things of auricle's, others of the user's, and links."""
    monkeypatch.setenv("AURICLE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "cache"
    for name in (
        *(LIBRARY, "compiled/notes.txt", "mini/timit-tiny/wav/a.wav", "mini/mine/a.wav"),
        *("other/a.so", "thesis.tex"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bytes(1000))
    info = json.dumps({"generator": "auricle mini corpus"})
    for corpus in (folder / "mini/timit-tiny", tmp_path / "elsewhere"):
        corpus.mkdir(exist_ok=True)
        (corpus / "mini.json").write_text(info)
    (folder / "mini/linked").symlink_to(tmp_path / "elsewhere")
    (folder / "mini/timit-tiny/linked").symlink_to(tmp_path / "elsewhere")
    (folder / "compiled" / f"linked-{16 * 'a'}.so").symlink_to(folder / "thesis.tex")
    return folder


def left(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_it_lists_what_auricle_made_with_sizes(folder, auricle):
    before = left(folder)
    sizes = {entry["path"]: entry["bytes"] for entry in auricle.json("cache")["entries"]}
    assert list(sizes) == [LIBRARY, "mini/timit-tiny"]
    assert sizes[LIBRARY] == 1000 and 1030 < sizes["mini/timit-tiny"] < 1200
    assert f"2 entries (2 KiB) in {folder}" in auricle.output("cache", "list")
    assert left(folder) == before


def test_it_deletes_that_and_nothing_else(folder, auricle, tmp_path):
    before = left(folder)
    assert "deleted from" in auricle.output("cache", "clear", "--yes")
    gone = {LIBRARY, "mini/timit-tiny/mini.json", "mini/timit-tiny/wav/a.wav"}
    assert left(folder) == before - gone
    assert (tmp_path / "elsewhere/mini.json").is_file()
    assert auricle.json("cache", "clear")["entries"] == []


def test_a_folder_that_is_a_link_is_left_alone(folder, auricle, tmp_path):
    (folder / "mini").rename(tmp_path / "disk")
    (folder / "mini").symlink_to(tmp_path / "disk")
    assert [entry["path"] for entry in auricle.json("cache")["entries"]] == [LIBRARY]


@pytest.mark.parametrize(("answer", "kept"), [("n", True), ("", True), ("y", False)])
def test_it_asks_first(folder, auricle, monkeypatch, answer, kept):
    monkeypatch.setattr(cache.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: answer)
    auricle("cache", "clear")
    assert (folder / LIBRARY).exists() == kept


def test_where_nobody_can_be_asked_it_names_the_option(folder, auricle, monkeypatch):
    monkeypatch.setattr(cache.sys.stdin, "isatty", lambda: False, raising=False)
    assert "--yes" in auricle.refusal("cache", "clear")
    assert (folder / LIBRARY).exists()


def test_a_cache_that_is_not_there_is_empty(auricle, monkeypatch, tmp_path):
    monkeypatch.setenv("AURICLE_CACHE", str(tmp_path / "none"))
    assert auricle.json("cache")["entries"] == []
