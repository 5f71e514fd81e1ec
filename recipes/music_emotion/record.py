"""The record of a prepared data set of music emotion, with its rows as numbers."""

from dataclasses import dataclass

from ...processing.data import manifest
from ..training.record import Record
from .cache import are_intact


@dataclass(kw_only=True)
class MusicRecord(Record):
    """A prepared data set of music emotion; see `Record` for what all data sets have.

    The root "" is the data folder, "cache" holds the decoded clips. completeness may be "mini",
    too.

    Attributes
    ----------
    dataset : str
        "DEAM", "EmoMusic", "PMEmo" or "mini DEAM".
    target : "static" or "dynamic"
    sample_rate_hz : int
        Of the decoded clips.
    window_s : tuple of float
        Which part of a song they are.
    scale : dict
        {"low", "high"} of the target's labels; `scales.to_unit` and `from_unit` map them to -1..1
        and back.
    scales : dict
        The same by "static" and "dynamic".
    comparable : bool
        Whether the test songs are the data set's own, all of them.
    remark : str
        What a result of this protocol has to say wherever it is shown.
    exchange : dict
        {"setting", "exchanged", "reason"} of valence and arousal in the static table (DEAM).
    decoded : dict
        {"songs", "padded", "clipped", "shifted"}: songs in the cache, those padded at the end,
        those with samples beyond full scale, those whose window was moved.
    test_digest : str
        SHA-256 of the test rows.
    """

    dataset: str
    target: str
    sample_rate_hz: int
    window_s: tuple
    scale: dict
    scales: dict
    comparable: bool
    remark: str
    exchange: dict
    decoded: dict
    test_digest: str

    #: What the values are.
    dimensions = ("valence", "arousal")
    VERSION = 2
    COLUMNS = {"songs": 8, "artists": 9, "hours": 8, "dynamic_labels": 16}

    @classmethod
    def read(cls, folder, fingerprint, roots):
        """The record in a folder; None when it is of other input or a decoded clip is damaged."""
        record = super().read(folder, fingerprint, roots)
        if record is None:
            return None
        record.window_s = tuple(record.window_s)
        paths = [row["path"] for row in manifest.read_manifest(record.manifest_path)]
        return record if are_intact(roots["cache"], paths) else None

    def rows(self, split=None):
        """Rows of one split, or of all.

        Returns
        -------
        list of dict
            Beside the manifest's columns (`dataset.read_row(row, roots, sample_rate_hz)` gives
            the waveform): valence and arousal, numbers on the static scale, or None;
            dynamic_valence and dynamic_arousal, lists at 2 Hz on the dynamic scale (NaN where
            there is no label, empty where there is none in the window); dynamic_start_s, time of
            the first of them in the clip; start_s, where the clip begins in its song.
        """
        return [typed(row) for row in super().rows(split)]

    def heading(self):
        (start_s, end_s), scale = self.window_s, self.scale
        lines = [
            f"{self.dataset}, protocol {self.protocol}, {self.target} labels from "
            f"{scale['low']:g} to {scale['high']:g}: {self.completeness}",
            f"data {self.roots['']}",
            f"window {start_s:g} to {end_s:g} s at {self.sample_rate_hz} Hz, in "
            f"{self.roots['cache']}",
        ]
        if self.dataset.endswith("DEAM"):
            exchanged = "EXCHANGED BACK" if self.exchange["exchanged"] else "not exchanged"
            lines.append(
                f"static valence and arousal of ids up to 1000: {exchanged} "
                f"({self.exchange['reason']})"
            )
        return [
            *lines,
            f"digest {self.digest[:16]} (test {self.test_digest[:16]}), "
            f"data seed {self.settings['seed']}",
        ]

    def remarks(self):
        decoded = self.decoded
        lines = [f"results are {self.remark}"]
        for kind, what in (
            ("padded", "padded with zeros at the end"),
            ("shifted", "taken from earlier than the window"),
            ("clipped", "beyond full scale in places, clipped"),
        ):
            if decoded[kind]:
                lines.append(f"note: {decoded[kind]} of {decoded['songs']} clips are {what}")
        return lines


def typed(row):
    """A manifest row with its numbers as numbers."""
    row = dict(row)
    for column in ("valence", "arousal"):
        row[column] = float(row[column]) if column in row else None
    for column in ("dynamic_valence", "dynamic_arousal"):
        row[column] = [float(text) for text in row.get(column, "").split()]
    row["dynamic_start_s"] = float(row["dynamic_start_s"]) if "dynamic_start_s" in row else None
    row["start_s"] = float(row.get("start_s", 0))
    return row
