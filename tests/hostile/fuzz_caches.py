"""What runs keep of data sets for later ones, for the fuzzer: damaged rows count nothing."""

from pathlib import Path

import numpy as np
import torch
from fuzz_mutations import mutate_bytes, mutate_text
from fuzz_texts import Text

from auricle.lobes.distillation.target_cache import TargetCache
from auricle.processing.data import recordings, scan
from auricle.recipes.music_emotion import cache as songs
from auricle.recipes.voxceleb import headers
from auricle.recipes.voxceleb.corpus import Files

NAMES = [f"id1/v/{n}" for n in range(6)]
_DIGEST = "0" * 64


class Kept(Text):
    """A file that a run wrote for itself: whatever became of it, it is read, at worst as nothing."""

    def __init__(self, name, text, read, file="case.csv"):
        super().__init__(name, text, read, file=file)

    def damaged(self, random):
        damage = mutate_text if random.random() < 0.5 else mutate_bytes
        return damage(random, self.text if damage is mutate_text else self.text.encode()), False

    def must_read(self, gentle):
        return True

    def judge(self, read, data, gentle, path):
        return f"{min(read, 7)} rows", ""


def _csv(*rows):
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def _headers(path):
    files = Files(
        np.array([name.encode() for name in NAMES]),
        np.zeros(6, np.uint8),
        np.zeros(6, np.uint8),
        np.arange(6),
        np.arange(6),
        {"r": "."},
        [".wav"],
    )
    num_samples, whole = np.full(6, -1, np.int64), np.zeros(6, bool)
    headers._read_cache(path, files, num_samples, whole)
    assert (num_samples >= -1).all()
    return int((num_samples >= 0).sum())


def _scanned(path):
    known = scan._read_cache(path, 16000)
    assert all(n > 0 and channels > 0 for n, channels, _ in known.values())
    return len(known)


def _recordings(path):
    known = recordings._read_cache(path)
    assert all(one.num_samples > 0 and one.sample_rate_hz > 0 for one in known.values())
    return len(known)


def _journal(path):
    return len(songs._read_journal(path))


def _targets(path):
    Path(path).with_suffix(".f32").write_bytes(np.ones((6, 2), np.float32).tobytes())
    cache = TargetCache(path.parent, 2)
    known = [name for name in NAMES if name in cache]
    assert not known or torch.equal(cache.rows(known), torch.ones(len(known), 2))
    for reader in cache._readers:
        reader.close()
    return len(cache)


def caches():
    """Every kind of file that is kept between runs."""
    rows = range(6)
    clips = [(f"s{n}", f"a/s{n}.mp3", 9, 9, 9, 0.5, 9.5, 0, 0, 7) for n in rows]
    scanned = [(f"a/{n}.wav", 9, 9, 16000, 1, _DIGEST) for n in rows]
    recorded = [(f"a/{n}.wav", 9, 9, 16000, 8000, 1, _DIGEST) for n in rows]
    return [
        Kept(
            "header_cache",
            _csv(*[("r", name, ".wav", n, n, 16000, "header") for n, name in enumerate(NAMES)]),
            _headers,
        ),
        Kept("scan_cache", _csv((*scan._COLUMNS, 16000), *scanned), _scanned),
        Kept("recordings_cache", _csv(recordings._COLUMNS, *recorded), _recordings),
        Kept("song_journal", _csv(*clips), _journal),
        Kept("teacher_cache", "".join(f'"{name}"\n' for name in NAMES), _targets, "case.jsonl"),
    ]
