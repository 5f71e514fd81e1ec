"""What a preparation leaves behind: the record of a data set, its text, and its reuse."""

import hashlib
import json
from dataclasses import dataclass

from ...processing.data import manifest
from ..training import preparation

# Part of what makes a prepared folder reusable: raise it whenever the same input gives other rows.
VERSION = 1


@dataclass
class Prepared:
    """A prepared data set.

    Attributes
    ----------
    manifest_path : str
        The CSV file; `rows` reads it.
    dataset : str
        "DEAM", "EmoMusic", "PMEmo" or "mini DEAM".
    protocol : str
        Name of the protocol.
    target : "static" or "dynamic"
    roots : dict
        Folders by root name: "" is the data folder, "cache" holds the decoded clips.
    sample_rate_hz : int
        Of the decoded clips.
    window_s : tuple of float
        Which part of a song they are.
    scale : dict
        {"low", "high"} of the target's labels; `scales.to_unit` and `from_unit` map them to -1..1
        and back.
    scales : dict
        The same by "static" and "dynamic".
    counts : dict
        {split: {"songs", "artists", "hours", "dynamic_labels"}}.
    completeness : str
        "complete", "mini", or which part of the data set this is.
    comparable : bool
        Whether the test songs are the data set's own, all of them.
    remark : str
        What a result of this protocol has to say wherever it is shown.
    exchange : dict
        {"setting", "exchanged", "reason"} of valence and arousal in the static table (DEAM).
    decoded : dict
        {"songs", "padded", "clipped", "shifted"}: songs in the cache, those padded at the end,
        those with samples beyond full scale, those whose window was moved.
    digest, test_digest : str
        SHA-256 of all rows and of the test rows, the same for every copy of the data.
    skipped : list of dict
        {"path", "kind", "reason"} of what `skip_broken` left out.
    notes : list of str
        What is unusual about this preparation.
    settings : dict
        The arguments that decide on the rows.
    """

    manifest_path: str
    dataset: str
    protocol: str
    target: str
    roots: dict
    sample_rate_hz: int
    window_s: tuple
    scale: dict
    scales: dict
    counts: dict
    completeness: str
    comparable: bool
    remark: str
    exchange: dict
    decoded: dict
    digest: str
    test_digest: str
    skipped: list
    notes: list
    settings: dict

    @property
    def protocol_id(self):
        """Two results belong into one table only if this is the same for both."""
        size = self.completeness if self.completeness in ("complete", "mini") else "subset"
        return f"{self.protocol}-{self.target}/{size}/{self.test_digest[:8]}"

    def rows(self, split=None):
        """Rows of one split, or of all.

        Returns
        -------
        list of dict
            Beside the manifest's columns (`manifest.read_row(row, roots, sample_rate_hz)` gives
            the waveform): valence and arousal, numbers on the static scale, or None;
            dynamic_valence and dynamic_arousal, lists at 2 Hz on the dynamic scale (NaN where
            there is no label, empty where there is none in the window); dynamic_start_s, time of
            the first of them in the clip; start_s, where the clip begins in its song.
        """
        rows = manifest.read_manifest(self.manifest_path)
        return [typed(row) for row in rows if split is None or row["split"] == split]


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


def describe(prepared):
    """What was prepared, as text: provenance, the decision on the labels, counts by split.

    Arguments
    ---------
    prepared : Prepared
        What `prepare` returned.
    """
    start_s, end_s = prepared.window_s
    scale, exchange, decoded = prepared.scale, prepared.exchange, prepared.decoded
    lines = [
        f"{prepared.dataset}, protocol {prepared.protocol}, {prepared.target} labels from "
        f"{scale['low']:g} to {scale['high']:g}: {prepared.completeness}",
        f"data {prepared.roots['']}",
        f"window {start_s:g} to {end_s:g} s at {prepared.sample_rate_hz} Hz, in "
        f"{prepared.roots['cache']}",
    ]
    if prepared.dataset.endswith("DEAM"):
        lines.append(
            "static valence and arousal of ids up to 1000: "
            + ("EXCHANGED BACK" if exchange["exchanged"] else "not exchanged")
            + f" ({exchange['reason']})"
        )
    lines += [
        f"digest {prepared.digest[:16]} (test {prepared.test_digest[:16]}), "
        f"data seed {prepared.settings['seed']}",
        "",
        f"{'split':<6}{'songs':>8}{'artists':>9}{'hours':>8}{'dynamic labels':>16}",
    ]
    for split, counts in prepared.counts.items():
        lines.append(
            f"{split:<6}{counts['songs']:>8}{counts['artists']:>9}{counts['hours']:>8.2f}"
            f"{counts['dynamic_labels']:>16}"
        )
    lines.append(f"results are {prepared.remark}")
    for count, what in (
        (decoded["padded"], "padded with zeros at the end"),
        (decoded["shifted"], "taken from earlier than the window"),
        (decoded["clipped"], "beyond full scale in places, clipped"),
    ):
        if count:
            lines.append(f"note: {count} of {decoded['songs']} clips are {what}")
    return "\n".join(lines + preparation.describe_rest(prepared.notes, prepared.skipped))


def digest_of(rows):
    """`manifest.digest` without paths: two copies of the data are one."""
    return manifest.digest({**row, "path": ""} for row in rows)


def fingerprint_of(settings, corpus, found):
    """SHA-256 of everything the manifest depends on, as far as it shows without decoding."""
    total = hashlib.sha256(json.dumps([VERSION, settings, found], sort_keys=True).encode())
    for path in corpus.tables:
        total.update(hashlib.sha256(path.read_bytes()).digest())
    for song in corpus.songs.values():
        file = song.audio
        total.update(f"{file.key}\n{file.size}\n{file.mtime_ns}\n".encode() if file else b"-\n")
    return total.hexdigest()


def read_prepared(output_folder, fingerprint, roots):
    """What is prepared in a folder, or None when it is of something else or not whole."""
    prepared = preparation.read_prepared(Prepared, output_folder, fingerprint, roots)
    if prepared is None:
        return None
    prepared.window_s = tuple(prepared.window_s)
    clips = manifest.read_manifest(prepared.manifest_path)
    return prepared if all(manifest.resolve(row, roots).is_file() for row in clips) else None
