"""Hold out training speakers for validation, and draw trials from their recordings.

Everything is decided by hashes of the seed and the names, so that it is the same on every machine.
"""

import hashlib
import itertools
import math
import random

from ...processing.scoring.verification.trials import TrialList
from ..training.preparation import PreparationError


def shuffled(items, *key):
    """Strings in an order that depends on the key and on each string alone.

    Example
    -------
    >>> shuffled(["a", "b", "c", "d"], 0) == shuffled(["d", "c", "b", "a"], 0)
    True
    """
    start = hashlib.sha256(repr(key).encode())

    def number(item):
        total = start.copy()
        total.update(item.encode("utf-8", "surrogateescape"))
        return total.digest()

    return sorted(items, key=number)


def hold_out(speakers, share, seed):
    """Speakers set aside for validation.

    Arguments
    ---------
    speakers : list of str
    share : float or int
        Share of the speakers, rounded, 2 at least; or how many.
    seed : int

    Raises
    ------
    PreparationError
        Fewer than two speakers would be left to train on.
    """
    count = share if isinstance(share, int) else max(2, round(share * len(speakers)))
    if len(speakers) - count < 2:
        raise PreparationError(
            f"{len(speakers)} speakers are left for training and validation; {count} for "
            f"validation (valid_speakers: {share}) and 2 for training are needed at the least. "
            "Give a list of trials with fewer speakers, or more data to train on (train_on)."
        )
    return set(shuffled(speakers, seed, "validation speakers")[:count])


def draw_trials(recordings, num_trials, seed, source="valid_trials.txt"):
    """Trials among speakers: as many targets as non-targets, every speaker as often as possible.

    A target trial compares two videos, as in the official lists; a speaker with one video only
    is compared across its utterances, and one with a single utterance is in non-target trials.

    Arguments
    ---------
    recordings : dict
        Recordings (full relative paths) by speaker.
    num_trials : int
        How many are wanted, of both kinds together; fewer are drawn where there are fewer.
    seed : int
    source : str
        Name of the list.

    Returns
    -------
    (TrialList, list of str that say what was unusual)

    Raises
    ------
    PreparationError
        No target or no non-target trial is possible.
    """
    num_targets = num_trials // 2
    # So many recordings of a speaker are drawn on that all its pairs are about twice as many as
    # needed: embeddings cost time, and what speakers differ by does not show in more of one.
    size = max(4, math.isqrt(4 * num_targets // len(recordings)) + 2)
    pools = {
        speaker: _pool(recordings[speaker], size, seed, speaker) for speaker in sorted(recordings)
    }
    targets = _target_trials(pools, num_targets, seed)
    others = _other_trials(pools, len(targets), seed)
    if not targets or not others:
        lacks = "target" if not targets else "non-target"
        raise PreparationError(
            f"the {len(recordings)} validation speakers give no {lacks} trial: at least two "
            "speakers, one of them with two recordings, are needed. Hold out more (valid_speakers)."
        )
    targets = targets[: len(others)]
    pairs = [(*pair, True) for pair in targets] + [(*pair, False) for pair in others]
    notes = []
    lonely = sum(len(pool) == 1 for pool in pools.values())
    if lonely:
        notes.append(f"{lonely} validation speakers have one utterance and so no target trial")
    one_video = sum(len(p) > 1 and len({video_of(r) for r in p}) == 1 for p in pools.values())
    if one_video:
        notes.append(
            f"{one_video} validation speakers have one video; their target trials are within it"
        )
    if len(pairs) < num_trials - 1:
        notes.append(
            f"{len(pairs)} validation trials instead of {num_trials}: no more are possible"
        )
    return TrialList.from_pairs(pairs, source), notes


def video_of(recording):
    """The folders of a recording, which are its speaker and its video."""
    return recording.rpartition("/")[0]


def _pool(recordings, size, seed, speaker):
    """Some recordings of a speaker, from as many videos as possible."""
    videos = {}
    for recording in shuffled(recordings, seed, "recordings", speaker):
        videos.setdefault(video_of(recording), []).append(recording)
    turns = itertools.zip_longest(*videos.values())
    return [recording for turn in turns for recording in turn if recording is not None][:size]


def _target_trials(pools, count, seed):
    """Pairs of one speaker, the speakers in turn."""
    pairs = []
    for speaker, pool in pools.items():
        of_speaker = list(itertools.combinations(sorted(pool), 2))
        across = [(a, b) for a, b in of_speaker if video_of(a) != video_of(b)] or of_speaker
        texts = {f"{a}\n{b}": (a, b) for a, b in across}
        pairs.append([texts[text] for text in shuffled(texts, seed, "targets", speaker)])
    turns = itertools.zip_longest(*pairs)
    return [pair for turn in turns for pair in turn if pair is not None][:count]


def _other_trials(pools, count, seed):
    """Pairs of different speakers, the first speakers in turn."""
    speakers = list(pools)
    total = sum(map(len, pools.values()))
    possible = (total**2 - sum(len(pool) ** 2 for pool in pools.values())) // 2
    if count > possible // 2:  # drawing until a new one turns up would take long
        texts = {}
        for one, other in itertools.combinations(speakers, 2):
            for pair in itertools.product(pools[one], pools[other]):
                texts["\n".join(pair)] = pair
        return [texts[text] for text in shuffled(texts, seed, "others")[:count]]
    # The stream of random() is promised to stay the same; that of its other methods is not.
    draw = random.Random(f"{seed} others")
    pairs = {}
    turn = itertools.cycle(range(len(speakers)))
    while len(pairs) < count:
        one = next(turn)
        other = (one + 1 + int(draw.random() * (len(speakers) - 1))) % len(speakers)
        sides = [pools[speakers[i]] for i in (one, other)]
        a, b = (side[int(draw.random() * len(side))] for side in sides)
        if (a, b) not in pairs and (b, a) not in pairs:
            pairs[a, b] = None
    return list(pairs)
