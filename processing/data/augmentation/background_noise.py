"""Add recorded or generated background noise to clips at a random amplitude."""

import torch
from torch import nn

from ..generated_noise import tilted_noise_batch


class BackgroundNoise(nn.Module):
    """Add a random stretch of background noise at a random amplitude.

    Arguments
    ---------
    recordings : list of tensors (T_i,)
        Noise to cut stretches from, at the clips' rate. Empty: noise is generated
        (`tilted_noise_batch`).
    max_amplitude : float
        The amplitude is uniform between 0 and this.

    Shape
    -----
    (B, T), active (B,) bool or None -> (B, T)

    References
    ----------
    B. Kim et al., Broadcasted Residual Learning for Efficient Keyword Spotting, 2021: amplitude
    up to 0.1, together with the time shift.
    """

    def __init__(self, recordings: list[torch.Tensor], max_amplitude: float = 0.1):
        super().__init__()
        self.max_amplitude = max_amplitude
        self.recordings = recordings
        self._joined: tuple[int, torch.Tensor, torch.Tensor, torch.Tensor] | None = None

    def _join(self, size: int, device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """All recordings in one tensor, so that a batch of stretches is a single copy of rows.

        Returns every stretch as a view (S, T), and per recording its first stretch and their
        number. A recording shorter than a stretch is repeated.
        """
        if self._joined is None or self._joined[0] != size or self._joined[1].device != device:
            whole = [noise.repeat(-(-size // len(noise))) for noise in self.recordings]
            stretches = torch.cat(whole).to(device).unfold(0, size, 1)
            lengths = torch.tensor([len(noise) for noise in whole])
            first = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)[:-1]])
            self._joined = size, stretches, first, lengths - size + 1
        return self._joined[1:]

    def draw(self, batch: int, size: int, device) -> torch.Tensor:
        """(B, T) of noise at full amplitude."""
        if not self.recordings:
            return tilted_noise_batch(batch, size, device)
        stretches, first, count = self._join(size, device)
        which = torch.randint(len(first), (batch,))
        begin = first[which] + (torch.rand(batch).double() * count[which]).long()
        return stretches[begin.to(device)]

    def forward(self, wavs: torch.Tensor, active: torch.Tensor | None = None) -> torch.Tensor:
        if not self.max_amplitude:
            return wavs
        chosen = torch.arange(len(wavs)) if active is None else active.nonzero()[:, 0]
        amplitude = self.max_amplitude * torch.rand(len(chosen), 1, device=wavs.device)
        noise = self.draw(len(chosen), wavs.shape[1], wavs.device)
        return wavs.index_add(0, chosen.to(wavs.device), noise.mul_(amplitude))
