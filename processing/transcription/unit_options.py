"""Options of the units of a recogniser: their kinds, and what is wrong with a choice."""

from collections.abc import Mapping

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
    problems = []
    for name, allowed in (
        ("units", tuple(KINDS)),
        ("silence_rule", SILENCE_RULES),
        ("glottal_stop", GLOTTAL_STOP_RULES),
    ):
        value = options.get(name, allowed[0])
        if not isinstance(value, str) or value not in allowed:
            problems.append(
                f"{name} is {value!r}; it can be {', '.join(allowed[:-1])} or {allowed[-1]}"
            )
    size = options.get("bpe_size", 100)
    if isinstance(size, bool) or not isinstance(size, int) or size < 10:
        problems.append(f"bpe_size is {size!r}; it must be a whole number of subwords, 10 or more")
    return problems
