"""Check named values against rules, and say of all that break one what they must be."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real

#: Whether a value fits, and what it must be, in words.
Rule = tuple[Callable[[object], bool], str]


def wrong_values(
    values: Mapping[str, object],
    rules: Mapping[str, Rule],
    text: str = "{name} must be {what}, got {value!r}",
) -> list[str]:
    """A text for every value that breaks its rule; what is absent is not checked.

    Example
    -------
    >>> wrong_values({"lr": -1.0, "epochs": 3}, {"lr": number(0), "epochs": whole(1)})
    ['lr must be a number of at least 0, got -1.0']
    """
    return [
        text.format(name=name, what=what, value=values[name])
        for name, (fits, what) in rules.items()
        if name in values and not fits(values[name])
    ]


def is_number(value, least: float = -math.inf, most: float = math.inf) -> bool:
    """Whether a value is a number within bounds, and not true or false."""
    return (
        isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most
    )


def is_whole(value, least: float = -math.inf) -> bool:
    """Whether a value is a whole number of at least `least`, and not true or false."""
    return isinstance(value, int) and is_number(value, least)


def number(least: float = -math.inf, most: float = math.inf, what: str = "") -> Rule:
    """The rule of `is_number`, in the words given or in words of its own."""
    return lambda value: is_number(value, least, most), what or f"a number of at least {least:g}"


def whole(least: int, what: str = "") -> Rule:
    """The rule of `is_whole`."""
    return lambda value: is_whole(value, least), what or f"a whole number, {least} or more"


def one_of(allowed: Sequence[str], what: str = "") -> Rule:
    """The rule that a value is one of some words."""
    listed = f"{', '.join(allowed[:-1])} or {allowed[-1]}"
    return lambda value: isinstance(value, str) and value in allowed, what or listed


def choice(name: str, value, allowed: Iterable):
    """A value that is one of those allowed: text, a number or None.

    Raises
    ------
    ValueError
        With what is allowed; also for true, false and arrays.

    Example
    -------
    >>> choice("padding", "zeros", ("zeros", "reflect"))
    'zeros'
    """
    allowed = tuple(allowed)
    plain = isinstance(value, (str, Real, type(None))) and not isinstance(value, bool)
    if not plain or value not in allowed:
        raise ValueError(f"{name} must be one of {allowed}, got {value!r}")
    return value


def or_null(rule: Rule) -> Rule:
    """The rule, or null."""
    fits, what = rule
    return lambda value: value is None or fits(value), f"{what}, or null"


#: Values of a table that is computed when something is built; more were never meant.
MAX_TABLE = 2**24


def table(what: str, *sides: int, most: int = MAX_TABLE) -> None:
    """Refuse a table that is too large, before it takes memory.

    Raises
    ------
    ValueError
        With its sides, and what is allowed.

    Example
    -------
    >>> table("filters by bins", 40, 257)
    """
    if math.prod(sides) > most:
        shape = " x ".join(map(str, sides))
        raise ValueError(f"{what}: {shape} values are too many; at most {most} are allowed")
