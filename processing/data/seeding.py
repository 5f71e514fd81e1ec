"""Seed random numbers by name, independent of the order in which things are made."""

import hashlib
import json

import numpy as np


def seed_for(*key: int | str) -> int:
    """A 128-bit integer that depends on `key` alone (SHA-256, so the same in every process).

    Python's own `hash()` is salted per process and must not be used for this.

    Example
    -------
    >>> seed_for("speech_commands", 0, "yes") == seed_for("speech_commands", 0, "yes")
    True
    >>> seed_for(1, "2") == seed_for("1", 2)
    False
    """
    digest = hashlib.sha256(json.dumps(key).encode("utf-8")).digest()
    return int.from_bytes(digest[:16], "big")


def generator_for(*key: int | str) -> np.random.Generator:
    """A numpy Generator of its own for everything that has a name.

    Each clip of a mini corpus draws from `generator_for(corpus, seed, word, speaker, n)`; adding a
    word or a speaker therefore changes no other clip.

    Example
    -------
    >>> generator_for("a", 1).random() == generator_for("a", 1).random()
    True
    """
    # PCG64 is named, because default_rng() may change its bit generator between numpy versions.
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed_for(*key))))
