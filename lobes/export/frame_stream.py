"""Frames of a frontend, computed piece by piece and equal to those of the whole signal."""

import copy
from collections.abc import Iterator

import torch
from torch import nn

from ...processing.data.pieces import Pieces
from ...processing.filterbank.pcen import PCEN
from ..contracts import Frontend

#: Largest difference between frames of pieces and of the whole, relative to the frames' range; the
#: fast filterbank engine is within 1e-4 of its energies.
TOLERANCE = 1e-3


class CarriedPCEN(nn.Module):
    """A PCEN that goes on, from piece to piece, where it was.

    Arguments
    ---------
    pcen : PCEN

    Attributes
    ----------
    new : slice
        The frames of the next piece that were not in an earlier one; the others come out as zeros.
    state : tensor (1, F) or None
        The smoothed energy so far.
    """

    def __init__(self, pcen: PCEN):
        super().__init__()
        self.pcen, self.new, self.state = pcen, slice(None), None

    def forward(self, energy: torch.Tensor) -> torch.Tensor:
        out = torch.zeros_like(energy)
        if len(range(energy.shape[1])[self.new]):
            out[:, self.new], self.state = self.pcen.stream(energy[:, self.new], self.state)
        return out


class FrameStream:
    """A frontend on a stream: it computes frames itself, on pieces that overlap by its `reach`.

    Arguments
    ---------
    frontend : Frontend
        In evaluation; copied.
    group : int
        Frames that are computed at once.

    Attributes
    ----------
    pieces : Pieces
        The samples that later frames still read.
    carried : list of CarriedPCEN
        What has a state.
    """

    def __init__(self, frontend: Frontend, group: int):
        self.frontend = copy.deepcopy(frontend).eval().requires_grad_(False)
        self.carried = []
        for parent in list(self.frontend.modules()):
            for name, part in list(parent.named_children()):
                if isinstance(part, PCEN):
                    self.carried.append(CarriedPCEN(part))
                    setattr(parent, name, self.carried[-1])
        self.group = group
        self.reset()
        self.frames_inside = self.frontend.frames_inside()

    def reset(self) -> None:
        """Begin a new stream."""
        self.pieces = Pieces(self.frontend.hop, *self.frontend.reach, self.group)
        for part in self.carried:
            part.state = None

    @torch.no_grad()
    def feed(self, samples: torch.Tensor, last: bool = False) -> Iterator[torch.Tensor]:
        """Frames (n, F) that the next samples (n,) complete, a group at a time; with `last` all."""
        for piece, new in self.pieces.feed(samples, last):
            for part in self.carried:
                part.new = new
            if self.frames_inside is None or new.start < self.pieces.context or new.stop is None:
                yield self.frontend(piece[None])[0, new]  # at an end of the stream
            else:
                yield self.frames_inside(piece[None], new)[0, new]


@torch.no_grad()
def whole_clip_reason(stream: FrameStream) -> str:
    """Why a frontend's frames cannot be computed piece by piece; empty: they can, which was tried.

    The signal that it is tried on is loud, then silent, then quiet, so that what looks at a clip's
    maximum, mean or median is seen. The stream is begun anew.
    """
    frontend, group = stream.frontend, stream.group
    behind, ahead = frontend.reach
    size = 3 * (behind + ahead) + (6 * group + 7) * frontend.hop + frontend.hop // 3
    signal = torch.randn(size, generator=torch.Generator().manual_seed(0))
    signal *= torch.tensor([0.3, 0.0, 0.01]).repeat_interleave(-(-size // 3))[:size]
    stream.reset()
    parts = torch.cat(list(stream.feed(signal, last=True)))
    for part in stream.carried:
        part.new = slice(None)
    stream.reset()
    whole = frontend(signal[None])[0]
    stream.reset()
    if whole.shape != parts.shape:
        return f"the frontend gives {len(whole)} frames of a clip and {len(parts)} of its pieces"
    scale = (whole.max() - whole.min()).clamp(min=1e-6)
    error = float((parts - whole).abs().max() / scale)
    if error <= TOLERANCE:
        return ""
    return (
        f"the frontend's frames depend on the whole clip (pieces are off by {100 * error:.2g} % of "
        "their range)"
    )
