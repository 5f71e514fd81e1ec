"""C sources compiled on first use: the cache, the warnings, and every kind of failure."""

import json
import logging
import os
import shutil
import subprocess
import sys

import pytest
import torch

from auricle.processing.filterbank.engine import backend
from auricle.processing.system import compiling
from auricle.processing.system.compiling import library, library_path
from auricle.processing.system.files import file_digest

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
    forget()
    yield tmp_path / "cache"
    forget()


def forget():
    compiling.load.cache_clear()
    compiling._warn_once.cache_clear()


@pytest.fixture
def real():
    """The compiler of this machine; None where it has none."""
    return next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)


@pytest.fixture
def has_compiler(real):
    return real is not None


@pytest.fixture
def compiler(tmp_path, monkeypatch, real):
    """Puts a shell script before all compilers on the PATH; `$real` is this machine's own."""

    def put(script):
        fake_compiler(tmp_path / "bin", f"real={real}\n{script}")
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")

    return put


@pytest.fixture
def source(tmp_path):
    """Writes a C file."""

    def write(text, name="sample.c"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def warnings_of(caplog):
    records = [r for r in caplog.records if r.name == LOGGER]
    return [r.getMessage() for r in records if r.levelno >= logging.WARNING]


@pytest.mark.slow
def test_the_engine_is_one_library_where_there_is_a_compiler(cache, has_compiler, caplog):
    assert backend.takes(torch.ones(1)) == has_compiler
    made = [path.name.split("-")[0] for path in cache.glob("compiled/*.so")]
    assert made == ["engine"] * has_compiler
    assert bool(warnings_of(caplog)) != has_compiler


def test_without_a_compiler_it_says_what_to_do(cache, source, monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    path = source(GOOD)
    assert library(path) is None and library(path) is None
    assert library(source(GOOD, "another.c")) is None and library_path(path) is None
    (message,) = warnings_of(caplog)  # one cause, one message
    assert "(cc, gcc or clang)" in message and "PATH" in message
    assert "torch operators" in message
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
    assert "what this compiler says" in message
    assert str(tmp_path / "bin" / name) in caplog.text


def test_a_compilers_output_that_is_no_library_is_a_failure(
    cache, source, tmp_path, monkeypatch, caplog
):
    words = 'while [ "$1" != -o ]; do [ $# -gt 0 ] || exit 0; shift; done; echo text > "$2"'
    fake_compiler(tmp_path / "bin", words)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert library(source(GOOD)) is None
    (message,) = warnings_of(caplog)
    assert "library.so" in message and not list(cache.glob("compiled/*.so"))


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
    assert not list(cache.glob("compiled/*"))


def test_a_library_is_kept_and_not_compiled_again(
    cache, source, has_compiler, tmp_path, monkeypatch, caplog
):
    path = source(GOOD)
    first = library(path)
    assert (first is not None) == has_compiler
    made = sorted(cache.glob("compiled/*"), reverse=True)
    assert [p.suffix for p in made] == [".so", ".json"] * has_compiler
    assert all(p.name.startswith("sample-") for p in made)
    if has_compiler:
        assert first.twice(21) == 42
        os.utime(made[0], ns=(10**18, 10**18))
        forget()
        monkeypatch.setenv("PATH", str(tmp_path / "empty"))  # no compiler is needed any more
        again = library(path)
        assert again is not first and again.twice(4) == 8
        assert library_path(path) == made[0] and sorted(cache.glob("compiled/*.so")) == made[:1]
        assert made[0].stat().st_mtime_ns == 10**18
        assert not warnings_of(caplog)


def test_several_sources_make_one_library(cache, source, has_compiler):
    paths = [source(GOOD), source("long half(long x) { return x / 2; }\n", "another.c")]
    made = library(*paths)
    assert (made is not None) == has_compiler
    if has_compiler:
        assert made.twice(2) == 4 and made.half(4) == 2
        assert [p.name.split("-")[0] for p in cache.glob("compiled/*.so")] == [paths[0].parent.name]


def test_another_source_header_processor_or_torch_is_another_library(
    cache, source, has_compiler, monkeypatch
):
    header = source("#define FACTOR 2\n", "sample.h")
    path = source('#include "sample.h"\n' + GOOD.replace("2 *", "FACTOR *"))
    changes = [
        (2, lambda: None),
        (3, lambda: header.write_text("#define FACTOR 3\n")),
        (6, lambda: source(path.read_text().replace("FACTOR *", "2 * FACTOR *"))),
        (6, lambda: monkeypatch.setattr(compiling, "_processor", lambda: "another")),
        (6, lambda: monkeypatch.setattr(torch, "__version__", "2.0.0")),
    ]
    for count, (expected, change) in enumerate(changes, start=1):
        change()
        forget()
        made = library(path)
        assert made is None if not has_compiler else made.twice(1) == expected
        assert len(list(cache.glob("compiled/*.so"))) == count * has_compiler


def test_two_processes_at_once_both_succeed(cache, source, has_compiler, tmp_path, compiler):
    path = source(GOOD)
    if has_compiler:  # one whose calls end when both libraries are there
        done = tmp_path / "done"
        done.mkdir()
        compiler(
            '$real "$@" || exit 1\n'
            'case "$*" in *-shared*) ;; *) exit 0 ;; esac\n'
            f"touch {done}/$$; tries=0\n"
            f"while [ $(ls {done} | wc -l) -lt 2 ]; do\n"
            "  tries=$((tries + 1)); [ $tries -lt 400 ] || exit 1; sleep 0.05\n"
            "done"
        )
    # What is compiled needs of torch its folder and version, and torch takes seconds to come.
    code = (
        "import sys, types; torch = types.ModuleType('torch'); torch.__file__ = sys.argv[2]\n"
        "torch.__version__ = 'any'\n"
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
    assert len(list(cache.glob("compiled/*.so"))) == has_compiler


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


@pytest.mark.parametrize(
    "flags, words", [(["-march=native"], ["instructions"]), (["-fopenmp"], ["libomp"])]
)
def test_a_flag_that_the_compiler_refuses_is_left_out(
    flags, words, cache, source, has_compiler, compiler, caplog
):
    refuse = "".join(f"*{flag}*) echo unsupported {flag} >&2; exit 1 ;;" for flag in flags)
    compiler(f'case "$*" in {refuse} esac; exec $real "$@"')
    made = library(source(GOOD), source("long half(long x) { return x / 2; }\n", "another.c"))
    assert made is None if not has_compiler else made.twice(2) == 4 and made.half(4) == 2
    if has_compiler:
        messages = warnings_of(caplog)
        assert len(messages) == len(flags)
        for flag, word, message in zip(flags, words, messages, strict=True):
            assert f"refuses {flag}" in message and word in message
        (record,) = cache.glob("compiled/*.json")
        used = json.loads(record.read_text())["flags"]
        assert "-O3" in used and not set(flags) & set(used)


@pytest.mark.parametrize("words", ["echo cc 1.2; exit 0", "exec sleep 60", "sleep 9"])
def test_the_compilers_version_is_kept_beside_the_library(
    words, cache, source, has_compiler, compiler, monkeypatch
):
    monkeypatch.setattr(compiling, "_VERSION_S", 0.2)
    compiler(f'[ "$1" = --version ] || exec $real "$@"; {words}')
    assert (library(source(GOOD)) is not None) == has_compiler
    if has_compiler:
        (record,) = cache.glob("compiled/*.json")
        assert json.loads(record.read_text())["version"] == (
            "cc 1.2" if "echo" in words else "unknown"
        )


def test_files_are_compiled_side_by_side_with_one_line_of_progress(
    cache, source, has_compiler, compiler, tmp_path, caplog
):
    compiler(  # each waits for the other to have begun
        f'case "$*" in *" -c "*) touch {tmp_path}/$$.begun; tries=0\n'
        f"while [ $(ls {tmp_path} | grep -c begun) -lt 2 ]; do\n"
        "  tries=$((tries + 1)); [ $tries -lt 100 ] || exit 1; sleep 0.05\n"
        'done ;; esac; exec $real "$@"'
    )
    made = library(source(GOOD), source("long half(long x) { return x / 2; }\n", "another.c"))
    assert (made is not None) == has_compiler
    lines = [r.getMessage() for r in caplog.records if r.name == LOGGER]
    assert len(lines) == 1 and "compiling" in lines[0] and "once" in lines[0]


def test_broken_files_make_one_message(cache, source, has_compiler, caplog):
    assert library(source(BROKEN), source(BROKEN, "another.c")) is None
    assert len(warnings_of(caplog)) == 1


@pytest.mark.parametrize("tools", [True, False], ids=["compiler", "no_compiler"])
@pytest.mark.parametrize("harm", ["empty", "cut", "writable"])
def test_a_library_that_is_not_as_it_was_compiled_is_never_loaded(
    harm, tools, cache, source, has_compiler, tmp_path, monkeypatch, caplog
):
    path = source(GOOD)
    if library(path) is None:
        assert not has_compiler
        return
    (made,) = cache.glob("compiled/*.so")
    contents = made.read_bytes()
    made.unlink()  # not cut in place: this process has it open
    made.write_bytes(contents[: {"empty": 0, "cut": -1}.get(harm)])
    if harm == "writable":
        made.chmod(0o777)
    forget()
    if not tools:
        monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    again = library(path)
    assert (again is not None) == tools
    first, *rest = warnings_of(caplog)
    assert str(made) in first and "anew" in first and len(rest) == (not tools)
    if tools:
        (now,) = cache.glob("compiled/*.so")
        assert again.twice(3) == 6 and now.stat().st_mode & 0o022 == 0
        assert now.read_bytes() == contents


@pytest.mark.parametrize("owner", ["others write", "another user"])
def test_a_folder_that_others_write_in_is_not_used(owner, cache, source, monkeypatch, caplog):
    path = source(GOOD)
    (cache / "compiled").mkdir(parents=True)
    if owner == "others write":
        (cache / "compiled").chmod(0o777)
    else:
        status = os.stat_result([0o755, 0, 0, 0, os.getuid() + 1, *[0] * 5])
        monkeypatch.setattr(compiling.Path, "stat", lambda self, **_: status)
    assert library(path) is None
    (message,) = warnings_of(caplog)
    assert str(cache / "compiled") in message and "AURICLE_CACHE" in message


def test_a_library_that_does_not_open_is_made_anew(cache, source, has_compiler, caplog):
    path = source(GOOD)
    if library(path) is None:
        assert not has_compiler
        return
    (made,) = cache.glob("compiled/*.so")
    other = made.parent / "other"
    other.write_text("no library, though its name tells its contents")
    stem = made.stem.rsplit("-", 1)[0]
    made.unlink()
    other.replace(made.with_name(f"{stem}-{file_digest(other)[:16]}.so"))
    forget()
    assert library(path).twice(3) == 6
    (message,) = warnings_of(caplog)
    assert "cannot be loaded" in message
