"""Hostile bundles run nothing, read nothing outside, and are refused at once or answer in numbers.

HOSTILE_BUNDLES=200 is how many are made; a number of the parametrisation makes the same bundle again.
"""

import contextlib
import os
import random
import shutil
import sys
import time
import warnings
from pathlib import Path

import bundle_mutations
import pytest
import torch

from auricle.lobes import build_encoder, bundles
from auricle.processing.system.memory import peak_memory_bytes, resident_bytes
from auricle.processing.system.terminal import printable
from auricle.recipes.inference.calibration_files import read_calibration
from auricle.recipes.inference.transcribe import decoder_of, open_recogniser

CASES = int(os.environ.get("HOSTILE_BUNDLES", "48"))
LIMIT_S, LIMIT_BYTES, LONGEST_ERROR = 2, 500 * 10**6, 4000
#: Of an earlier place, of the same size as the number of kinds: both go through all of them.
STEP = 29
FORBIDDEN = (
    *("subprocess.", "socket.", "pickle.", "os.system", "os.exec", "os.posix_spawn", "os.fork"),
    *("os.spawn", "os.remove", "os.rename", "os.mkdir", "os.link", "os.symlink", "os.chmod"),
    *("os.truncate", "shutil.", "tempfile.", "webbrowser.", "urllib.", "ctypes.dlopen"),
)
#: Python's own files, the library's, and what the kernel says of the memory.
READABLE = tuple(
    os.path.realpath(path)
    for path in (sys.prefix, sys.base_prefix, Path(bundles.__file__).parents[2], "/proc/meminfo")
) + tuple(os.path.realpath(path) for path in sys.path if path)

pytestmark = pytest.mark.xdist_group("hostile_bundles")
watch = {"folder": None, "seen": []}


def hook(event, arguments):
    if watch["folder"] is None:
        return
    if event.startswith(FORBIDDEN):
        watch["seen"].append((event, *map(str, arguments)))
    elif event == "open" and not isinstance(arguments[0], int):
        path = os.path.realpath(os.fsdecode(arguments[0]))
        own = Path(path).parent == watch["folder"] and path.endswith((".json", ".safetensors"))
        writes = isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
        if writes or not (own or path.startswith(READABLE)):
            watch["seen"].append((event, path, arguments[1]))


sys.addaudithook(hook)


@contextlib.contextmanager
def watched(folder):
    """What is opened, run or connected to while a bundle is used, as a list."""
    watch.update(folder=Path(os.path.realpath(folder)), seen=[])
    try:
        yield watch["seen"]
    finally:
        watch["folder"] = None


def forget_the_peak():
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def use(folder, name):
    """Open a bundle as the commands do, and ask it."""
    if name == "transcription":
        _, units = open_recogniser(folder)
        decoder_of(folder, units, "beam", 4, 0.5)
    if name == "speakers":
        read_calibration(folder)
    return bundles.load(folder).predict(0.1 * torch.randn(8000))


@pytest.fixture(autouse=True)
def no_bytecode(monkeypatch):
    """A library that a bundle's encoder imports is not compiled to a file, which would be seen."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        build_encoder("wav2vec2", 1)
        made = bundle_mutations.good_bundles(tmp_path_factory.mktemp("good"))
    for name, folder in made.items():
        use(folder, name)  # what is compiled and imported at first use is so now
    return made


@pytest.fixture(scope="module")
def worst():
    worst = {"seconds": 0.0, "bytes": 0, "refused": 0, "opened": 0}
    yield worst
    print(f"\nhostile bundles: {worst}")


def mutation_of(number):
    kinds = bundle_mutations.MUTATIONS
    return kinds[number * STEP % len(kinds)]


def test_every_kind_is_among_200():
    assert {mutation_of(number) for number in range(200)} == set(bundle_mutations.MUTATIONS)


def test_what_is_good_is_watched_and_opens(good):
    for name, folder in good.items():
        with watched(folder) as seen:
            use(folder, name)
        assert not seen
    with watched(good["linear"]) as seen, contextlib.suppress(OSError):
        open("/etc/nothing", encoding="utf-8")
        Path(good["linear"], "hyperparams.yaml").read_text(encoding="utf-8")
    assert [Path(path).name for _, path, _ in seen] == ["nothing"]


@pytest.mark.parametrize("number", range(CASES))
def test_hostile(number, good, worst, tmp_path):
    draw = random.Random(number)
    mutate = mutation_of(number)
    name = draw.choice(sorted(good))
    folder = tmp_path / "\x1b[2Jb"
    shutil.copytree(good[name], folder)
    mutate(folder, draw)
    before = {file.name for file in folder.iterdir()}
    what = f"{mutate.__name__} of {name}"
    forget_the_peak()
    size, start = resident_bytes(), time.process_time()
    refusal = None
    with watched(folder) as seen:
        try:
            use(folder, name)
        except ValueError as error:
            refusal = str(error).replace(str(folder), "FOLDER")  # a name that is the user's
    seconds, grown = time.process_time() - start, peak_memory_bytes() - size
    worst["seconds"] = max(worst["seconds"], seconds)
    worst["bytes"] = max(worst["bytes"], grown)
    worst["opened" if refusal is None else "refused"] += 1
    assert not seen, what
    assert {file.name for file in folder.iterdir()} == before, what
    assert refusal is not None or mutate in bundle_mutations.OPENS, what
    assert seconds < LIMIT_S and grown < LIMIT_BYTES, f"{what}: {seconds} s, {grown} bytes"
    if refusal is not None:
        assert printable(refusal, lines=True) == refusal, what
        assert 10 < len(refusal) < LONGEST_ERROR, what
