"""The record of prepared own recordings: classes, split protocol, and a table of counts."""

from dataclasses import dataclass

from ...processing.data import manifest
from ..training.record import Record


@dataclass(kw_only=True)
class SoundsRecord(Record):
    """Prepared recordings of one's own; see `Record` for what all data sets have.

    Attributes
    ----------
    task : "classification" or "tagging"
    classes : list of str
        The classes or tags in their order.
    fold : str
        The fold that is tested on; "" without folds.
    grouped : bool
        Whether recordings have groups, which intervals resample; else they stand for themselves.
    source : str
        Where the labels are from.
    test_digest : str
        SHA-256 of the test rows.
    """

    task: str
    classes: list
    fold: str
    grouped: bool
    source: str
    test_digest: str

    VERSION = 1
    dataset = "own sounds"
    digest_of = staticmethod(manifest.digest)  # of the paths as well

    def labels_of(self, row: dict) -> list[str]:
        """The labels of a row: one class, or any number of tags."""
        if self.task == "classification":
            return [row["label"]]
        return [tag for tag in row["label"].split(";") if tag]

    def heading(self):
        fold = f", fold {self.fold}" if self.fold else ""
        return [
            f"{self.task} with {len(self.classes)} labels of {self.source}",
            f"split by {self.protocol}{fold}, data seed {self.settings['seed']}",
            f"data {self.roots['']}, digest {self.digest[:16]} (test {self.test_digest[:16]})",
        ]

    def table(self):
        width = max(len("label"), *map(len, self.classes))
        lines = [f"{'label':<{width}}" + "".join(f"{split:>8}" for split in self.counts)]
        for label in self.classes:
            numbers = (f"{by_label[label]:>8}" for by_label in self.counts.values())
            lines.append(f"{label:<{width}}" + "".join(numbers))
        return lines
