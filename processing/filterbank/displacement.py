"""How far training moved a bank of filters: centres, bandwidths and shapes."""

import numpy as np

from .responses import FilterSet
from .scales import hz_to_erb


def per_filter(before: FilterSet, after: FilterSet) -> dict[str, np.ndarray]:
    """Shift of each filter's centre and bandwidth, and divergence of its shape.

    Arguments
    ---------
    before, after : FilterSet
        Of the same filters, on the same frequencies.

    Returns
    -------
    Arrays (F,):
    centre_shift_hz, centre_shift_erb, bandwidth_shift_hz : after minus before, signed.
    divergence : Jensen-Shannon divergence (base 2, in [0, 1]) between the power responses, each
        divided by its sum: 0 for equal shapes, 1 for filters that share no frequency. A filter
        that passes nothing has no shape: 1 from any other, 0 from another such filter.

    Raises
    ------
    ValueError
        Another number of filters, other frequencies, or values that are not finite.
    """
    if len(before) != len(after):
        raise ValueError(
            f"{len(before)} filters cannot be compared with {len(after)}: filter k is compared "
            "with filter k"
        )
    if before.freqs_hz.shape != after.freqs_hz.shape or not np.allclose(
        before.freqs_hz, after.freqs_hz
    ):
        raise ValueError(
            "the responses are given on other frequencies: "
            f"{len(before.freqs_hz)} up to {before.freqs_hz[-1]:g} Hz and "
            f"{len(after.freqs_hz)} up to {after.freqs_hz[-1]:g} Hz"
        )
    for bank, when in ((before, "before"), (after, "after")):
        for name in ("centre_hz", "bandwidth_hz", "responses"):
            if not np.isfinite(getattr(bank, name)).all():
                raise ValueError(f"{name} {when} holds NaN or infinity: these are no filters")
    return {
        "centre_shift_hz": after.centre_hz - before.centre_hz,
        # A filter centred below 0 Hz is the mirror image of the one at the positive frequency.
        "centre_shift_erb": hz_to_erb(abs(after.centre_hz)) - hz_to_erb(abs(before.centre_hz)),
        "bandwidth_shift_hz": after.bandwidth_hz - before.bandwidth_hz,
        "divergence": _divergence(before.responses, after.responses),
    }


def displacement(before: FilterSet, after: FilterSet) -> dict:
    """Summary of `per_filter`: mean and largest shift over the filters.

    Arguments
    ---------
    before, after : FilterSet
        As `per_filter`.

    Returns
    -------
    dict of plain numbers:
    count : F
    centre_shift_hz, centre_shift_erb, bandwidth_shift_hz : mean absolute shift over the filters
    centre_shift_hz_max and so on : of the filter that moved most
    divergence, divergence_max : mean and largest Jensen-Shannon divergence

    Example
    -------
    >>> from auricle.processing.filterbank.responses import from_responses
    >>> freqs = [0.0, 100.0, 200.0, 300.0]
    >>> low = from_responses([[0.0, 1.0, 0.0, 0.0]], freqs)
    >>> high = from_responses([[0.0, 0.0, 1.0, 0.0]], freqs)
    >>> moved = displacement(low, high)
    >>> moved["centre_shift_hz"], moved["bandwidth_shift_hz"], moved["divergence"]
    (100.0, 0.0, 1.0)
    """
    moved = per_filter(before, after)
    numbers: dict = {"count": len(after)}
    for name in ("centre_shift_hz", "centre_shift_erb", "bandwidth_shift_hz"):
        shift = np.abs(moved[name])
        numbers[name] = float(shift.mean())
        numbers[f"{name}_max"] = float(shift.max())
    numbers["divergence"] = float(moved["divergence"].mean())
    numbers["divergence_max"] = float(moved["divergence"].max())
    return numbers


def _divergence(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(F, K) amplitudes, twice -> (F,) divergences in bits."""
    p, q = _distribution(before), _distribution(after)
    middle = (p + q) / 2
    bits = (_information(p, middle) + _information(q, middle)) / 2
    silent = (p.sum(1) == 0, q.sum(1) == 0)
    bits = np.where(silent[0] ^ silent[1], 1.0, bits)
    return bits.clip(0.0, 1.0)  # rounding leaves -1e-17 where nothing moved


def _distribution(amplitudes: np.ndarray) -> np.ndarray:
    # Divided by the largest amplitude first: squares of very small amplitudes would be 0.
    peak = amplitudes.max(1, keepdims=True)
    power = np.divide(amplitudes, peak, out=np.zeros_like(amplitudes), where=peak > 0) ** 2
    total = power.sum(1, keepdims=True)
    return np.divide(power, total, out=np.zeros_like(power), where=total > 0)


def _information(p: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """sum_k p log2(p / middle), where 0 log 0 is 0."""
    positive = (p > 0) & (middle > 0)  # half of the smallest positive number is 0
    ratio = np.divide(p, middle, out=np.ones_like(p), where=positive)
    return (p * np.log2(ratio)).sum(1)
