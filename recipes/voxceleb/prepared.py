"""What a preparation leaves behind: the record of a data set, its text, and its reuse."""

import hashlib
import json
import os
from dataclasses import dataclass, field

from ...processing.scoring.verification.trials import read_trials
from ..training.preparation import describe_rest, read_record, write_record
from .utterances import read_rows

# Part of what makes a prepared folder reusable: raise it whenever the same input gives other rows.
VERSION = 2
VALID_TRIALS = "valid_trials.txt"


@dataclass
class Prepared:
    """A prepared data set.

    Attributes
    ----------
    manifest_path : str
        The CSV file, by split and id.
    protocol : str
        Name of the protocol; for a list of one's own "list:" and the list's file name.
    train_on : str
        "voxceleb1", "voxceleb2" or "both".
    labels : list of str
        The training speakers, sorted.
    counts : dict
        {"train": {"utterances", "speakers", "hours"}, ...}; "valid" and "test" have "trials",
        "target" and "nontarget", too.
    test_list : dict
        {"file", "sha256", "url", and the counts of its trials and recordings}.
    completeness : str
        "complete", "mini", "own list", or which part of the published data set this is.
    digest : str
        SHA-256 of the recordings, lengths and speakers of all splits and of both lists.
    prefixes : dict
        By root name, what its ids have in front of the path.
    skipped : list of dict
        {"path", "reason"} of what `skip_broken` left out.
    notes : list of str
        What is unusual about this preparation.
    settings : dict
        The arguments that decide on the rows.
    roots : dict
        Folders by root name.
    utterances : dict
        `Utterances` by split: a mapping from id to {"path", "duration_s", "speaker"}.
    trials : dict
        TrialList by split, "valid" and "test".
    """

    manifest_path: str
    protocol: str
    train_on: str
    labels: list
    counts: dict
    test_list: dict
    completeness: str
    digest: str
    prefixes: dict
    skipped: list
    notes: list
    settings: dict
    roots: dict = field(default_factory=dict)
    utterances: dict = field(default_factory=dict)
    trials: dict = field(default_factory=dict)

    @property
    def protocol_id(self):
        """Two results belong into one table only if this is the same for both.

        It names the protocol, what the data is, and the test trials by digest. What was trained
        on is another column of the table.
        """
        kind = self.completeness if self.completeness in ("mini", "own list") else "published"
        return f"{self.protocol}/{kind}/{self.test_list['sha256'][:8]}"


def describe(prepared):
    """What was prepared, as text: provenance, the list of trials, then counts by split.

    Arguments
    ---------
    prepared : Prepared
        What `prepare` returned.
    """
    test_list = prepared.test_list
    lines = [
        f"protocol {prepared.protocol}: {test_list['file']}, {test_list['trials']} trials "
        f"({test_list['target']} target, {test_list['nontarget']} non-target) of "
        f"{test_list['recordings']} recordings, SHA-256 {test_list['sha256'][:16]}",
        f"training on {prepared.train_on}, data: {prepared.completeness}",
        *(f"data {name}: {folder}" for name, folder in prepared.roots.items()),
        f"digest {prepared.digest[:16]}, data seed {prepared.settings['seed']}",
        "",
        f"{'split':<6}{'speakers':>10}{'utterances':>12}{'hours':>10}{'trials':>10}",
    ]
    for split, counts in prepared.counts.items():
        lines.append(
            f"{split:<6}{counts['speakers']:>10}{counts['utterances']:>12}"
            f"{counts['hours']:>10.2f}{counts.get('trials', ''):>10}"
        )
    lines += describe_rest(prepared.notes, prepared.skipped)
    return "\n".join(lines)


def fingerprint_of(settings, corpora, trials):
    """SHA-256 of everything the manifest depends on, as far as it shows without reading audio."""
    parts = [VERSION, settings, trials.digest]
    parts += [(name, files.fingerprint()) for name, files in corpora.items()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def write_prepared(record, output_folder, fingerprint):
    """Write prepare.json: all of `Prepared` but the folders of this run and what other files hold."""
    files = ("manifest.csv", VALID_TRIALS)
    write_record({**record, "manifest_path": "manifest.csv"}, output_folder, fingerprint, files)


def read_prepared(output_folder, fingerprint, roots, test_trials):
    """What is prepared in a folder, or None when it is of something else or not whole.

    Arguments
    ---------
    output_folder : Path
    fingerprint : str
        As `fingerprint_of` says for what is wanted.
    roots : dict
        Folders by root name; those that are not used are left out.
    test_trials : TrialList
    """
    record = read_record(output_folder, fingerprint)
    if record is None:
        return None
    used = {name: str(roots[name]) for name in record["prefixes"] if name in roots}
    if len(used) < len(record["prefixes"]) or not all(map(os.path.isdir, used.values())):
        return None
    path = output_folder / record["manifest_path"]
    utterances = read_rows(path, record["counts"], used, record["prefixes"])
    record |= {"manifest_path": str(path), "roots": used, "utterances": utterances}
    record["labels"] = utterances["train"].speakers
    valid_trials = read_trials(output_folder / VALID_TRIALS)
    return Prepared(**record, trials={"valid": valid_trials, "test": test_trials})
