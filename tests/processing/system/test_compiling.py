"""C sources compiled on first use: the cache, the warnings, and every kind of failure."""

import logging
import os
import shutil
import subprocess
import sys

import pytest
import torch

from auricle.processing.filterbank.engine import backend
from auricle.processing.system import compiling
from auricle.processing.system.compiling import library

LOGGER = "auricle.processing.system.compiling"
GOOD = "long twice(long x) { return 2 * x; }\n"
BROKEN = "long twice(long x) { return no_such_name * x; }\n"


def fake_compiler(folder, script):
    folder.mkdir()
    compiler = folder / "cc"
    compiler.write_text(f"#!/bin/sh\n{script}\n")
    compiler.chmod(0o755)
    return compiler


@pytest.fixture
def cache(tmp_path, monkeypatch, caplog):
    """A cache folder of the test's own; nothing is remembered from before, or afterwards."""
    monkeypatch.setenv("AURICLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AURICLE_COMPILED", raising=False)
    caplog.set_level(logging.DEBUG, logger=LOGGER)
    compiling.load.cache_clear()
    yield tmp_path / "cache"
    compiling.load.cache_clear()


@pytest.fixture
def has_compiler():
    return any(map(shutil.which, ("cc", "gcc", "clang")))


@pytest.fixture
def source(tmp_path):
    """Writes a C file."""

    def write(text, name="sample.c"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def warnings_of(caplog):
    return [r.getMessage() for r in caplog.records if r.name == LOGGER]


def test_the_engine_is_one_library_where_there_is_a_compiler(cache, has_compiler, caplog):
    assert backend.takes(torch.ones(1)) == has_compiler
    made = [path.name.split("-")[0] for path in cache.glob("compiled/*")]
    assert made == ["engine"] * has_compiler
    assert bool(warnings_of(caplog)) != has_compiler


def test_without_a_compiler_it_says_what_to_do(cache, source, monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    path = source(GOOD)
    assert library(path) is None and library(path) is None
    (message,) = warnings_of(caplog)
    assert "(cc, gcc or clang)" in message and "PATH" in message
    assert "sample" in message and "torch operators" in message
    assert caplog.records[0].levelno == logging.WARNING
    assert not cache.exists()


def test_whoever_asks_for_torch_operators_is_not_warned(cache, source, monkeypatch, caplog):
    path = source(GOOD)
    expected = library(path)
    monkeypatch.setenv("PATH", "")
    before = len(caplog.records)
    monkeypatch.setenv("AURICLE_COMPILED", "0")
    assert library(path) is None and library(source(GOOD, "another.c")) is None
    assert not backend.takes(torch.ones(1))
    assert len(caplog.records) == before
    monkeypatch.setenv("AURICLE_COMPILED", "1")
    assert library(path) is expected  # what was compiled before is not forgotten


@pytest.mark.parametrize("name", ["cc", "gcc", "clang"])
def test_any_of_three_compilers_is_asked(name, cache, source, tmp_path, monkeypatch, caplog):
    compiler = fake_compiler(tmp_path / "bin", "echo what this compiler says >&2; exit 1")
    compiler.rename(compiler.with_name(name))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert library(source(GOOD)) is None
    (message,) = warnings_of(caplog)
    assert str(tmp_path / "bin" / name) in message and "what this compiler says" in message


def test_a_compilers_output_that_is_no_library_is_a_failure(
    cache, source, tmp_path, monkeypatch, caplog
):
    words = 'while [ "$1" != -o ]; do [ $# -gt 0 ] || exit 0; shift; done; echo text > "$2"'
    fake_compiler(tmp_path / "bin", words)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert library(source(GOOD)) is None
    (message,) = warnings_of(caplog)
    assert "sample.c" in message and "sample-" in message


def test_a_source_that_is_not_there_is_a_failure(cache, tmp_path, has_compiler, caplog):
    assert library(tmp_path / "missing.c") is None
    (message,) = warnings_of(caplog)
    assert ("missing.c" in message) or not has_compiler


def test_a_broken_source_is_logged_once_with_the_compilers_words(
    cache, source, has_compiler, caplog
):
    path = source(BROKEN)
    assert library(path) is None and library(path) is None
    (message,) = warnings_of(caplog)
    if has_compiler:
        assert "sample.c" in message and "no_such_name" in message
    assert [path for path in cache.glob("compiled/*")] == []


def test_a_library_is_kept_and_not_compiled_again(cache, source, has_compiler, caplog):
    path = source(GOOD)
    first = library(path)
    assert (first is not None) == has_compiler
    made = sorted(cache.glob("compiled/*"))
    assert [p.suffix for p in made] == [".so"] * has_compiler
    assert all(p.name.startswith("sample-") for p in made)
    if has_compiler:
        assert first.twice(21) == 42
        os.utime(made[0], ns=(10**18, 10**18))
        compiling.load.cache_clear()
        again = library(path)
        assert again is not first and again.twice(4) == 8
        assert sorted(cache.glob("compiled/*")) == made
        assert made[0].stat().st_mtime_ns == 10**18
        assert not warnings_of(caplog)


def test_several_sources_make_one_library(cache, source, has_compiler):
    paths = [source(GOOD), source("long half(long x) { return x / 2; }\n", "another.c")]
    made = library(*paths)
    assert (made is not None) == has_compiler
    if has_compiler:
        assert made.twice(2) == 4 and made.half(4) == 2
        assert [p.name.split("-")[0] for p in cache.glob("compiled/*")] == [paths[0].parent.name]


def test_another_source_header_or_processor_is_another_library(
    cache, source, has_compiler, monkeypatch
):
    header = source("#define FACTOR 2\n", "sample.h")
    path = source('#include "sample.h"\n' + GOOD.replace("2 *", "FACTOR *"))
    changes = [
        (2, lambda: None),
        (3, lambda: header.write_text("#define FACTOR 3\n")),
        (6, lambda: source(path.read_text().replace("FACTOR *", "2 * FACTOR *"))),
        (6, lambda: monkeypatch.setattr(compiling, "_processor", lambda: "another")),
    ]
    for count, (expected, change) in enumerate(changes, start=1):
        change()
        compiling.load.cache_clear()
        made = library(path)
        assert made is None if not has_compiler else made.twice(1) == expected
        assert len(list(cache.glob("compiled/*.so"))) == count * has_compiler


def test_two_processes_at_once_both_succeed(cache, source, has_compiler, tmp_path, monkeypatch):
    path = source(GOOD)
    real = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if has_compiler:  # one whose calls end when both libraries are there
        done = tmp_path / "done"
        done.mkdir()
        fake_compiler(
            tmp_path / "bin",
            f'[ "$1" = --version ] && exec {real} --version\n'
            f'{real} "$@" || exit 1\n'
            f"touch {done}/$$; tries=0\n"
            f"while [ $(ls {done} | wc -l) -lt 2 ]; do\n"
            "  tries=$((tries + 1)); [ $tries -lt 400 ] || exit 1; sleep 0.05\n"
            "done",
        )
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    # What is compiled needs no more of torch than its folder, and torch takes seconds to come.
    code = (
        "import sys, types; torch = types.ModuleType('torch'); torch.__file__ = sys.argv[2]\n"
        "sys.modules['torch'] = torch\n"
        "from pathlib import Path; from auricle.processing.system.compiling import library\n"
        "made = library(Path(sys.argv[1])); print(made and made.twice(5))"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path), torch.__file__],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    found = [process.communicate(timeout=60)[0].strip() for process in both]
    assert found == ["10" if has_compiler else "None"] * 2
    assert len(list(cache.glob("compiled/*"))) == has_compiler


@pytest.mark.parametrize("blocked", ["", "compiled"])
def test_a_cache_that_cannot_be_written_is_a_failure(blocked, cache, source, has_compiler, caplog):
    path = cache / blocked
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a file in place of the folder")
    assert library(source(GOOD)) is None
    (message,) = warnings_of(caplog)
    assert "torch operators" in message
    assert (str(path) in message) == has_compiler
    assert path.read_text() == "a file in place of the folder"
