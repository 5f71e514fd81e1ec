"""Find the songs that two data sets share, by number or by sound.

Who trains on one data set and tests on the other must leave them out.

The 744 songs of EmoMusic are DEAM's songs up to id 1000, under the same numbers. Other data sets
can be compared by sound alone. A fingerprint is whether, from one quarter of a second to the next,
neighbouring bands of the spectrum move apart or together; other encodings, levels and sample rates
hardly change it. It does not find the same song cut at another place.

References
----------
J. Haitsma, T. Kalker, "A highly robust audio fingerprinting system", ISMIR 2002, for the signs;
frames here are longer and do not overlap, because both cuts begin at the same place.
"""

from typing import NamedTuple

import numpy as np
import torch
from tqdm.contrib.concurrent import thread_map

from ...processing.data.audio import AudioError, probe_audio, read_audio
from ...processing.data.synthetic import mini_info
from ...processing.system.terminal import no_bar

SAME_BITS = 0.75
"""Share of equal signs above which two recordings are the same.

40 songs of the mini corpus against themselves at 22.05 kHz, a third of the level and a low bit
rate: 0.91 or more; against each other: 0.58 or less.
"""
_FRAME_S = 0.25
_MAX_S = 45.0
_MIN_BITS = 150
_FLOOR = 1e-2
_SURE_CHANGE = 0.3
_EDGES_HZ = np.geomspace(200.0, 3600.0, 34)
_SAME_IDS = {"DEAM", "EmoMusic"}


class SharedSong(NamedTuple):
    """A song of A and what it is called in B."""

    a: str
    b: str
    reason: str
    """ "same id", "same audio", or both."""


def ids_are_comparable(a, b):
    """Whether a number means the same song in two data sets."""
    worlds = []
    for corpus in (a, b):
        info = mini_info(corpus.root)
        worlds.append(info and (info["seed"], info["generator_version"]))
    families = [_SAME_IDS if corpus.dataset in _SAME_IDS else {corpus.dataset} for corpus in (a, b)]
    return worlds[0] == worlds[1] and families[0] == families[1]


def find_shared(a, b, audio=None, num_workers=None, progress=False):
    """Songs that are in both data sets.

    Arguments
    ---------
    a, b : Corpus
    audio : bool, optional
        Whether to compare by sound, which decodes both; None only where ids cannot tell.
    num_workers : int, optional
        Threads that decode.
    progress : bool
        Whether to draw progress bars.

    Returns
    -------
    list of SharedSong
        By the number in A.
    """
    pairs = {}
    if by_id := ids_are_comparable(a, b):
        for id in a.songs:
            if id in b.songs:
                pairs[id, id] = ["same id"]
    if audio or (audio is None and not by_id):
        for pair in _same_audio(a, b, num_workers, progress):
            pairs.setdefault(pair, []).append("same audio")
    shared = [SharedSong(a, b, " and ".join(why)) for (a, b), why in pairs.items()]
    return sorted(shared, key=lambda song: (int(song.a), int(song.b)))


def fingerprint(path):
    """Signs that tell one recording from others. () -> (frames, 32), -1, 0 or 1

    Raises
    ------
    AudioError
        The file cannot be decoded.
    """
    rate_hz = probe_audio(path).sample_rate_hz
    wave = read_audio(path, channels="mix")[: round(_MAX_S * rate_hz)]
    window = 1 << round(np.log2(0.09 * rate_hz))
    if len(wave) < 2 * window:
        return np.zeros((0, 32), np.int8)
    spectra = torch.stft(
        wave, window, window // 2, window=torch.hann_window(window), return_complex=True
    )
    power = spectra.abs().square().numpy()
    bins = np.round(_EDGES_HZ * window / rate_hz).astype(int)
    bands = np.add.reduceat(power, bins, axis=0)[:-1]
    # Seconds, not windows: the same frames at every sample rate.
    times = (np.arange(bands.shape[1]) * (window // 2) / rate_hz / _FRAME_S).astype(int)
    starts = np.searchsorted(times, np.arange(times[-1]))
    level = np.add.reduceat(bands, starts, axis=1).T
    # What lies far below the song's own level is the encoder's; small changes have no sure sign.
    level = np.log(level + _FLOOR * level.mean() + 1e-12)
    change = np.diff(np.diff(level, axis=1), axis=0)
    return (np.sign(change) * (np.abs(change) > _SURE_CHANGE)).astype(np.int8)


def _same_audio(a, b, num_workers, progress):
    prints = [_fingerprints(corpus, num_workers, progress) for corpus in (a, b)]
    if not all(prints):
        return
    length = max(len(bits) for by_id in prints for bits in by_id.values())
    signs, present = [], []
    for by_id in prints:
        padded = np.zeros((len(by_id), length, 32), np.float32)
        for row, bits in zip(padded, by_id.values(), strict=True):
            row[: len(bits)] = bits
        signs.append(padded.reshape(len(by_id), -1))
        present.append(np.abs(signs[-1]))
    compared = present[0] @ present[1].T
    same = (signs[0] @ signs[1].T / np.maximum(compared, 1) + 1) / 2
    ids = [list(by_id) for by_id in prints]
    for i, j in zip(*np.nonzero((same >= SAME_BITS) & (compared >= _MIN_BITS)), strict=True):
        yield ids[0][i], ids[1][j]


def _fingerprints(corpus, num_workers, progress):
    """Fingerprints by id, of the songs whose audio can be decoded."""
    songs = [song for song in corpus.songs.values() if song.audio]

    def one(song):
        try:
            return fingerprint(song.audio.path)
        except AudioError:
            return np.zeros((0, 32), np.int8)  # an error of the preparation

    prints = thread_map(
        one,
        songs,
        max_workers=num_workers,
        desc=f"listening to {corpus.dataset}",
        unit="song",
        disable=no_bar(progress),
    )
    return {song.id: bits for song, bits in zip(songs, prints, strict=True) if len(bits)}
