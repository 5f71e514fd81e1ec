"""Protocols of VoxCeleb by name: the list of trials, its size, and what may be trained on.

An error rate belongs to its list: the original and the cleaned Vox1-O differ by up to 0.14 points
for one and the same system, and a list of somebody's own is no Vox1-O at all.

References
----------
A. Nagrani, J. S. Chung, A. Zisserman, "VoxCeleb: a large-scale speaker identification dataset",
Interspeech 2017 (VoxCeleb1, Vox1-O); J. S. Chung, A. Nagrani, A. Zisserman, "VoxCeleb2: Deep
Speaker Recognition", Interspeech 2018 (VoxCeleb2, Vox1-E, Vox1-H). The cleaned lists leave out
recordings that were labelled wrongly. Counts are those of the published files.
"""

import math
from dataclasses import dataclass

from ...processing.system.rules import is_number, is_whole, one_of, wrong_values
from ..training.preparation import Protocols, setting_problems

SAMPLE_RATE_HZ = 16000
META_URL = "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/meta/"
TRAIN_ON = ("voxceleb1", "voxceleb2", "both")
OWN_LIST = "list"

# Speakers and utterances of the published development sets.
PUBLISHED = {"voxceleb1": (1211, 148_642), "voxceleb2": (5994, 1_092_009)}


@dataclass(frozen=True)
class Protocol:
    """What a result is measured on; counts are None where they were not published.

    `file` is the list's own file name, None for a list that the user names. `uses_all_speakers`
    says that the trials are of all speakers of VoxCeleb1, so that none is left for training.
    """

    name: str
    file: str | None
    trials: int | None = None
    target: int | None = None
    nontarget: int | None = None
    uses_all_speakers: bool = False

    @property
    def url(self):
        """Where the list is published; None for a list of one's own."""
        return None if self.file is None else META_URL + self.file

    @property
    def expected(self):
        """The published counts that are known, by name."""
        counts = {"trials": self.trials, "target": self.target, "nontarget": self.nontarget}
        return {name: count for name, count in counts.items() if count is not None}


PROTOCOLS = Protocols(
    Protocol("vox1-o", "veri_test.txt", 37_720, 18_860, 18_860),
    Protocol("vox1-o-cleaned", "veri_test2.txt", 37_611, 18_802, 18_809),
    Protocol("vox1-e", "list_test_all.txt", 581_480, uses_all_speakers=True),
    Protocol("vox1-e-cleaned", "list_test_all2.txt", 579_818, 289_921, 289_897, True),
    Protocol("vox1-h", "list_test_hard.txt", 552_536, uses_all_speakers=True),
    Protocol("vox1-h-cleaned", "list_test_hard2.txt", 550_894, 275_488, 275_406, True),
    Protocol(OWN_LIST, None),
)


def problems(plain):
    """What is wrong with the data part of a configuration, all of it at once.

    Arguments
    ---------
    plain : dict
        Plain values of the YAML. Read are protocol, train_on, voxceleb2_folder, trial_list,
        valid_speakers, valid_trials, data_seed, skip_broken, max_per_speaker and min_duration_s,
        as far as they are there.

    Returns
    -------
    list of str

    Example
    -------
    >>> problems({"protocol": "vox1-o-cleaned", "train_on": "vox2"})
    ["train_on is 'vox2'; it can be voxceleb1, voxceleb2 or both"]
    """
    least = {"valid_trials": 2, "data_seed": 0, "max_per_speaker": 0}
    wrong = setting_problems(plain, PROTOCOLS, least)
    protocol = PROTOCOLS.get(str(plain.get("protocol")))
    path = (
        lambda value: value is None or (isinstance(value, str) and value),
        "give a path, or nothing (null)",
    )
    rules = {
        "train_on": one_of(TRAIN_ON, "it can be voxceleb1, voxceleb2 or both"),
        "voxceleb2_folder": path,
        "trial_list": path,
        "valid_speakers": (
            lambda share: is_whole(share, 2) or (isinstance(share, float) and 0 < share < 1),
            "it must be a share of the training speakers above 0 and below 1, or a whole number of "
            "speakers, 2 or more",
        ),
        "min_duration_s": (
            lambda shortest: is_number(shortest, 0) and shortest < math.inf,
            "it must be a number of seconds, 0 or more",
        ),
    }
    wrong += wrong_values(plain, rules, "{name} is {value!r}; {what}")
    train_on = plain.get("train_on", "voxceleb1")
    if train_on in TRAIN_ON and protocol and protocol.uses_all_speakers and train_on != "voxceleb2":
        wrong.append(
            f"protocol {protocol.name} tests on all speakers of VoxCeleb1, so that training on "
            f"them (train_on: {train_on}) would test on the training speakers; give train_on: "
            "voxceleb2, or test with protocol: vox1-o-cleaned"
        )
    if protocol and protocol.name == OWN_LIST and not plain.get("trial_list"):
        wrong.append("protocol list needs trial_list: the file of trials, e.g. veri_test.txt")
    return wrong
