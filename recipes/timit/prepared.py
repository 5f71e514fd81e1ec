"""What a preparation leaves behind: the record of a data set, its text, and its reuse."""

import hashlib
import json
from dataclasses import dataclass

from ...processing.data import manifest
from ..training.preparation import describe_rest

# Part of what makes a prepared folder reusable: raise it whenever the same input gives other rows.
VERSION = 2


@dataclass
class Prepared:
    """A prepared data set.

    Attributes
    ----------
    manifest_path : str
        The CSV file. Beside the columns that every recipe has: dialect ("dr1"), text, words,
        phones (of the 61, separated by spaces) and phone_ends (in samples), as far as they exist.
    dataset : str
        "TIMIT", "mini TIMIT", or for a table of recordings the name of its folder.
    protocol : str
        Name of the protocol.
    roots : dict
        Folders by root name, for `manifest.resolve` and `manifest.read_row`.
    counts : dict
        {split: {"utterances", "speakers", "hours", "phones"}}; phones are the reference tokens in
        the convention of 39 phones, silence kept, ``q`` deleted.
    completeness : str
        "complete", "mini", "own table", or which part of TIMIT this is.
    comparable : bool
        Whether a result may stand beside published ones: protocol standard on the whole corpus.
    remark : str
        What a result of this protocol has to say wherever it is shown; may be empty.
    digest, test_digest : str
        SHA-256 of all rows and of the test rows, the same for every form of the same corpus.
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
    roots: dict
    counts: dict
    completeness: str
    comparable: bool
    remark: str
    digest: str
    test_digest: str
    skipped: list
    notes: list
    settings: dict

    @property
    def reference_tokens(self):
        """Phones of the test set in the convention of 39, silence kept: 7,215 for the core test."""
        return self.counts["test"]["phones"]

    @property
    def protocol_id(self):
        """Two results belong into one table only if this is the same for both."""
        size = self.completeness if self.completeness in ("complete", "mini") else "subset"
        name = f"{self.protocol}:{self.dataset}" if self.protocol == "manifest" else self.protocol
        return f"{name}/{size}/{self.test_digest[:8]}"

    def rows(self, split=None):
        """Rows of one split, or of all."""
        rows = manifest.read_manifest(self.manifest_path)
        return [row for row in rows if split is None or row["split"] == split]


def describe(prepared):
    """What was prepared, as text: provenance, then counts by split.

    Arguments
    ---------
    prepared : Prepared
        What `prepare` returned.
    """
    lines = [
        f"{prepared.dataset}, protocol {prepared.protocol}: {prepared.completeness}",
        f"data {prepared.roots['']}",
        f"digest {prepared.digest[:16]} (test {prepared.test_digest[:16]}), "
        f"data seed {prepared.settings['seed']}",
        "",
        f"{'split':<6}{'utterances':>12}{'speakers':>10}{'hours':>8}{'phones':>10}",
    ]
    for split, counts in prepared.counts.items():
        lines.append(
            f"{split:<6}{counts['utterances']:>12}{counts['speakers']:>10}"
            f"{counts['hours']:>8.2f}{counts['phones']:>10}"
        )
    lines.append("(phones: of 39, silence kept, q deleted)")
    if prepared.remark:
        lines.append(f"results are {prepared.remark}")
    lines += describe_rest(prepared.notes, prepared.skipped)
    return "\n".join(lines)


def digest_of(rows):
    """`manifest.digest` without the path: upper case, lower case and copies are one corpus."""
    return manifest.digest({**row, "path": ""} for row in rows)


def fingerprint_of(settings, files, found):
    """SHA-256 of everything the manifest depends on, as far as it shows without reading a file."""
    total = hashlib.sha256(json.dumps([VERSION, settings, found], sort_keys=True).encode())
    for file in files:
        total.update(f"{file.key}\n{file.size}\n{file.mtime_ns}\n".encode())
    return total.hexdigest()
