"""Checks of options and inputs of lobes; errors name the option, the range and the value."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real

import numpy as np

from ..processing.filterbank.framing import hop_samples, odd_window_samples
from ..processing.system.rules import choice as choice

#: Longest window and hop; a longer one is a mistyped unit and would fill the memory.
MAX_MS = 10_000.0
#: Largest count, where nothing else is said: more units, layers or features were never meant.
MAX_COUNT = 2**20


def number(
    name: str,
    value,
    low: float = -math.inf,
    high: float = math.inf,
    above: float | None = None,
    below: float | None = None,
) -> float:
    """A finite number with low <= value <= high, or above < value < below where these are set.

    Raises
    ------
    ValueError
        Out of range, NaN, infinite, or no number: text, None, True.

    Example
    -------
    >>> number("hop_ms", 10, above=0)
    10.0
    """
    bounds = []
    if above is not None:
        bounds.append(f"above {above:g}")
    elif low > -math.inf:
        bounds.append(f"at least {low:g}")
    if below is not None:
        bounds.append(f"below {below:g}")
    elif high < math.inf:
        bounds.append(f"at most {high:g}")
    fits = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if (
        not fits
        or not low <= value <= high
        or (above is not None and not value > above)
        or (below is not None and not value < below)
    ):
        allowed = " and ".join(bounds)
        raise ValueError(f"{name} must be a finite number {allowed}".rstrip() + f", got {value!r}")
    return float(value)


def whole(name: str, value, low: int = 1, high: int = MAX_COUNT) -> int:
    """A whole number from `low` to `high`, where every count ends unless something else is said.

    Example
    -------
    >>> whole("num_features", 40)
    40
    """
    fits = isinstance(value, Integral) and not isinstance(value, bool)
    if not fits or not low <= value <= high:
        at_least = high == MAX_COUNT and not (fits and value > high)
        allowed = f"of at least {low}" if at_least else f"from {low} to {high}"
        raise ValueError(f"{name} must be a whole number {allowed}, got {value!r}")
    return int(value)


def wholes(name: str, values, count: int | None = None) -> list[int]:
    """A sequence of `count` whole numbers of at least 1; None: of any length.

    Example
    -------
    >>> wholes("channels", (8, 16), 2)
    [8, 16]
    """
    listed = isinstance(values, Sequence) and not isinstance(values, str)
    if not listed or count not in (None, len(values)):
        raise ValueError(f"{name} must be {count or 'a list of'} whole numbers, got {values!r}")
    return [whole(name, value) for value in values]


def flag(name: str, value) -> bool:
    """True or False; text is refused, because the text "no" would count as true.

    Example
    -------
    >>> flag("learnable", False)
    False
    """
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def failures(values: Mapping, checks: Iterable[tuple], prefix: str = "") -> list[str]:
    """What is wrong with the values of a configuration.

    Arguments
    ---------
    values : dict
    checks : (check, key, limits)
        One of the checks of this file, the key of the value, and the keyword arguments of the
        check.
    prefix : str
        Stands before the keys in the messages.

    Example
    -------
    >>> failures({"lr": -1}, [(number, "lr", {"above": 0})])
    ['lr must be a finite number above 0, got -1']
    """
    problems = []
    for check, key, limits in checks:
        try:
            check(f"{prefix}{key}", values[key], **limits)
        except (TypeError, ValueError) as error:
            problems.append(str(error))
    return problems


def takes_options_of(function: Callable) -> Callable[[Callable], Callable]:
    """Decorator of an `__init__` that hands its `**options` on to `function`.

    The signature then shows the arguments of `function` that have a default, in the place of
    `**options`: what reads the options of a lobe finds them there.

    Example
    -------
    >>> @takes_options_of(odd_window)
    ... def window(sample_rate, **options): ...
    >>> list(inspect.signature(window).parameters)
    ['sample_rate', 'least', 'name']
    """

    def decorate(init: Callable) -> Callable:
        own = inspect.signature(init).parameters
        handed_on = [
            parameter.replace(kind=parameter.KEYWORD_ONLY)
            for name, parameter in inspect.signature(function).parameters.items()
            if parameter.default is not parameter.empty and name not in own
        ]
        kept = [parameter for parameter in own.values() if parameter.kind != parameter.VAR_KEYWORD]
        init.__signature__ = inspect.Signature([*kept, *handed_on])
        return init

    return decorate


def odd_window(sample_rate: int, window_ms: float, least: int = 5, name: str = "window_ms") -> int:
    """Odd number of samples of a window, see `odd_window_samples`; at least `least`.

    Example
    -------
    >>> odd_window(16000, 25.0)
    401
    """
    window_ms = number(name, window_ms, above=0, high=MAX_MS)
    samples = odd_window_samples(sample_rate, window_ms)
    if samples < least:
        raise ValueError(
            f"{name}={window_ms:g} gives {samples} samples at {sample_rate} Hz; at least {least} "
            "are needed"
        )
    return samples


def hop(sample_rate: int, hop_ms: float) -> int:
    """Whole samples of a hop, see `hop_samples`.

    Example
    -------
    >>> hop(16000, 10.0)
    160
    """
    return hop_samples(sample_rate, number("hop_ms", hop_ms, above=0, high=MAX_MS))


def frequency_range(
    sample_rate: int, min_freq_hz: float, max_freq_hz: float | None
) -> tuple[float, float]:
    """0 <= min_freq_hz < max_freq_hz <= sample_rate / 2; None is half the sample rate.

    Example
    -------
    >>> frequency_range(16000, 0, 8000)
    (0.0, 8000.0)
    """
    if max_freq_hz is None:
        max_freq_hz = sample_rate / 2
    low, high = number("min_freq_hz", min_freq_hz), number("max_freq_hz", max_freq_hz)
    if not 0 <= low < high <= sample_rate / 2:
        raise ValueError(
            f"need 0 <= min_freq_hz < max_freq_hz <= {sample_rate / 2:g} (half the sample rate), "
            f"got {min_freq_hz} and {max_freq_hz}"
        )
    return low, high
