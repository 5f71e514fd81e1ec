"""What a preparation leaves behind: the record of a data set, its text, and its reuse."""

import hashlib
import json
from dataclasses import dataclass

from ...processing.data import manifest
from ..training.preparation import describe_rest

# Part of what makes a prepared folder reusable: raise it whenever the same input gives other rows.
_VERSION = 2


@dataclass
class Prepared:
    """A prepared data set.

    Attributes
    ----------
    manifest_path : str
        The CSV file, as `auricle.processing.data.manifest` writes it.
    roots : dict
        Folders by root name, for `manifest.resolve` and `manifest.read_row`.
    labels : list of str
        The classes in their fixed order.
    protocol : str
        Name of the protocol.
    split_source : str
        "lists" or "hash": what decided on the splits.
    test_source : str
        "official_archive", "testing_list" or "hash": what the test set is.
    digest, test_digest : str
        SHA-256 of all rows and of the test rows.
    counts : dict
        Clips by split and label.
    noise_files : dict
        Noise recordings by split ("train", "valid", "test"), relative to the data folder.
    completeness : str
        "complete", or which part of the published data set this is.
    skipped : list of dict
        {"path", "reason"} of what `skip_broken` left out.
    notes : list of str
        What is unusual about this preparation.
    settings : dict
        The arguments that decide on the rows.
    """

    manifest_path: str
    roots: dict
    labels: list
    protocol: str
    split_source: str
    test_source: str
    digest: str
    test_digest: str
    counts: dict
    noise_files: dict
    completeness: str
    skipped: list
    notes: list
    settings: dict

    @property
    def protocol_id(self):
        """Two results belong into one table only if this is the same for both.

        It names the protocol, what the test set is, and the clips of the test set by digest.
        """
        size = "complete" if self.completeness == "complete" else "subset"
        return f"{self.protocol}/{self.test_source}/{size}/{self.test_digest[:8]}"

    def rows(self, split=None):
        """Rows of one split, or of all."""
        rows = manifest.read_manifest(self.manifest_path)
        return [row for row in rows if split is None or row["split"] == split]


def describe(prepared):
    """What was prepared, as text: provenance, then clips by class and split.

    Arguments
    ---------
    prepared : Prepared
        What `prepare` returned.
    """
    splits = list(prepared.counts)
    width = max(len("class"), *map(len, prepared.labels))
    lines = [
        f"protocol {prepared.protocol}, split by {prepared.split_source}, "
        f"test set: {prepared.test_source}, seed {prepared.settings['seed']}",
        f"data {prepared.roots['']}: {prepared.completeness}",
        f"digest {prepared.digest[:16]} (test {prepared.test_digest[:16]})",
        "",
        f"{'class':<{width}}" + "".join(f"{split:>8}" for split in splits),
    ]
    for label in prepared.labels:
        numbers = "".join(f"{prepared.counts[split][label]:>8}" for split in splits)
        lines.append(f"{label:<{width}}{numbers}")
    totals = "".join(f"{sum(prepared.counts[split].values()):>8}" for split in splits)
    lines.append(f"{'all':<{width}}{totals}")
    lines += describe_rest(prepared.notes, prepared.skipped)
    return "\n".join(lines)


def fingerprint_of(settings, corpus):
    """SHA-256 of everything the manifest depends on, as far as it shows without decoding."""
    total = hashlib.sha256(json.dumps([_VERSION, settings], sort_keys=True).encode())
    for file in corpus.files():
        total.update(f"{file.key}\n{file.size}\n{file.mtime_ns}\n".encode())
    total.update(json.dumps([corpus.lists, corpus.problems], sort_keys=True).encode())
    return total.hexdigest()
