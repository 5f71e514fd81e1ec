"""What is said of two systems that were compared: the line of the difference, and a verdict."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["difference_line", "verdict"]


def difference_line(record: dict, number: Callable[[float, str], str], over: str) -> str:
    """The difference with its interval and p, and how they were found.

    Arguments
    ---------
    record : with `difference`, `interval`, `p_value`, `confidence`, `n_resamples` and `seed`.
    number : (value, sign) -> text, `sign` as in a format specification.
    over : what is drawn, such as "40 speakers".
    """
    low, high = (number(value, "+") for value in record["interval"])
    return (
        f"A - B  {number(record['difference'], '+')} [{low}, {high}], p {_p_value(record)} "
        f"({100 * record['confidence']:g} %, paired bootstrap over {over}, "
        f"{record['n_resamples']} resamples, seed {record['seed']})"
    )


def verdict(
    record: dict, on: str, better: str = "errs less than", higher_is_better: bool = False
) -> str:
    """One sentence on whether A and B differ.

    Arguments
    ---------
    record : with `a`, `b`, `difference`, `interval` and `differ`.
    on : what they were compared on.
    better : what the better one does to the other.
    higher_is_better : of the score.
    """
    if record["a"] == record["b"] and record["interval"] == [0.0, 0.0]:
        return f"A and B err alike in every resample of {on}: nothing tells them apart."
    if not record["differ"]:
        return f"A and B do not differ measurably on {on}: the interval of the difference holds 0."
    first, second = ("A", "B") if (record["difference"] > 0) == higher_is_better else ("B", "A")
    return (
        f"{first} {better} {second} on {on}: the interval of the difference leaves out 0. This is "
        "about these two trained models, not about the methods that made them."
    )


def _p_value(record: dict) -> str:
    least = 1 / record["n_resamples"]
    return f"< {least:g}" if record["p_value"] <= least else f"= {record['p_value']:.3g}"
