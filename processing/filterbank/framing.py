"""Frames of a batch: window and hop in samples, their number and position, which are valid."""

import torch

#: "centered": frame k is centred at sample hop * k.
#: "tf_same": TensorFlow's SAME padding, as in the LEAF reference; for a clip of whole hops and a
#: window of 401 samples, hop 160, frame k is centred at sample 160 k + 80.
FRAME_CENTRES = ("centered", "tf_same")


def odd_window_samples(sample_rate: int, window_ms: float) -> int:
    """Odd window length in samples: 401 for 25 ms at 16 kHz.

    Example
    -------
    >>> [odd_window_samples(rate, 25.0) for rate in (8000, 16000, 22050)]
    [201, 401, 551]
    """
    return 2 * int(sample_rate * window_ms / 2000) + 1


def hop_samples(sample_rate: int, hop_ms: float) -> int:
    """Hop in whole samples, rounded down: 10 ms at 22.05 kHz is 220 samples (9.977 ms).

    Raises
    ------
    ValueError
        When a hop is shorter than one sample.

    Example
    -------
    >>> [hop_samples(rate, 10.0) for rate in (8000, 16000, 22050)]
    [80, 160, 220]
    """
    hop = int(sample_rate * hop_ms / 1000)
    if hop < 1:
        raise ValueError(f"hop_ms={hop_ms} is shorter than one sample at {sample_rate} Hz")
    return hop


def at_least(count, least: int):
    """The larger of two counts, the first of which may be a tensor of counts."""
    if isinstance(count, torch.Tensor):
        return count.clamp(min=least)
    if torch.compiler.is_dynamo_compiling():  # which knows Python's own alone
        return max(count, least)
    return torch.sym_max(count, least)  # torch.export's count may be no number yet


def frame_count(num_samples: int, hop: int) -> int:
    """Frames of a clip, ceil(T / hop); also of each of a tensor of lengths.

    Example
    -------
    >>> frame_count(16000, 160), frame_count(16001, 160)
    (100, 101)
    """
    return (num_samples + hop - 1) // hop


def frame_offset(num_samples: int, window: int, hop: int, frame_centre: str = "centered") -> int:
    """Samples by which the window of frame 0 reaches in front of sample 0.

    The window of frame k covers the samples hop * k - offset to hop * k - offset + window - 1.

    Arguments
    ---------
    num_samples : int
        Length of the (padded) clip. Only "tf_same" depends on it: by up to half a hop, with the
        length modulo the hop.
    window, hop : int
        In samples.
    frame_centre : str
        "centered" or "tf_same".

    Example
    -------
    >>> frame_offset(16000, 401, 160), frame_offset(16000, 401, 160, "tf_same")
    (200, 120)
    """
    if frame_centre == "centered":
        return (window - 1) // 2
    if frame_centre == "tf_same":
        frames = frame_count(num_samples, hop)
        return max((frames - 1) * hop + window - num_samples, 0) // 2
    raise ValueError(f"frame_centre must be one of {FRAME_CENTRES}, got {frame_centre!r}")


def valid_lengths(lengths: torch.Tensor | None, size: int) -> torch.Tensor | None:
    """Number of valid steps per item, from SpeechBrain's relative lengths.

    Arguments
    ---------
    lengths : tensor (B,) or None
        Valid part of each item, relative to `size`, in [0, 1]. None: everything is valid.
    size : int
        Length of the padded axis, in samples or frames.

    Returns
    -------
    int64 tensor (B,), or None when `lengths` is None.

    Example
    -------
    >>> valid_lengths(torch.tensor([1.0, 0.5]), 4)
    tensor([4, 2])
    """
    if lengths is None:
        return None
    return torch.round(lengths.double() * size).clamp(0, size).long()


def frame_mask(counts: torch.Tensor | None, size: int) -> torch.Tensor | None:
    """True on the valid steps: bool (B, size) from the number of steps (B,); None for None.

    Example
    -------
    >>> frame_mask(torch.tensor([2, 1]), 2)
    tensor([[ True,  True],
            [ True, False]])
    """
    return None if counts is None else torch.arange(size, device=counts.device) < counts[:, None]
