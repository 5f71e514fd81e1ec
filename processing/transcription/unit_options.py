"""Options of the units of a recogniser: their kinds, and what is wrong with a choice."""

from collections.abc import Mapping

from ..system.rules import one_of, whole, wrong_values
from .phones import GLOTTAL_STOP_RULES, SILENCE_RULES

KINDS = {
    "phones39": "phone",
    "phones48": "phone",
    "phones61": "phone",
    "char": "char",
    "bpe": "word",
}
"""What each kind is scored as."""

RATES = {"phone": "per", "char": "cer", "word": "wer"}
"""The error rate of what is scored."""


def unit_problems(options: Mapping) -> list[str]:
    """What is wrong with `units`, `silence_rule`, `glottal_stop` and `bpe_size`, as far as given.

    Example
    -------
    >>> unit_problems({"units": "phones40"})
    ["units is 'phones40'; it can be phones39, phones48, phones61, char or bpe"]
    """
    choices = {"units": tuple(KINDS), "silence_rule": SILENCE_RULES}
    choices["glottal_stop"] = GLOTTAL_STOP_RULES
    rules = {name: one_of(allowed) for name, allowed in choices.items()}
    problems = wrong_values(options, rules, "{name} is {value!r}; it can be {what}")
    size = {"bpe_size": whole(10, "a whole number of subwords, 10 or more")}
    return problems + wrong_values(options, size, "{name} is {value!r}; it must be {what}")
