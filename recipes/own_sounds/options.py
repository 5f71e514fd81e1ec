"""Check the options of a configuration for own recordings before anything is read."""

from ...lobes.registry import ENCODERS
from ...processing.system.rules import one_of, wrong_values
from .corpus import pattern_problem
from .splits import PROTOCOLS

LONG_CLIPS = ("crop", "windows", "first", "centre", "whole")


def problems(plain: dict) -> list[str]:
    """What is wrong with the data part of a configuration, all of it at once.

    Example
    -------
    >>> problems({"protocol": "fold"})
    ["protocol is 'fold'; it can be auto, given, folds or random"]
    """
    file = (lambda value: value is None or isinstance(value, str), "a file's name, or null")
    flag = (lambda value: isinstance(value, bool), "true or false")
    rules = {
        "task": one_of(("auto", "classification", "tagging")),
        "protocol": one_of(PROTOCOLS),
        "long_clips": one_of(LONG_CLIPS),
        "table": file,
        **dict.fromkeys(("balanced", "time_roll", "skip_broken"), flag),
    }
    wrong = wrong_values(plain, rules, "{name} is {value!r}; it can be {what}")
    wrong += filter(None, [pattern_problem(plain.get("name_pattern"))])
    shares = [plain.get(name) for name in ("valid_share", "test_share")]
    for name, share in zip(("valid_share", "test_share"), shares, strict=True):
        is_share = isinstance(share, (int, float)) and not isinstance(share, bool)
        if share is not None and not (is_share and 0 < share < 1):
            wrong.append(f"{name} is {share!r}; it is a share of the recordings, such as 0.15")
            shares = []
    if all(isinstance(share, (int, float)) for share in shares) and sum(shares) >= 1:
        wrong.append(f"valid_share and test_share are {shares}: nothing is left to train on")
    if plain.get("fold") is not None and plain.get("protocol") in ("given", "random"):
        wrong.append(
            f"fold is {plain['fold']!r} with protocol {plain['protocol']}: it is for protocol folds"
        )
    if plain.get("long_clips") == "whole" and plain.get("encoder") in ENCODERS.lobes:
        if ENCODERS.get(plain["encoder"]).needs_in_frames:
            wrong.append(
                f"long_clips is whole, and the encoder {plain['encoder']} is built for clips of one "
                "length: take crop or windows, or another encoder"
            )
    return wrong
