"""Cut recordings of any length into clips of one length, and average what clips give."""

import torch

from .masks import valid_lengths


def cut_recordings(
    wavs: torch.Tensor, lengths: torch.Tensor | None, size: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Clips of `size` samples that cover each recording, half a clip apart, the last at its end.

    A recording that is no longer than a clip gives one, with zeros behind it that its relative
    length leaves out.

    Shape
    -----
    wavs (B, T), lengths (B,) or None -> clips (W, size), relative lengths (W,), recordings (W,)

    Example
    -------
    >>> wavs = torch.arange(12.0).view(2, 6)
    >>> clips, relative, item = cut_recordings(wavs, torch.tensor([1.0, 0.5]), 4)
    >>> clips.int().tolist(), relative.tolist(), item.tolist()
    ([[0, 1, 2, 3], [2, 3, 4, 5], [6, 7, 8, 0]], [1.0, 1.0, 0.75], [0, 0, 1])
    """
    counts = torch.full((len(wavs),), wavs.shape[1])
    if lengths is not None:
        counts = valid_lengths(lengths, wavs.shape[1]).cpu()
    clips, relative, items = [], [], []
    for item, count in enumerate(counts.tolist()):
        last = max(0, count - size)
        for start in [*range(0, last, max(1, size // 2)), last]:
            clip = wavs[item, start : min(start + size, count)]
            relative.append(len(clip) / size)
            clips.append(torch.nn.functional.pad(clip, (0, size - len(clip))))
            items.append(item)
    device = wavs.device
    relative = torch.tensor(relative, device=device, dtype=torch.float32)
    return torch.stack(clips), relative, torch.tensor(items, device=device)


def mean_by_recording(values: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
    """Means over the clips of each recording: (W, C), (W,) from 0 up -> (B, C)

    Example
    -------
    >>> mean_by_recording(torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([0, 0, 1])).tolist()
    [[2.0], [5.0]]
    """
    counts = torch.bincount(items)
    total = values.new_zeros(len(counts), *values.shape[1:]).index_add(0, items, values)
    return total / counts[:, None]
