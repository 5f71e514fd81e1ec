"""The record of a prepared TIMIT folder or table of recordings."""

from dataclasses import dataclass

from ..training.record import Record


@dataclass(kw_only=True)
class TimitRecord(Record):
    """A prepared TIMIT folder or table; see `Record` for what all data sets have.

    Beside the columns that every recipe has, rows have dialect ("dr1"), text, words, phones (of
    the 61, separated by spaces) and phone_ends (in samples), as far as they exist. Phones in counts
    are the reference tokens in the convention of 39 phones, silence kept, ``q`` deleted.
    completeness may be "mini" and "own table", too.

    Attributes
    ----------
    dataset : str
        "TIMIT", "mini TIMIT", or for a table of recordings the name of its folder.
    comparable : bool
        Whether a result may stand beside published ones: protocol standard on the whole corpus.
    remark : str
        What a result of this protocol has to say wherever it is shown; may be empty.
    test_digest : str
        SHA-256 of the test rows.
    """

    dataset: str
    comparable: bool
    remark: str
    test_digest: str

    VERSION = 3
    COLUMNS = {"utterances": 12, "speakers": 10, "hours": 8, "phones": 10}

    def heading(self):
        return [
            f"{self.dataset}, protocol {self.protocol}: {self.completeness}",
            f"data {self.roots['']}",
            f"digest {self.digest[:16]} (test {self.test_digest[:16]}), "
            f"data seed {self.settings['seed']}",
        ]

    def remarks(self):
        lines = ["(phones: of 39, silence kept, q deleted)"]
        return [*lines, f"results are {self.remark}"] if self.remark else lines
