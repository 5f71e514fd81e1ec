"""Mix pairs of clips of a batch and their labels (mixup)."""

import torch
from torch import nn


class Mixup(nn.Module):
    """Mix each clip with another one of the batch, labels in the same proportion.

    Arguments
    ---------
    alpha : float
        Of the Beta distribution the proportion is drawn from; 0 switches it off.

    Shape
    -----
    (B, T) -> mixed (B, T), partner (B,) int64, share of the clip itself (B,)

    References
    ----------
    H. Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018.
    """

    def __init__(self, alpha: float):
        super().__init__()
        self.alpha = alpha

    def forward(self, wavs: torch.Tensor):
        batch = len(wavs)
        partner = torch.randperm(batch).to(wavs.device)
        # A Beta draw is a ratio of two Gamma draws; this form uses the global generator.
        gamma = torch._standard_gamma(torch.full((2, batch), float(self.alpha)))
        share = (gamma[0] / gamma.sum(0).clamp(min=1e-12)).to(wavs)
        return share[:, None] * wavs + (1 - share[:, None]) * wavs[partner], partner, share
