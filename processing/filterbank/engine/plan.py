"""Which band of the spectrum each filter needs, and how often its output must be read.

A filter's output occupies a narrow band, so it can be read at a reduced rate: `rate` complex
samples per hop instead of `hop`. What is read decides the error, in three ways:

- what the filter passes outside the band that is kept is lost (`MAX_LEAK` of its energy), but for
  an estimate that is put back (`lost_power`);
- the squared output has up to twice the bandwidth of the output, and what of it lies above half
  the reduced rate is weighted wrongly (`MIN_HEADROOM` times the half-width at -40 dB; less does
  for noise, but not for a quiet frame behind a burst);
- the pooling window is interpolated to the reduced rate, which needs a few samples per hop.

A filter that fits no reduced rate is read at the full rate, exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch.nn import functional

from . import plan_compiled
from .lanes import is_fast

__all__ = ["Plan", "fast_size", "fits", "lost_power", "make_plan"]

#: Largest part of a filter's energy (for white noise) that may lie outside the band it is given.
#: What lies there is estimated and put back, and where that may not do, the filter is applied
#: again (see `BandedBank`).
MAX_LEAK = 3e-7
#: The same where blocks that lose too much are not done again: on a GPU.
MAX_LEAK_UNCHECKED = 1e-8
#: Half the reduced rate over the half-width of the filter at -40 dB.
MIN_HEADROOM = 2.2
#: A new plan is stricter by this factor, so that filters can move a little before the next one.
MARGIN = 1.07
#: Fewest samples per hop, as a part of the hop.
MIN_RATE = 0.0875
#: Part of a filter's band outside which what it passes counts for the bound of `lost_power`.
OUTER_BAND = 0.75


def fast_size(size: int) -> int:
    """Smallest product of 2, 3 and 5 that is at least `size`: a fast FFT.

    Example
    -------
    >>> [fast_size(size) for size in (11, 106, 401)]
    [12, 108, 405]
    """
    while not is_fast(size, largest=5):
        size += 1
    return size


def candidate_rates(hop: int) -> list[int]:
    """Reduced rates, in samples per hop, in steps of about a fifth; none above half the hop."""
    rates, rate = [], max(4, math.ceil(hop * MIN_RATE))
    while True:
        rate = fast_size(rate)
        if rate > hop // 2:
            return rates
        rates.append(rate)
        rate = max(rate + 1, round(rate * 1.2))


@dataclass(eq=False)
class Plan:
    """Groups of filters that are read at one rate.

    Arguments
    ---------
    hop : int
        In samples.
    rates : list of int
        Samples per hop of each filter; `hop` is the full rate.
    centres : list of float
        Middle of each filter's band, in rad/sample.
    power : tensor (N, G) or None
        The power response of the very taps that the plan was made for.
    """

    hop: int
    rates: list[int]
    centres: list[float]
    power: torch.Tensor | None = None

    @cached_property
    def rate_groups(self) -> list[tuple[int, list[int]]]:
        """(rate, filters) by rising rate."""
        return _grouped(self.rates)

    @property
    def reduced(self) -> list[int]:
        """Filters at a reduced rate, by rising rate."""
        return [i for rate, some in self.rate_groups if rate < self.hop for i in some]

    @property
    def cost(self) -> float:
        """Complex samples per sample of the signal."""
        return sum(self.rates) / self.hop


def _grouped(values: list[int]) -> list[tuple[int, list[int]]]:
    return [
        (value, [i for i, other in enumerate(values) if other == value])
        for value in sorted(set(values))
    ]


def _max_leak(taps: torch.Tensor) -> float:
    return MAX_LEAK if taps.device.type == "cpu" else MAX_LEAK_UNCHECKED


def _points(taps: torch.Tensor) -> int:
    """G, points of the FFT for a power response."""
    return 2 ** (2 * taps.shape[2] - 1).bit_length()


def _power_response(taps: torch.Tensor) -> torch.Tensor:
    """(N, G) power response of complex taps (N, 2, W) at the `_frequencies`."""
    complex_taps = torch.complex(taps[:, 0], -taps[:, 1])
    response = torch.fft.ifft(complex_taps, n=_points(taps), norm="forward")
    return response.real.square() + response.imag.square()


def _frequencies(power: torch.Tensor) -> torch.Tensor:
    """Frequencies (G,) of a power response (N, G), in rad/sample."""
    points = power.shape[1]
    return torch.arange(points, device=power.device, dtype=power.dtype) * (2 * math.pi / points)


@torch.no_grad()
def make_plan(taps: torch.Tensor, hop: int, exact: bool = False) -> Plan:
    """Choose a band and a rate for each filter; reads the filters back to the host.

    Arguments
    ---------
    taps : tensor (N, C, W)
    hop : int
        In samples.
    exact : bool
        Full rate for every filter (real filters, or another rectifier than the square).

    Example
    -------
    >>> from auricle.processing.filterbank.shapes import gabor_taps
    >>> taps = gabor_taps(torch.tensor([0.5, 0.5]), torch.tensor([40.0, 2.0]), 401)
    >>> make_plan(taps, hop=160).rates
    [15, 160]
    """
    filters, parts, _ = taps.shape
    if exact or parts == 1:
        return Plan(hop, [hop] * filters, [0.0] * filters)
    candidates = candidate_rates(hop)
    choose = plan_compiled.choose_rates if plan_compiled.can_take(taps) else _choose_rates
    limits = _max_leak(taps) / MARGIN**4, MIN_HEADROOM * MARGIN
    power, lowest, centres = choose(taps, _points(taps), hop, candidates, *limits)
    candidates = [*candidates, hop]
    return Plan(hop, [candidates[i] for i in lowest], centres, power)


def _choose_rates(
    taps: torch.Tensor,
    points: int,
    hop: int,
    candidates: list[int],
    max_leak: float,
    headroom: float,
) -> tuple[torch.Tensor, list[int], list[float]]:
    """Power response (N, points) of complex filters, and of each the number of the first candidate
    that does, and the centre; `plan_compiled` has the same."""
    power = _power_response(taps)
    freqs = _frequencies(power)
    total = power.sum(1).clamp(min=torch.finfo(power.dtype).tiny)
    mean = power @ torch.stack([torch.cos(freqs), torch.sin(freqs)], dim=1)
    # In [-pi/2, 3 pi/2): a band around pi is one piece, and so is a band around 0.
    centres = torch.atan2(mean[:, 1], mean[:, 0]) + math.pi / 2
    centres = centres.remainder(2 * math.pi) - math.pi / 2
    # Power by distance from the bin nearest to the centre: (N, points / 2 + 1).
    apart = torch.arange(points // 2 + 1, device=taps.device)
    middle = (centres * (points / (2 * math.pi))).round().long()[:, None]
    above, below = ((middle + sign * apart).remainder(points) for sign in (1, -1))
    folded = power.gather(1, above) + power.gather(1, below)
    outside = folded.flip(1).cumsum(1).flip(1)  # at this distance and beyond
    edges = torch.tensor(candidates, device=taps.device, dtype=power.dtype) * (math.pi / hop)
    first = [rate * points // (2 * hop) for rate in candidates]
    beyond = outside[:, first] / total[:, None]
    loud = folded >= 1e-4 * power.amax(1, keepdim=True)
    half_width = (loud * apart).amax(1) * (2 * math.pi / points)
    enough = beyond <= max_leak
    enough &= half_width[:, None] * headroom <= edges
    lowest = (~enough).sum(1)  # once a rate is too low, so are all below it
    numbers = torch.stack([lowest.double(), centres.double()]).tolist()
    return power, [int(i) for i in numbers[0]], numbers[1]


@torch.no_grad()
def fits(plan: Plan, taps: torch.Tensor) -> torch.Tensor:
    """Whether the plan still holds the error bound for these taps: a boolean scalar, on device."""
    device = taps.device
    edge = torch.tensor(plan.rates, device=device) * (math.pi / plan.hop)
    reduced = torch.tensor(plan.rates, device=device) < plan.hop
    power = _power_response(taps)
    distance = _distance(
        _frequencies(power), torch.tensor(plan.centres, device=device, dtype=power.dtype)
    )
    leak = (power * (distance > edge[:, None])).sum(1)
    good = leak <= _max_leak(taps) * power.sum(1)
    good &= _half_width(power, distance) * MIN_HEADROOM <= edge
    good |= ~reduced
    return good.all()


@torch.no_grad()
def lost_power(plan: Plan, taps: torch.Tensor, bands: int) -> torch.Tensor | None:
    """Power response of each filter outside its band, in equal wide bands up to half the rate.

    Times the energies of a signal in the wide bands its mean gives, on average, the energy that
    is lost by keeping a filter's own band only. The peak outside the inner `OUTER_BAND` of the
    band gives a bound, also for what is read wrongly: squares of what lies there exceed the
    reduced rate. Both matter where a quiet band is heard next to a loud one, and most for
    truncated filters (a wide Gaussian in a short window).

    Shape
    -----
    -> (2, N, bands): mean and peak; or None when no filter loses anything.
    """
    if not plan.reduced or taps.shape[1] == 1:
        return None
    power = _power_response(taps) if plan.power is None else plan.power
    edges = [rate * math.pi / plan.hop if rate < plan.hop else 2 * math.pi for rate in plan.rates]
    if plan_compiled.can_take(taps):
        return plan_compiled.lost_power(power, plan.centres, edges, OUTER_BAND, bands)
    freqs = _frequencies(power)
    centres = torch.tensor(plan.centres, device=taps.device, dtype=power.dtype)
    edge = torch.tensor(edges, device=taps.device)[:, None]
    half = power.shape[1] // 2
    distance = _distance(freqs, centres)
    outside, outer = power * (distance > edge), power * (distance > OUTER_BAND * edge)
    mean = functional.adaptive_avg_pool1d(outside[:, :half] + outside[:, half:].flip(1), bands)
    peak = functional.adaptive_max_pool1d(outer[:, :half] + outer[:, half:].flip(1), bands)
    return torch.stack([mean, peak * (edge < math.pi)])


def _distance(freqs: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Distance on the circle of each frequency from each centre, (N, G)."""
    apart = (freqs - centres[:, None]).remainder(2 * math.pi)
    return torch.minimum(apart, 2 * math.pi - apart)


def _half_width(power: torch.Tensor, distance: torch.Tensor) -> torch.Tensor:
    """Largest distance from the centre at which a filter is above -40 dB of its peak, (N,)."""
    return (distance * (power >= 1e-4 * power.amax(1, keepdim=True))).amax(1)
