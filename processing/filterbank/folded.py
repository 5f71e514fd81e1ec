"""A trained filterbank as one strided convolution, a square and a grouped sum.

Filtering, squared modulus and pooling of frozen filters are together a quadratic form of the
samples of a frame: E = x' A x, with A positive semidefinite and of low rank. With the
eigenvectors of A as taps, E is a sum of squares of one strided convolution's outputs. Without
complex numbers and loops, it can be exported and can run on a stream.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from .pcen import PCEN

#: Frames per triangular product of the folded PCEN.
CHUNK_FRAMES = 128


@dataclass
class StreamState:
    """State of a stream between two pieces.

    Arguments
    ---------
    samples : tensor (B, n)
        Samples that later frames still need.
    head : tensor (B, half)
        The stream's first samples, for the frames at its edge.
    seen : int
        Samples received so far.
    frames : int
        Frames returned so far.
    smoothed : tensor (B, F) or None
        PCEN's last smoothed energy.
    """

    samples: torch.Tensor
    head: torch.Tensor
    seen: int
    frames: int
    smoothed: torch.Tensor | None


def fold_filter(taps: torch.Tensor, pool: torch.Tensor, tolerance: float) -> torch.Tensor:
    """Taps whose squared outputs sum to a filter's pooled energy.

    Arguments
    ---------
    taps : tensor (C, W)
    pool : tensor (P,)
        Not negative.
    tolerance : float
        Largest part of the energy (of white noise) that may be missing.

    Shape
    -----
    -> (rank, W + P - 1) float64
    """
    taps, pool = taps.double(), pool.double()
    window, width = taps.shape[1], len(pool)
    # Row (c, k) is sqrt(pool[k]) times part c of the filter, moved by k samples.
    shifted = functional.pad(taps, (0, width)).repeat(1, width).view(len(taps), -1)
    shifted = shifted[:, : width * (window + width - 1)].view(len(taps), width, -1)
    rows = (shifted * pool.clamp(min=0).sqrt()[:, None]).flatten(0, 1)
    values, vectors = torch.linalg.eigh(rows.T @ rows)
    missing = values.clamp(min=0).cumsum(0) / values.clamp(min=0).sum().clamp(min=1e-300)
    kept = max(1, int((missing > tolerance).sum()))
    return (vectors[:, -kept:] * values[-kept:].clamp(min=0).sqrt()).T.flip(0)


class FoldedFilterbank(nn.Module):
    """Frozen filters, squared, pooled and compressed, without complex numbers.

    Arguments
    ---------
    taps : tensor (N, C, W)
    pool : tensor (N, P)
    hop : int
        In samples.
    floor : float
        Energies are raised to it.
    pcen : PCEN or None
        None is the logarithm.
    tolerance : float
        Relative error of an energy, at most; more taps for less error.

    Shape
    -----
    (B, T) -> (B, ceil(T / hop), N); frame k is centred at sample hop * k.

    Example
    -------
    >>> from auricle.processing.filterbank.shapes import gabor_taps, gaussian_lowpass
    >>> taps = gabor_taps(torch.tensor([0.5]), torch.tensor([20.0]), 101)
    >>> pool = gaussian_lowpass(torch.tensor([0.4]), 101)
    >>> folded = FoldedFilterbank(taps, pool, hop=40, floor=1e-5, pcen=None)
    >>> folded(torch.zeros(2, 4000)).shape
    torch.Size([2, 100, 1])
    """

    #: A quiet band next to a loud one needs more of a filter than white noise does.
    STRICTER = 4e-4

    def __init__(
        self,
        taps: torch.Tensor,
        pool: torch.Tensor,
        hop: int,
        floor: float,
        pcen: PCEN | None,
        tolerance: float = 1e-4,
    ):
        super().__init__()
        taps, pool = taps.detach().cpu().float(), pool.detach().cpu().float()
        filters, parts, window = taps.shape
        self.hop, self.floor = hop, floor
        self.half = (window - 1) // 2
        self.width = pool.shape[1]
        self.offset = (self.width - 1) // 2
        self.parts = parts
        folded = [fold_filter(taps[i], pool[i], tolerance * self.STRICTER) for i in range(filters)]
        owners = torch.cat([torch.full((len(rows),), i) for i, rows in enumerate(folded)])
        self.register_buffer("weight", torch.cat(folded).float()[:, None])
        self.register_buffer("owners", functional.one_hot(owners, filters).float())
        self.register_buffer("taps", taps.reshape(filters * parts, 1, window).clone())
        self._edge_weights(pool)
        self.pcen = pcen is not None
        if pcen is not None:
            self._pcen_constants(pcen)

    @property
    def rank(self) -> int:
        """Outputs of the strided convolution, for all filters."""
        return self.weight.shape[0]

    def _edge_weights(self, pool: torch.Tensor) -> None:
        """Pooling weights of the filtered samples in front of and behind the clip."""
        steps = torch.arange(self.half)
        leading = torch.arange(-(-self.offset // self.hop))
        # Sample -half + i.
        where = steps - self.half + self.offset - self.hop * leading[:, None]
        self.register_buffer("lead", _at(pool, where))
        # Sample i of a grid of hops in which the clip's end is at place 0 ... hop - 1.
        self.first = 1 - -(-self.width // self.hop)
        order = torch.arange(self.first, (self.hop + self.half - 1) // self.hop + 1)
        reach = torch.arange(self.hop + self.half)
        self.register_buffer("trail", _at(pool, reach - self.hop * order[:, None]))

    def _pcen_constants(self, pcen: PCEN) -> None:
        alpha, delta, root, smooth = (value.detach().cpu() for value in pcen.values())
        smooth = smooth.double()
        steps = torch.arange(CHUNK_FRAMES)
        lag = steps[:, None] - steps
        decay = (1 - smooth)[:, None, None]
        inner = smooth[:, None, None] * decay ** lag.clamp(min=0) * (lag >= 0)
        self.register_buffer("inner", inner.float())
        self.register_buffer("fade", ((1 - smooth)[:, None] ** (steps + 1)).float())
        self.register_buffer("chunk_decay", ((1 - smooth) ** CHUNK_FRAMES).float())
        self.register_buffer("alpha", alpha.float())
        self.register_buffer("delta", delta.float())
        self.register_buffer("power", (1 / root).float())
        self.pcen_floor = pcen.floor

    def forward(self, wavs: torch.Tensor) -> torch.Tensor:
        num_samples = wavs.shape[1]
        frames = (num_samples + self.hop - 1) // self.hop
        in_front = self.half + self.offset
        behind = (frames - 1) * self.hop + self.weight.shape[2] - in_front - num_samples
        energy = self._energy(functional.pad(wavs, (in_front, behind)))
        energy = energy - self._leading(wavs, frames) - self._trailing(wavs, num_samples, frames)
        return self._compress(energy, None)[0]

    def _energy(self, padded: torch.Tensor) -> torch.Tensor:
        """Energies (B, N, frames) of the complete windows of `padded`."""
        outputs = functional.conv1d(padded[:, None], self.weight, stride=self.hop)
        return (outputs.square().transpose(1, 2) @ self.owners).transpose(1, 2)

    def _tail_energy(self, segment: torch.Tensor) -> torch.Tensor:
        energy = functional.conv1d(segment[:, None], self.taps).square()
        return energy.unflatten(1, (-1, self.parts)).sum(2)

    def _leading(self, wavs: torch.Tensor, frames: int) -> torch.Tensor:
        """Energy in front of the clip, (B, N, frames)."""
        head = functional.pad(wavs, (0, self.half))[:, : self.half]
        energy = self._tail_energy(functional.pad(head, (2 * self.half, 0)))
        part = torch.einsum("bni,nti->bnt", energy, self.lead)
        return functional.pad(part, (0, frames))[:, :, :frames]

    def _trailing(self, wavs: torch.Tensor, end: int, frames: int) -> torch.Tensor:
        """Energy behind the clip, (B, N, frames), for a clip that ends at sample `end`.

        `wavs` needs to hold the last samples of the clip only.
        """
        last = functional.pad(wavs, (self.half, 0))[:, -self.half :]
        energy = self._tail_energy(functional.pad(last, (0, 2 * self.half)))
        nearest = (end + self.offset) // self.hop
        delay = end + self.offset - self.hop * nearest
        energy = functional.pad(energy, (delay, self.hop - delay))
        part = torch.einsum("bni,nti->bnt", energy, self.trail)
        # Frames before the first one are dropped by starting later in a padded row.
        reach = part.shape[2] - self.first
        row = functional.pad(part, (nearest + self.first + reach, frames))
        return row[:, :, reach : reach + frames]

    def _compress(
        self, energy: torch.Tensor, state: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        energy = energy.clamp(min=self.floor)
        if not self.pcen:
            return energy.log().transpose(1, 2), None
        smoothed = self._smooth(energy, energy[:, :, 0] if state is None else state)
        energy, mean = energy.transpose(1, 2), smoothed.transpose(1, 2) + self.pcen_floor
        gained = energy * torch.exp(-self.alpha * mean.log())
        return (gained + self.delta) ** self.power - self.delta**self.power, smoothed[:, :, -1]

    def _smooth(self, energy: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """PCEN's smoothing of (B, N, frames) in two levels of triangular products."""
        batch, filters, frames = energy.shape
        chunks = (frames + CHUNK_FRAMES - 1) // CHUNK_FRAMES
        padded = functional.pad(energy, (0, chunks * CHUNK_FRAMES - frames))
        padded = padded.reshape(batch, filters, chunks, CHUNK_FRAMES)
        local = padded @ self.inner.transpose(1, 2)
        steps = torch.arange(chunks, device=energy.device)
        lag = steps[:, None] - steps - 1
        between = self.chunk_decay[:, None, None] ** lag.clamp(min=0) * (lag >= 0)
        carried = torch.einsum("bnk,nck->bnc", local[..., -1], between)
        carried = carried + state[..., None] * self.chunk_decay[:, None] ** steps
        smoothed = local + carried[..., None] * self.fade[:, None]
        return smoothed.reshape(batch, filters, chunks * CHUNK_FRAMES)[..., :frames]

    def start(self, batch: int = 1) -> StreamState:
        """State at the beginning of a stream."""
        empty = self.weight.new_zeros(batch, 0)
        return StreamState(self.weight.new_zeros(batch, self.half + self.offset), empty, 0, 0, None)

    def stream(
        self, chunk: torch.Tensor, state: StreamState | None = None, last: bool = False
    ) -> tuple[torch.Tensor, StreamState]:
        """Frames that the next piece of a stream completes.

        The frames of all pieces together are those of `forward` on the whole. A frame is returned
        once its samples are there: half a filter and half a pooling window after its centre.

        Arguments
        ---------
        chunk : tensor (B, n)
            Any number of samples, also none.
        state : StreamState or None
            Returned by the previous call; None at the beginning.
        last : bool
            The stream ends with this piece: return all remaining frames.

        Returns
        -------
        tensor (B, frames, N), and the state for the next piece.
        """
        state = self.start(len(chunk)) if state is None else state
        samples = torch.cat([state.samples, chunk], 1)
        head = torch.cat([state.head, chunk], 1)[:, : self.half]
        seen, given, size = state.seen + chunk.shape[1], state.frames, self.weight.shape[2]
        total = -(-seen // self.hop) if last else given
        count = max(0, (samples.shape[1] - size) // self.hop + 1)
        # A frame that could be complete may lie behind the stream's end.
        count = total - given if last else count
        if count <= 0:
            empty = samples.new_zeros(len(chunk), 0, self.owners.shape[1])
            return empty, StreamState(samples, head, seen, given, state.smoothed)
        missing = (count - 1) * self.hop + size - samples.shape[1]
        energy = self._energy(functional.pad(samples, (0, max(0, missing))))[:, :, :count]
        frames = given + count
        if given < self.lead.shape[1]:
            energy = energy - self._leading(head, frames)[:, :, given:]
        if last:
            recent = samples[:, -min(self.half, seen) :] if seen else samples[:, :0]
            energy = energy - self._trailing(recent, seen, frames)[:, :, given:]
        out, smoothed = self._compress(energy, state.smoothed)
        rest = samples[:, count * self.hop :]
        return out, StreamState(rest, head, seen, frames, smoothed)


def _at(pool: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
    """Pooling weights (N, P) at positions (n, K), 0 outside the window: (N, n, K)."""
    valid = (position >= 0) & (position < pool.shape[1])
    return pool[:, position.clamp(0, pool.shape[1] - 1)] * valid
