"""Base of frontends with sinc filters: cut-off frequencies as parameters."""

import torch
from torch import nn

from ...processing.filterbank.responses import FilterSet, from_taps
from ...processing.filterbank.sinc import TAPER_WINDOWS, mel_cutoffs, sinc_taps
from ..options import choice, flag, number


class SincCutoffs:
    """Cut-off frequencies as two parameters of the module that inherits this.

    `low` is the lower cut-off and `band` the bandwidth, both in kHz: a step of Adam at a learning
    rate of 1e-3 moves a cut-off by about 1 Hz. (In Hz, as published, it is a thousandth of that,
    and filters stay where they were put.) `low` + `band` is the upper cut-off.
    """

    def add_cutoffs(
        self,
        num_filters: int,
        taps: int,
        quadrature: bool,
        *,
        min_freq_hz: float = 50.0,
        min_bandwidth_hz: float = 50.0,
        max_freq_hz: float | None = None,
        double_minimum: bool = False,
        taper: str = "hamming",
    ) -> None:
        """Check the options and make the parameters; `self.sample_rate` is set before.

        With `quadrature`, filters are complex, see `sinc_taps`.
        """
        nyquist_hz = self.sample_rate / 2
        choice("taper", taper, TAPER_WINDOWS)
        flag("double_minimum", double_minimum)
        min_freq_hz = number("min_freq_hz", min_freq_hz)
        min_bandwidth_hz = number("min_bandwidth_hz", min_bandwidth_hz)
        if max_freq_hz is not None:
            max_freq_hz = number("max_freq_hz", max_freq_hz)
        # The taps of a band narrower than half the window's resolution depend on the bandwidth by
        # less than a tenth: it could not be learned.
        resolution_hz = self.sample_rate / (2 * taps)
        if not resolution_hz <= min_bandwidth_hz < nyquist_hz:
            raise ValueError(
                f"min_bandwidth_hz must be at least {resolution_hz:.4g} (half of what a window of "
                f"{taps} samples resolves) and below {nyquist_hz:g} (half the sample rate), got "
                f"{min_bandwidth_hz}; a longer window_ms allows narrower bands"
            )
        if not 0 < min_freq_hz <= nyquist_hz - min_bandwidth_hz:
            raise ValueError(
                f"min_freq_hz must be above 0 and at most {nyquist_hz - min_bandwidth_hz:g} (half "
                f"the sample rate less min_bandwidth_hz={min_bandwidth_hz:g}), got {min_freq_hz}"
            )
        if max_freq_hz is None:
            max_freq_hz = nyquist_hz - min_freq_hz - min_bandwidth_hz
        if not min_freq_hz < max_freq_hz <= nyquist_hz:
            raise ValueError(
                f"max_freq_hz must be above min_freq_hz={min_freq_hz:g} and at most "
                f"{nyquist_hz:g} (half the sample rate), got {max_freq_hz}"
            )
        self.taps, self.taper, self.quadrature = taps, taper, quadrature
        self.min_freq_hz, self.min_bandwidth_hz = float(min_freq_hz), float(min_bandwidth_hz)
        low_hz, high_hz = mel_cutoffs(
            num_filters,
            self.sample_rate,
            min_freq_hz,
            max_freq_hz,
            min_bandwidth_hz,
            double_minimum,
        )
        #: The taps in the exported form, where they stay as they are.
        self.register_buffer("plain_taps", None, persistent=False)
        self.low = nn.Parameter(low_hz / 1e3)
        self.band = nn.Parameter((high_hz - low_hz) / 1e3)
        SincCutoffs.project_(self)

    @torch.no_grad()
    def project_(self) -> None:
        """min_freq_hz <= lower, lower + min_bandwidth_hz <= upper <= sample_rate / 2, in place.

        Taps are odd functions of a cut-off at 0 and at half the sample rate: the gradient there
        is not zero.
        """
        nyquist, least = self.sample_rate / 2e3, self.min_bandwidth_hz / 1e3
        self.low.clamp_(self.min_freq_hz / 1e3, nyquist - least)
        self.band.clamp_(min=least)
        self.band.copy_(torch.minimum(self.band, (nyquist - self.low).clamp(min=least)))

    @torch.no_grad()
    def use_plain_operators_(self) -> None:
        """Keep the present filters, and filter by convolution, from now on."""
        self.plain_taps = self.cutoff_taps()

    def cutoff_taps(self) -> torch.Tensor:
        """Taps (N, C, W), see `sinc_taps`."""
        if self.plain_taps is not None:
            return self.plain_taps
        dtype = torch.promote_types(self.low.dtype, torch.float32)
        low, band = self.low.to(dtype), self.band.to(dtype)
        rate_khz = self.sample_rate / 1e3
        return sinc_taps(low, low + band, self.taps, rate_khz, self.taper, self.quadrature)

    @torch.no_grad()
    def filters(self, num_bins: int = 512) -> FilterSet:
        """Filters in Hz; the width is that of the response, which includes the window's."""
        centre_hz = 1e3 * (self.low.double() + 0.5 * self.band.double())
        return from_taps(self.cutoff_taps(), self.sample_rate, num_bins, centre_hz=centre_hz)
