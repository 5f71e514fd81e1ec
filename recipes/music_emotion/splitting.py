"""Divide songs into splits by the order of hashes: no list is needed, and no order of files."""

import hashlib

from .protocols import EMOMUSIC_OFFICIAL, MEDIAEVAL_2015


def splits_of(songs, protocol, seed):
    """Split of each song, by id.

    A part of the data set is divided in the same proportions, and a song that is missing moves few
    others.

    Arguments
    ---------
    songs : list of Song
    protocol : Protocol
    seed : int
        Of the random division; emomusic-official draws nothing.
    """
    if protocol is EMOMUSIC_OFFICIAL:
        return {s.id: "test" if s.is_test else split_of_artist(s.artist) for s in songs}
    train, valid, test = protocol.shares
    splits = {song.id: "train" for song in songs}
    rest = list(splits)
    if protocol is MEDIAEVAL_2015:
        splits.update((song.id, "test") for song in songs if song.is_test)
        rest = [song.id for song in songs if not song.is_test]
        test = 0
    total = train + valid + test
    order = sorted(rest, key=lambda id: hashlib.sha256(f"{seed}:{id}".encode()).hexdigest())
    num_test, num_valid = (round(len(rest) * share / total) for share in (test, valid))
    splits.update((id, "test") for id in order[:num_test])
    splits.update((id, "valid") for id in order[num_test : num_test + num_valid])
    return splits


def split_of_artist(artist):
    """ "train" or "valid", 8 to 2: all songs of an artist are in one.

    Example
    -------
    >>> split_of_artist("The  Beatles!") == split_of_artist("the beatles")
    True
    """
    plain = "".join(c for c in artist.lower() if c.isascii() and (c.isalpha() or c.isspace()))
    hashed = hashlib.sha1(" ".join(plain.split()).encode()).hexdigest()
    return "train" if int(hashed, 16) % 10 < 8 else "valid"
