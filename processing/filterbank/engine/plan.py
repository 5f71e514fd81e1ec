"""Choose for each filter the band of the spectrum and the rate at which its output is read.

A filter's output occupies a narrow band, so it can be read at a reduced rate: `rate` complex
samples per hop instead of `hop`. The rate decides the error, in three ways:

- energy that the filter passes outside its band is lost (`MAX_LEAK` of it at most), except for an
  estimate that is added again (`lost_power`);
- the squared output has up to twice the bandwidth of the output, and is aliased above half the
  reduced rate (`MIN_HEADROOM` times the half-width at -40 dB; less suffices for noise, but not for
  a quiet frame after a burst);
- the pooling window is interpolated to the reduced rate, which needs a few samples per hop.

A filter that fits no reduced rate is read at the full rate, exactly.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from scipy.fft import next_fast_len
from torch.nn import functional

from . import backend

#: Largest part of a filter's energy (for white noise) outside its band. The loss is estimated and
#: added; frames where the estimate may not suffice are computed exactly (see `BandedBank`).
MAX_LEAK = 3e-7
#: The same where no frame is recomputed: on a GPU.
MAX_LEAK_UNCHECKED = 1e-8
#: Half the reduced rate over the half-width of the filter at -40 dB.
MIN_HEADROOM = 2.2
#: A new plan is stricter by this factor, so that filters can move a little before the next one.
MARGIN = 1.07
#: Lowest rate in samples per hop, as a fraction of the hop.
MIN_RATE = 0.0875
#: Fraction of a filter's band outside which its response counts for the bound of `lost_power`.
OUTER_BAND = 0.75


def candidate_rates(hop: int) -> list[int]:
    """Reduced rates, in samples per hop, in steps of about a fifth; none above half the hop."""
    rates, rate = [], max(4, math.ceil(hop * MIN_RATE))
    while True:
        rate = next_fast_len(rate, real=True)
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
        Power response of the taps that the plan was made for.
    """

    hop: int
    rates: list[int]
    centres: list[float]
    power: torch.Tensor | None = None

    @cached_property
    def rate_groups(self) -> list[tuple[int, list[int]]]:
        """(rate, filters) by rising rate."""
        return [
            (rate, [i for i, other in enumerate(self.rates) if other == rate])
            for rate in sorted(set(self.rates))
        ]

    @property
    def reduced(self) -> list[int]:
        """Filters at a reduced rate, by rising rate."""
        return [i for rate, members in self.rate_groups if rate < self.hop for i in members]

    @property
    def cost(self) -> float:
        """Complex samples per sample of the signal."""
        return sum(self.rates) / self.hop


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
def make_plan(taps: torch.Tensor, hop: int, exact: bool = False, compiled: bool = False) -> Plan:
    """Choose a band and a rate for each filter; copies a few numbers per filter to the host.

    Arguments
    ---------
    taps : tensor (N, C, W)
    hop : int
        In samples.
    exact : bool
        Full rate for every filter (real filters, or another rectifier than the square).
    compiled : bool
        In C.

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
    choose = _choose_rates_compiled if compiled else _choose_rates
    limits = _max_leak(taps) / MARGIN**4, MIN_HEADROOM * MARGIN
    power, lowest, centres = choose(taps, hop, candidates, *limits)
    candidates = [*candidates, hop]
    return Plan(hop, [candidates[i] for i in lowest], centres, power)


def _choose_rates(
    taps: torch.Tensor, hop: int, candidates: list[int], max_leak: float, headroom: float
) -> tuple[torch.Tensor, list[int], list[float]]:
    """Power responses (N, G), and each filter's first sufficient candidate (by index) and centre."""
    power, points = _power_response(taps), _points(taps)
    freqs = _frequencies(power)
    total = power.sum(1).clamp(min=torch.finfo(power.dtype).tiny)
    mean = power @ torch.stack([torch.cos(freqs), torch.sin(freqs)], dim=1)
    # In [-pi/2, 3 pi/2): a band around pi is one piece, and so is a band around 0.
    centres = torch.atan2(mean[:, 1], mean[:, 0]) + math.pi / 2
    centres = centres.remainder(2 * math.pi) - math.pi / 2
    # Power by distance from the bin nearest to the centre: (N, points / 2 + 1).
    distance = torch.arange(points // 2 + 1, device=taps.device)
    middle = (centres * (points / (2 * math.pi))).round().long()[:, None]
    above, below = ((middle + sign * distance).remainder(points) for sign in (1, -1))
    folded = power.gather(1, above) + power.gather(1, below)
    outside = folded.flip(1).cumsum(1).flip(1)  # at this distance and beyond
    edges = torch.tensor(candidates, device=taps.device, dtype=power.dtype) * (math.pi / hop)
    first = [rate * points // (2 * hop) for rate in candidates]
    leak = outside[:, first] / total[:, None]
    loud = folded >= 1e-4 * power.amax(1, keepdim=True)
    half_width = (loud * distance).amax(1) * (2 * math.pi / points)
    sufficient = leak <= max_leak
    sufficient &= half_width[:, None] * headroom <= edges
    lowest = (~sufficient).sum(1)  # once a rate is too low, so are all below it
    numbers = torch.stack([lowest.double(), centres.double()]).tolist()
    return power, [int(i) for i in numbers[0]], numbers[1]


def _choose_rates_compiled(taps, hop, candidates, max_leak, headroom):
    taps = taps.detach().contiguous()
    count, _, window = taps.shape
    points = _points(taps)
    power = torch.empty(count, points, dtype=torch.float32, device="cpu")
    centres = torch.empty(count, dtype=torch.float64, device="cpu")
    lowest = torch.empty(count, dtype=torch.int64, device="cpu")
    rates = torch.tensor(candidates, dtype=torch.int64, device="cpu")
    backend.call(
        "choose_rates",
        taps=taps,
        roots=backend.roots(points),
        candidates=rates,
        power=power,
        centres=centres,
        lowest=lowest,
        filters=count,
        window=window,
        points=points,
        hop=hop,
        number=len(candidates),
        max_leak=max_leak,
        headroom=headroom,
    )
    return power, lowest.tolist(), centres.tolist()


@torch.no_grad()
def fits(plan: Plan, taps: torch.Tensor) -> torch.Tensor:
    """Whether the plan still holds the error bounds for these taps: a boolean scalar, on device."""
    device = taps.device
    edge = torch.tensor(plan.rates, device=device) * (math.pi / plan.hop)
    reduced = torch.tensor(plan.rates, device=device) < plan.hop
    power = _power_response(taps)
    centres = torch.tensor(plan.centres, device=device, dtype=power.dtype)
    distance = _distance(_frequencies(power), centres)
    leak = (power * (distance > edge[:, None])).sum(1)
    # Half-width at -40 dB of the filter's peak.
    half_width = (distance * (power >= 1e-4 * power.amax(1, keepdim=True))).amax(1)
    good = leak <= _max_leak(taps) * power.sum(1)
    good &= half_width * MIN_HEADROOM <= edge
    good |= ~reduced
    return good.all()


@torch.no_grad()
def lost_power(
    plan: Plan, taps: torch.Tensor, bands: int, compiled: bool = False
) -> torch.Tensor | None:
    """Power response of each filter outside its band, in equal wide bands up to half the rate.

    The mean, times a signal's energies in the wide bands, is the expected energy lost by
    band-limiting. The peak outside the inner `OUTER_BAND` of the band gives an upper bound that
    includes aliasing: squares of what lies there exceed the reduced rate. Both matter for a quiet
    band beside a loud one, and most for truncated filters (a wide Gaussian in a short window).

    Shape
    -----
    -> (2, N, bands): mean and peak; or None when no filter loses anything.
    """
    if not plan.reduced or taps.shape[1] == 1:
        return None
    power = _power_response(taps) if plan.power is None else plan.power
    edges = [rate * math.pi / plan.hop if rate < plan.hop else 2 * math.pi for rate in plan.rates]
    if compiled:
        lost = torch.empty(2, len(power), bands, dtype=torch.float32, device="cpu")
        numbers = torch.tensor([plan.centres, edges], dtype=torch.float64, device="cpu")
        backend.call(
            "lost_power",
            **{"power": power, "centres": numbers[0], "edges": numbers[1], "inner": OUTER_BAND},
            **{"filters": len(power), "points": power.shape[1], "bands": bands},
            **{"mean": lost[0], "peak": lost[1]},
        )
        return lost
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
