"""Windows of one size that cover a clip of any length, and the mean over their outputs."""

import torch

from ...processing.filterbank.framing import frame_count
from ...processing.system.operators import is_recorded
from .masks import frame_counts, frame_mask, trim_padding, zero_padding


def cut_windows(
    feats: torch.Tensor, lengths: torch.Tensor | None, size: int
) -> tuple[torch.Tensor, list[int] | torch.Tensor]:
    """Windows of `size` frames that cover each item, as one batch, and how many each item has.

    The least number of windows, the first at an item's start, the last at its end, the others
    evenly between; an item shorter than a window is repeated.

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (sum of counts, size, F). A compiler knows no sum:
    there it is (B * ceil(N / size), size, F) with int counts (B,), and `valid_windows` says which.

    Example
    -------
    >>> x, counts = cut_windows(torch.arange(10.0).view(2, 5, 1), torch.tensor([1.0, 0.4]), 3)
    >>> x[..., 0].int().tolist(), counts
    ([[0, 1, 2], [2, 3, 4], [5, 6, 5]], [2, 1])
    """
    if is_recorded():
        return _cut_alike(feats, frame_counts(feats, lengths), size)
    feats, valid = trim_padding(feats, lengths)
    items, frames, features = feats.shape
    if valid is None:
        count = -(-frames // size)
        if frames == count * size:  # windows side by side are the batch itself
            return feats.reshape(items * count, size, features), [count] * items
        places = _places(frames, size).to(feats.device)
        return feats[:, places].flatten(0, 1), [count] * items
    places = [_places(count, size) for count in valid.tolist()]
    counts = [len(place) for place in places]
    item = torch.arange(items).repeat_interleave(torch.tensor(counts))[:, None]
    return feats[item.to(feats.device), torch.cat(places).to(feats.device)], counts


def _cut_alike(
    feats: torch.Tensor, valid: torch.Tensor | None, size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """As many windows of every item as the longest may have; what an item has too many is read."""
    items, frames, _ = feats.shape
    device = feats.device
    if valid is None:
        valid = torch.full((items,), frames, device=device)
    counts = (valid + size - 1) // size
    spare = (valid - size).clamp(min=0)[:, None]
    starts = (
        torch.arange(frame_count(frames, size), device=device)
        * spare
        // (counts - 1).clamp(min=1)[:, None]
    )
    places = torch.minimum(starts, spare)[..., None] + torch.arange(size, device=device)
    item = torch.arange(items, device=device)[:, None, None]
    return feats[item, places % valid[:, None, None]].flatten(0, 1), counts


def valid_windows(x: torch.Tensor, counts: list[int] | torch.Tensor) -> torch.Tensor | None:
    """Which of the windows (W, ...) are an item's own, bool (W, 1); None: all."""
    if isinstance(counts, list):
        return None
    return frame_mask(counts, x.shape[0] // counts.shape[0]).view(-1, 1)


def _places(frames: int, size: int) -> torch.Tensor:
    """Frames of each window, (K, size)."""
    inner = torch.arange(size)
    if frames <= size:
        return (inner % frames)[None]
    count = -(-frames // size)
    starts = torch.arange(count) * (frames - size) // (count - 1)
    return starts[:, None] + inner


def mean_of_windows(x: torch.Tensor, counts: list[int] | torch.Tensor) -> torch.Tensor:
    """Mean over each item's windows: (sum of counts, D) -> (B, D).

    Example
    -------
    >>> mean_of_windows(torch.tensor([[1.0], [3.0], [5.0]]), [2, 1])
    tensor([[2.],
            [5.]])
    """
    x = x.float()
    if isinstance(counts, torch.Tensor):
        x = zero_padding(x, valid_windows(x, counts))
        return x.unflatten(0, (counts.shape[0], -1)).sum(1) / counts[:, None]
    if len(set(counts)) == 1:
        return x.view(len(counts), counts[0], -1).mean(1)
    return torch.stack([part.mean(0) for part in x.split(counts)])
