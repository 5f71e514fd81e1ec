"""Protocols of music emotion by name: data set, labels, and the division into splits.

Songs are divided by the order of hashes: no list is needed, and no order of files.

References
----------
DEAM: A. Aljanaki, Y.-H. Yang, M. Soleymani, "Developing a benchmark for emotional analysis of
music", PLOS ONE 12, 2017: 1,802 songs, no official split of the static labels; the sizes of
deam-random are those of AMAAI-Lab/Music2Emotion, its songs are not.
EmoMusic: M. Soleymani et al., "1000 songs for emotional analysis of music", CrowdMM 2013; the
division of the development songs by artist follows p-lambda/jukemir@4b0257b (and MARBLE).
PMEmo: K. Zhang et al., "The PMEmo dataset for music emotion recognition", ICMR 2018; sizes as above.
"""

import hashlib
import math
from dataclasses import dataclass

from ...processing.system.rules import one_of, wrong_values
from ..training.preparation import Protocols, setting_problems

TARGETS = ("static", "dynamic")
DEFAULT_WINDOW_S = (15.0, 45.0)
SHORT_CLIPS = ("error", "shift")


@dataclass(frozen=True)
class Protocol:
    """What a result is measured on.

    Attributes
    ----------
    dataset : "DEAM", "EmoMusic" or "PMEmo"
    shares : tuple of int
        Songs in training, validation and test of the whole data set; a part of it is divided in
        the same proportions. For mediaeval-2015 and emomusic-official the table decides on test.
    targets : tuple of str
        The kinds of labels it is for.
    short_clips : "error" or "shift"
        What happens to clips that end before the window does, unless the caller says it.
    official : bool
        Whether the test songs are those that the data set's authors set aside.
    """

    name: str
    dataset: str
    shares: tuple
    targets: tuple
    short_clips: str
    official: bool
    remark: str


DEAM_RANDOM = Protocol(
    "deam-random",
    "DEAM",
    (1261, 271, 270),
    TARGETS,
    "error",
    False,
    "on auricle's own random split of DEAM by song; DEAM has no official one, and no other "
    "published number is on these songs",
)
MEDIAEVAL_2015 = Protocol(
    "mediaeval-2015",
    "DEAM",
    (1482, 262, 58),
    ("dynamic",),
    "error",
    True,
    "tested on the 58 songs of MediaEval 2015, in the window alone and not on whole songs; trained "
    "on all earlier songs, of which the benchmark's participants had a selection",
)
EMOMUSIC_OFFICIAL = Protocol(
    "emomusic-official",
    "EmoMusic",
    (504, 115, 125),
    TARGETS,
    "error",
    True,
    "tested on the evaluation songs of MediaEval 2013; development songs divided by artist",
)
PMEMO_RANDOM = Protocol(
    "pmemo-random",
    "PMEmo",
    (536, 116, 115),
    TARGETS,
    "shift",
    False,
    "on auricle's own random split of PMEmo by song; its authors cross-validate",
)
OWN_TABLE = Protocol(
    "table", "a table", (), ("static",), "error", False, "of a table of one's own values"
)
PROTOCOLS = Protocols(DEAM_RANDOM, MEDIAEVAL_2015, EMOMUSIC_OFFICIAL, PMEMO_RANDOM, OWN_TABLE)


def problems(plain):
    """What is wrong with the data part of a configuration, all of it at once.

    Arguments
    ---------
    plain : dict
        Plain values of the YAML. Read are protocol, target, swap_2013_static, window_s,
        short_clips, sample_rate, data_seed and skip_broken, as far as they are there.

    Returns
    -------
    list of str

    Example
    -------
    >>> problems({"protocol": "deam-randon", "window_s": [15, 10]})
    ["protocol 'deam-randon' is not known; did you mean 'deam-random'? There are deam-random, \
mediaeval-2015, emomusic-official, pmemo-random, table", \
'window_s is [15, 10]; it must be [start, end] in seconds, 0 <= start < end, or null for the default']
    """
    wrong = setting_problems(plain, PROTOCOLS, {"sample_rate": 1000, "data_seed": 0})
    protocol = PROTOCOLS.get(str(plain.get("protocol")))
    rules = {
        "target": one_of(TARGETS),
        "swap_2013_static": (lambda swap: swap in ("auto", True, False), "auto, true or false"),
        "short_clips": (lambda short: short in (None, *SHORT_CLIPS), "error, shift or null"),
    }
    wrong += wrong_values(plain, rules, "{name} is {value!r}; it can be {what}")
    target = plain.get("target", "static")
    if protocol and target in TARGETS and target not in protocol.targets:
        wrong.append(f"protocol {protocol.name} is for target {' or '.join(protocol.targets)} only")
    if not _is_window(plain.get("window_s")):
        wrong.append(
            f"window_s is {plain['window_s']!r}; it must be [start, end] in seconds, "
            "0 <= start < end, or null for the default"
        )
    return wrong


def _is_window(window_s):
    if window_s is None:
        return True
    try:
        start_s, end_s = window_s
        return 0 <= float(start_s) < float(end_s) and math.isfinite(float(end_s))
    except (TypeError, ValueError):
        return False


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
