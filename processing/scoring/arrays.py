"""Arrays from whatever a caller holds: lists, arrays, tensors of any device and type."""

import numpy as np


def to_numpy(values) -> np.ndarray:
    """The values as an array; a tensor may be on any device, bfloat16 becomes float32."""
    if hasattr(values, "detach"):  # torch itself is not needed here
        values = values.detach().cpu()
        values = values.float().numpy() if str(values.dtype) == "torch.bfloat16" else values.numpy()
    return np.asarray(values)


def sum_by_group(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Sums over the rows of each group, in float64. (n, ...), (n,) from 0 -> (G, ...)

    Example
    -------
    >>> sum_by_group(np.array([1, 2, 4]), np.array([0, 1, 0])).tolist()
    [5.0, 2.0]
    """
    total = np.zeros((int(group.max()) + 1, *values.shape[1:]))
    np.add.at(total, group, values)
    return total


def first_repeated(names) -> str | None:
    """The first name that stood in the sequence before; None where all are different.

    Example
    -------
    >>> first_repeated(["a", "b", "a"])
    'a'
    """
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)
