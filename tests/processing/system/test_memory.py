"""Freed memory stays with the process: the same block again costs no page faults."""

import os
import platform
import subprocess
import sys

import pytest

from auricle.processing.system.memory import keep_freed_memory

FAULTS = """
import resource
import sys
import numpy as np
from auricle.processing.system.memory import keep_freed_memory

print(keep_freed_memory() if sys.argv[1] == "keep" else None)
for turn in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(64 * 2**20, dtype=np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about glibc's malloc")


def faults(word, **settings):
    """What the call said, and page faults of the fourth block of 64 MB (16,384 pages of 4 kB)."""
    names = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
    clean = {
        key: value
        for key, value in os.environ.items()
        if key not in (*names, "GLIBC_TUNABLES", "LD_PRELOAD")
    }
    # Without huge pages, of which one fault brings 2 MB.
    words = [sys.executable, "-c", FAULTS, word]
    ended = subprocess.run(
        words,
        env={**clean, "NUMPY_MADVISE_HUGEPAGE": "0", **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    said, count = ended.stdout.split()
    return said, int(count)


@pytest.mark.slow
@glibc
def test_a_freed_block_is_used_again():
    said, count = faults("keep")
    assert said == "True" and count < 16
    assert faults("leave")[1] >= 30  # else the first half proves nothing


@pytest.mark.slow
@glibc
@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_settings_of_the_user_are_left_alone(name):
    said, count = faults("keep", **{name: "100000" if name.startswith("M") else ""})
    assert said == "False" and count >= 30


def test_says_no_where_there_is_no_glibc(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert keep_freed_memory() is False


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_peak_is_not_that_of_the_process_before():
    """A large process starts a small one: the kernel's usual count goes on with the large."""
    large = 400 * 2**20
    child = "from auricle.processing.system.memory import peak_memory_bytes as p; print(p())"
    parent = (
        "import subprocess, sys\n"
        f"kept = bytearray(b'x') * {large}\n"
        f"subprocess.run([sys.executable, '-c', {child!r}], check=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", parent], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < large / 2
