"""Overlapping pieces of a stream, from which steps are computed that equal those of the whole."""

from collections.abc import Iterator

import torch


class Pieces:
    """Cut a stream of samples into pieces that hold all that some steps of it read.

    Step k of the whole signal reads the samples hop * k - behind ... hop * k + ahead, and the steps
    of a piece that begins at a multiple of `hop` are those of the whole, shifted, apart from the
    ones that read beyond the piece's ends. All pieces in the middle of a stream have one length,
    however the samples come in.

    Arguments
    ---------
    hop : int
        Samples from one step to the next.
    behind, ahead : int
        Samples that a step reads before and after its own, as above.
    group : int
        Steps per piece.

    Attributes
    ----------
    samples : tensor (n,)
        What later steps still read.
    done : int
        Steps of the pieces so far. With `samples` and `seen`, all that is to be kept of a stream.
    seen : int
        Samples so far.

    Example
    -------
    >>> pieces = Pieces(hop=2, behind=2, ahead=1)
    >>> [(piece.tolist(), steps.start) for piece, steps in pieces.feed(torch.arange(6.0))]
    [([0.0, 1.0], 0), ([0.0, 1.0, 2.0, 3.0], 1), ([2.0, 3.0, 4.0, 5.0], 1)]
    """

    def __init__(self, hop: int, behind: int, ahead: int, group: int = 1):
        self.hop, self.ahead, self.group = hop, ahead, group
        self.context = -(-behind // hop)
        self.samples, self.done, self.seen = torch.zeros(0), 0, 0

    @property
    def first(self) -> int:
        """Step at which the next piece begins, and the samples that are kept."""
        return max(0, self.done - self.context)

    def feed(
        self, samples: torch.Tensor, last: bool = False
    ) -> Iterator[tuple[torch.Tensor, slice]]:
        """Pieces (T,) that the next samples (n,) complete, and which of their steps are new.

        With `last`, one more piece follows, which ends as the stream does and has all the steps
        that are left, which can be none.
        """
        self.samples = torch.cat([self.samples, samples])
        self.seen += len(samples)
        while self.hop * (self.done + self.group - 1) + self.ahead < self.seen:
            first = self.first
            size = self.hop * (self.done + self.group - 1 - first) + self.ahead + 1
            piece, known = self.samples[:size], self.done - first
            self.done += self.group
            self.samples = self.samples[self.hop * (self.first - first) :]
            yield piece, slice(known, known + self.group)
        if last and len(self.samples):
            yield self.samples, slice(self.done - self.first, None)
