"""The record of a prepared VoxCeleb protocol, with its utterances and trials."""

import os
from dataclasses import dataclass, field

from ...processing.scoring.verification.trials import read_trials
from ..training.record import MANIFEST, Record
from .utterances import read_rows

VALID_TRIALS = "valid_trials.txt"


@dataclass(kw_only=True)
class VoxCelebRecord(Record):
    """A prepared VoxCeleb protocol; see `Record` for what all data sets have.

    counts are {"utterances", "speakers", "hours"} by split; "valid" and "test" have "trials",
    "target" and "nontarget", too. completeness may be "mini" and "own list", too. The digest is of
    the recordings, lengths and speakers of all splits and of both lists.

    Attributes
    ----------
    train_on : str
        "voxceleb1", "voxceleb2" or "both".
    test_list : dict
        {"file", "sha256", "url", and the counts of its trials and recordings}.
    prefixes : dict
        By root name, what its ids have in front of the path.
    labels : list of str
        The training speakers, sorted.
    utterances : dict
        `Utterances` by split: a mapping from id to {"path", "duration_s", "speaker"}.
    trials : dict
        TrialList by split, "valid" and "test".
    """

    train_on: str
    test_list: dict
    prefixes: dict
    labels: list = field(default_factory=list)
    utterances: dict = field(default_factory=dict)
    trials: dict = field(default_factory=dict)

    VERSION = 3
    FILES = (MANIFEST, VALID_TRIALS)
    UNWRITTEN = ("roots", "labels", "utterances", "trials")
    COLUMNS = {"speakers": 10, "utterances": 12, "hours": 10, "trials": 10}

    @classmethod
    def read(cls, folder, fingerprint, roots, test_trials):
        """The record in a folder, or None when it is of other input or not whole.

        Arguments
        ---------
        folder : Path
        fingerprint : str
        roots : dict
            Folders by root name; those that are not used are left out.
        test_trials : TrialList
        """
        values = cls.read_values(folder, fingerprint)
        if values is None:
            return None
        prefixes = values["prefixes"]
        used = {name: str(roots[name]) for name in prefixes if name in roots}
        if len(used) < len(prefixes) or not all(map(os.path.isdir, used.values())):
            return None
        utterances = read_rows(values["manifest_path"], values["counts"], used, prefixes)
        trials = {"valid": read_trials(folder / VALID_TRIALS), "test": test_trials}
        labels = utterances["train"].speakers
        return cls(**values, roots=used, labels=labels, utterances=utterances, trials=trials)

    def heading(self):
        test = self.test_list
        return [
            f"protocol {self.protocol}: {test['file']}, {test['trials']} trials "
            f"({test['target']} target, {test['nontarget']} non-target) of "
            f"{test['recordings']} recordings, SHA-256 {test['sha256'][:16]}",
            f"training on {self.train_on}, data: {self.completeness}",
            *(f"data {name}: {folder}" for name, folder in self.roots.items()),
            f"digest {self.digest[:16]}, data seed {self.settings['seed']}",
        ]
