"""Seeded draws that come out the same on every machine: unknown words, silence, class caps.

Every choice is made by hashing the seed with the name of what is chosen. The result depends
neither on the order of the files nor on the version of a random generator, and a smaller draw is
part of a larger one.
"""

import hashlib

from .protocols import NOISE, SAMPLE_RATE_HZ, SILENCE

# The files of both releases. Two kinds of noise are kept for evaluation, one for each split, so
# that no recording is heard in two splits; running_tap for validation as TFDS has it.
_KNOWN_NOISES = {
    "doing_the_dishes": "train",
    "exercise_bike": "train",
    "pink_noise": "train",
    "white_noise": "train",
    "running_tap": "valid",
    "dude_miaowing": "test",
}
# A muted microphone gives exact zeros, which no scaled noise shows: one silent clip in ten is so.
_DIGITAL_SILENCE_EVERY = 10


def uniform(*key):
    """A number in [0, 1) that the key determines.

    Example
    -------
    >>> uniform(0, "a") == uniform(0, "a"), uniform(0, "a") == uniform(1, "a")
    (True, False)
    """
    name = "/".join(map(str, key))
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48


def draw(names, count, *key):
    """`count` of the names (all, if there are fewer), sorted, as the key determines.

    Example
    -------
    >>> draw(["a", "b", "c", "d"], 2, 0)
    ['b', 'c']
    """
    return sorted(sorted(names, key=lambda name: (uniform(*key, name), name))[:count])


def split_noises(stems):
    """Noise files by split, each file in one split only.

    The six files of the releases have their fixed places and other files join them in train.
    Where one of the six is missing, the last file by name is for test and the one before for
    valid; two files are for train and test, a single one is for train.

    Example
    -------
    >>> split_noises(["hum", "rain", "street", "wind"])
    {'train': ['hum', 'rain'], 'valid': ['street'], 'test': ['wind']}
    """
    stems = sorted(stems)
    splits = {"train": [], "valid": [], "test": []}
    if set(_KNOWN_NOISES) <= set(stems):
        places = [_KNOWN_NOISES.get(stem, "train") for stem in stems]
    elif len(stems) > 2:
        places = ["train"] * (len(stems) - 2) + ["valid", "test"]
    else:
        places = ["train", "test"][: len(stems)]
    for stem, place in zip(stems, places, strict=True):
        splits[place].append(stem)
    return splits


def silence_rows(split, count, noises, seed):
    """Rows of the class silence: a second of noise at a drawn place, scaled by U(0, 1).

    Arguments
    ---------
    split : str
        The split of the rows.
    count : int
        How many rows.
    noises : list of (str, AudioInfo)
        Path relative to the data folder and length of the split's noise files; without any, the
        rows are digital silence.
    seed : int or str
        Seed of the draw.

    Returns
    -------
    list of dict
        Rows as `auricle.processing.data.manifest` has them; every tenth is digital silence.
    """
    rows = []
    for i in range(count):
        row = {
            "id": f"{SILENCE}/{split}_{i:05d}",
            "path": "",
            "duration_s": 1.0,
            "split": split,
            "label": SILENCE,
            "speaker": "",
            "num_samples": SAMPLE_RATE_HZ,
            "gain": 0.0,
        }
        if noises and i % _DIGITAL_SILENCE_EVERY != _DIGITAL_SILENCE_EVERY - 1:
            path, info = noises[int(uniform(seed, NOISE, split, i, "file") * len(noises))]
            num_samples = min(SAMPLE_RATE_HZ, info.num_samples)
            places = info.num_samples - num_samples + 1
            row |= {
                "path": path,
                "duration_s": num_samples / SAMPLE_RATE_HZ,
                "start_sample": int(uniform(seed, NOISE, split, i, "start") * places),
                "num_samples": num_samples,
                "gain": uniform(seed, NOISE, split, i, "gain"),
            }
        rows.append(row)
    return rows
