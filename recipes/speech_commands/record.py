"""The record of a prepared Speech Commands folder, and its table of clips by class."""

from dataclasses import dataclass

from ...processing.data import manifest
from ..training.record import Record


@dataclass(kw_only=True)
class SpeechCommandsRecord(Record):
    """A prepared Speech Commands folder; see `Record` for what all data sets have.

    Attributes
    ----------
    labels : list of str
        The classes in their fixed order.
    split_source : str
        "lists" or "hash": what decided on the splits.
    test_source : str
        "official_archive", "testing_list" or "hash": what the test set is.
    test_digest : str
        SHA-256 of the test rows.
    noise_files : dict
        Noise recordings by split ("train", "valid", "test"), relative to the data folder.
    """

    labels: list
    split_source: str
    test_source: str
    test_digest: str
    noise_files: dict

    VERSION = 3
    dataset = "Speech Commands"
    digest_of = staticmethod(manifest.digest)  # of the paths as well

    def heading(self):
        return [
            f"protocol {self.protocol}, split by {self.split_source}, "
            f"test set: {self.test_source}, seed {self.settings['seed']}",
            f"data {self.roots['']}: {self.completeness}",
            f"digest {self.digest[:16]} (test {self.test_digest[:16]})",
        ]

    def table(self):
        """Lines of the table of counts: one row per class."""
        width = max(len("class"), *map(len, self.labels))
        lines = [f"{'class':<{width}}" + "".join(f"{split:>8}" for split in self.counts)]
        for label in self.labels:
            numbers = (f"{by_label[label]:>8}" for by_label in self.counts.values())
            lines.append(f"{label:<{width}}" + "".join(numbers))
        totals = (f"{sum(by_label.values()):>8}" for by_label in self.counts.values())
        return [*lines, f"{'all':<{width}}" + "".join(totals)]
