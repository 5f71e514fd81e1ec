"""Pooled energies of frozen filters inside a short piece of a signal, each read every few samples.

What the engine does by transforms of long blocks, for the few frames that a stream completes at a
time: there, preparing a transform takes longer than the products of a strided convolution.
"""

import math

import torch
from scipy.fft import next_fast_len

#: Largest error of an energy, relative to it or to the floor, on the signal by which strides are chosen.
TOLERANCE = 1e-4
#: The same where the signal is switched off and on, in the frames that hardly see it.
STEPS = 1e-3
#: Longest stride in samples: beyond, the products are no longer what takes time.
LONGEST = 20
#: Shortest one; what needs a shorter one is read at every sample, by a transform.
SHORTEST = 5
#: Added to the covariance's diagonal, relative to it: neighbours are nearly the same value.
JITTER = 1e-9
#: Taps below this, relative to the largest, are zero.
NOTHING = 1e-12
_FRAMES = 30


class StridedBank:
    """Filters, squared modulus and pooling, at a stride per filter.

    A band is narrow: its squared output changes slowly, and every `stride`-th sample of it says what
    all samples sum to. The weights are those with the least squared error for white noise, whose
    squared output has the covariance |R|^2 + R[0]^2 with R the filter's autocorrelation. Each filter
    has the longest stride that keeps within `TOLERANCE` of the full rate on noise that is loud, then
    silent, then quiet.

    Arguments
    ---------
    taps : tensor (N, 2, W)
        Complex filters, W odd.
    pool : tensor (N, P)
        P odd.
    hop : int
        In samples.
    floor : float
        An energy below which accuracy does not matter.

    Example
    -------
    >>> from auricle.processing.filterbank.shapes import gabor_taps, gaussian_lowpass
    >>> taps = gabor_taps(torch.tensor([0.5]), torch.tensor([20.0]), 101)
    >>> bank = StridedBank(taps, gaussian_lowpass(torch.tensor([0.4]), 101), hop=40, floor=1e-5)
    >>> bank.energy(torch.zeros(1000), 3, 4).shape
    torch.Size([4, 1])
    """

    def __init__(self, taps: torch.Tensor, pool: torch.Tensor, hop: int, floor: float):
        # The far ends of short filters are numbers that processors are slow with.
        taps = torch.where(taps.abs() < NOTHING * taps.abs().amax(), 0.0, taps)
        self.hop, self.window, self.width = hop, taps.shape[2], pool.shape[1]
        self.reach = (self.window - 1) // 2 + (self.width - 1) // 2
        filters, self.responses = len(taps), {}
        common = math.gcd(hop, self.width - 1)
        candidates = [1]
        for step in range(SHORTEST, LONGEST + 1):
            # Each stride costs a copy of the signal: few of them, about twice the one before.
            if common % step == 0 and (candidates == [1] or step >= 2 * candidates[-1]):
                candidates.append(step)
        first = -(-self.reach // hop)
        size = hop * (first + _FRAMES) + self.reach + 1
        noise = 0.3 * torch.randn(size, generator=torch.Generator().manual_seed(0))
        steps = torch.tensor([1.0, 0.0, 0.03]).repeat_interleave(-(-size // 3))[:size]
        strides = torch.ones(filters, dtype=torch.long)
        fits = torch.ones(filters, dtype=torch.bool)
        exact: dict[int, torch.Tensor] = {}
        for step in candidates:
            group = self._group(taps, pool, range(filters), step)
            for number, (signal, most) in enumerate(((noise, TOLERANCE), (noise * steps, STEPS))):
                energy = self._energy_of(group, signal, first, _FRAMES)
                exact.setdefault(number, energy)
                error = (energy - exact[number]).abs() / exact[number].clamp(min=floor)
                fits &= error.amax(0) <= most
            strides[fits] = step
        self.strides = strides.tolist()
        members = {step: (strides == step).nonzero().flatten().tolist() for step in candidates}
        self.groups = [
            self._group(taps, pool, rows, step) for step, rows in members.items() if rows
        ]
        order = torch.tensor([row for rows in members.values() for row in rows])
        self.order = order.argsort()

    def _group(self, taps, pool, members, step: int) -> tuple:
        """(stride, taps (W, 2 n), pooling weights (n, K)) of some filters."""
        rows = list(members)
        weights = torch.stack([pooling_weights(taps[row], pool[row], step) for row in rows])
        return step, taps[rows].transpose(0, 1).flatten(0, 1).T.contiguous(), weights

    def _energy_of(self, group: tuple, samples: torch.Tensor, first: int, count: int):
        step, taps, weights = group
        number = self.hop // step * (count - 1) + weights.shape[1]
        start = self.hop * first - self.reach
        segment = samples[start : start + step * (number - 1) + self.window]
        if step == 1:
            power = self._power_of_all(segment, taps)
        else:
            parts = (segment.unfold(0, self.window, step) @ taps).square()
            power = parts[:, : len(weights)] + parts[:, len(weights) :]
        pieces = power.unfold(0, weights.shape[1], self.hop // step)  # (count, n, K)
        return (pieces * weights).sum(-1)

    def _power_of_all(self, segment: torch.Tensor, taps: torch.Tensor) -> torch.Tensor:
        """Squared outputs (n, filters) at every sample, by a transform."""
        size = next_fast_len(len(segment))
        key = size, taps.shape[1]
        if key not in self.responses:
            kernels = torch.complex(*taps.T.unflatten(0, (2, -1)))
            self.responses = {key: torch.fft.ifft(kernels, size, norm="forward")}
        outputs = torch.fft.ifft(torch.fft.fft(segment, size) * self.responses[key])
        outputs = outputs[:, : len(segment) - self.window + 1]
        return (outputs.real.square() + outputs.imag.square()).T

    def energy(self, samples: torch.Tensor, first: int, count: int) -> torch.Tensor:
        """Energies (count, N) of the frames at hop * first ... in a signal (T,), all that these read
        being in it: `reach` samples on both sides."""
        parts = [self._energy_of(group, samples, first, count) for group in self.groups]
        return torch.cat(parts, 1)[:, self.order]


def pooling_weights(taps: torch.Tensor, pool: torch.Tensor, step: int) -> torch.Tensor:
    """Weights (1 + (P - 1) / step,) of every `step`-th squared output, for those (P,) of all.

    Arguments
    ---------
    taps : tensor (2, W)
        Real and imaginary part of a filter.
    pool : tensor (P,)
    step : int
        A divisor of P - 1.
    """
    if step == 1:
        return pool
    size = len(pool)
    spectrum = torch.fft.fft(torch.complex(*taps.double()), 2 * size + taps.shape[1])
    correlation = torch.fft.ifft(spectrum.abs().square()).abs().square()
    covariance = (correlation + correlation[0]) / (2 * correlation[0])
    places = torch.arange(size)
    kept = places[::step]
    among = covariance[(kept[:, None] - kept).abs()] + JITTER * torch.eye(len(kept))
    across = covariance[(kept[:, None] - places).abs()] @ pool.double()
    return torch.linalg.solve(among, across).to(pool.dtype)
