"""Choose crops of a recording: a random one per epoch, or evenly spaced ones."""

from collections.abc import Sequence
from operator import index

from ..seeding import seed_for


def _positive(name: str, value: int) -> int:
    if isinstance(value, bool) or index(value) < 1:
        raise ValueError(f"{name} is a whole number of samples above 0, got {value!r}")
    return index(value)


class RandomCrop:
    """Draw the part of each recording that is used in an epoch.

    A pure function of (seed, epoch, name of the recording): data-loading workers need no state, any
    number of them draw the same, and a resumed run goes on with the same crops. Every start is
    equally likely. A recording shorter than the crop is taken whole, and never repeated to fill it:
    repetition would make it periodic.

    Arguments
    ---------
    crop_samples : int
        Length of a crop.
    seed : int

    Raises
    ------
    ValueError
        A crop or a recording without samples.

    Example
    -------
    >>> crop = RandomCrop(32000, seed=1)
    >>> start, num_samples = crop.draw("id10270/5r0dWxy17C8/00001.wav", 90000, epoch=3)
    >>> 0 <= start <= 58000, num_samples
    (True, 32000)
    >>> crop.draw("id10270/5r0dWxy17C8/00002.wav", 20000, epoch=3)
    (0, 20000)
    """

    def __init__(self, crop_samples: int, seed: int = 0):
        self.crop_samples = _positive("crop_samples", crop_samples)
        self.seed = seed

    def draw(
        self, name: str, num_samples: int, epoch: int, crop_samples: int | None = None
    ) -> tuple[int, int]:
        """First sample and number of samples of this epoch's crop.

        Arguments
        ---------
        name : str
            Of the recording, whole: files of different speakers may have the same last part.
        num_samples : int
            Length of the recording.
        epoch : int
        crop_samples : int or None
            For this draw alone, e.g. because the crop will be played faster; None: the usual.
        """
        num_samples = _positive(f"num_samples of {name!r}", num_samples)
        if crop_samples is None:
            crop_samples = self.crop_samples
        room = num_samples - _positive("crop_samples", crop_samples)
        if room <= 0:
            return 0, num_samples
        # The remainder of a 128-bit number: even to within 1e-29.
        return seed_for("crop", self.seed, int(epoch), name) % (room + 1), crop_samples

    def durations_s(
        self, durations_s: Sequence[float], sample_rate: int, slowest: float = 1.0
    ) -> list[float]:
        """Durations after cropping, as a batch sampler needs them.

        Arguments
        ---------
        durations_s : sequence of float
            Of the whole recordings, in s.
        sample_rate : int
            In Hz.
        slowest : float
            Smallest speed a crop may be played at; 0.9 makes a short recording up to 11 % longer.

        Example
        -------
        >>> RandomCrop(32000).durations_s([1.5, 8.0], 16000)
        [1.5, 2.0]
        """
        crop_s = self.crop_samples / sample_rate
        return [min(duration_s / slowest, crop_s) for duration_s in durations_s]


def cut_rows(rows: Sequence[dict], clip_samples: int, rate_hz: int, how: str) -> list[dict]:
    """The rows of a manifest, those of recordings longer than a clip as rows of clips of them.

    Arguments
    ---------
    rows : sequence of dict
        With `id` and `duration_s`; with `start_sample` and `num_samples` where it is a part of a
        file already, and then as they are.
    clip_samples, rate_hz : int
    how : "first", "centre" or "windows"
        The clip at the beginning, in the middle, or the least number of clips that cover the
        recording, evenly spaced, with ids that end in their first sample.

    Example
    -------
    >>> rows = [{"id": "a", "duration_s": 2.5}, {"id": "b", "duration_s": 1.0}]
    >>> [(row["id"], row.get("start_sample")) for row in cut_rows(rows, 100, 100, "windows")]
    [('a@0', 0), ('a@75', 75), ('a@150', 150), ('b', None)]
    """
    cut = []
    for row in rows:
        total = round(row["duration_s"] * rate_hz)
        if total <= clip_samples or "num_samples" in row:
            cut.append(row)
            continue
        crops = -(-total // clip_samples) if how == "windows" else 1
        for start, size in evenly_spaced(total, clip_samples, crops):
            start = 0 if how == "first" else start
            id = f"{row['id']}@{start}" if how == "windows" else row["id"]
            cut.append(row | {"id": id, "start_sample": start, "num_samples": size})
    return cut


def evenly_spaced(num_samples: int, crop_samples: int, n: int) -> list[tuple[int, int]]:
    """First sample and number of samples of `n` crops from the first to the last sample.

    One crop is the middle. A recording no longer than a crop is taken whole, once.

    Arguments
    ---------
    num_samples : int
        Length of the recording.
    crop_samples : int
        Length of a crop.
    n : int
        How many; neighbours overlap where the recording is short.

    Raises
    ------
    ValueError
        Any of the three is below 1.

    Example
    -------
    >>> evenly_spaced(10, 4, 3)
    [(0, 4), (3, 4), (6, 4)]
    >>> evenly_spaced(3, 4, 3)
    [(0, 3)]
    """
    room = _positive("num_samples", num_samples) - _positive("crop_samples", crop_samples)
    if isinstance(n, bool) or index(n) < 1:
        raise ValueError(f"n is a number of crops above 0, got {n!r}")
    if room <= 0:
        return [(0, num_samples)]
    if n == 1:
        return [(room // 2, crop_samples)]
    return [(round(room * i / (n - 1)), crop_samples) for i in range(n)]
