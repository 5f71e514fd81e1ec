"""Run a net that knows no lengths item by item, or with the padding masked before its layers.

For an encoder around somebody else's net: what an item gives must not depend on its padding.
"""

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd, _AvgPoolNd, _MaxPoolNd

from .masks import frame_counts, frame_mask, zero_padding

#: Layers that compute over all frames, for which masked frames are not the same as absent ones.
_WHOLE = (_ConvTransposeNd, _InstanceNorm, nn.GroupNorm, _AdaptiveAvgPoolNd)


@torch._disable_dynamo  # what it does depends on the lengths; torch.compiler.disable imports dynamo
def per_item(
    net: Callable[[torch.Tensor], torch.Tensor],
    feats: torch.Tensor,
    lengths: torch.Tensor | None,
    steps: int | None = None,
) -> torch.Tensor:
    """What a net gives for each item without its padding; items of one length run together.

    Right for every net whose items do not see each other; slower than `masked_inside` where the
    items of a batch differ in length. In training, a batch norm takes its statistics over items of
    one length only.

    Arguments
    ---------
    net : callable
        (B, N, F) -> (B, N', D) or (B, D).
    feats : tensor (B, N, F)
    lengths : tensor (B,) or None
        Relative; None: everything is valid.
    steps : int or None
        N' of the result, where the net gives frames: zeros follow the last of an item. None: as
        many as the longest item has.

    Example
    -------
    >>> feats, lengths = torch.ones(2, 4, 1), torch.tensor([1.0, 0.5])
    >>> per_item(lambda x: x.cumsum(1), feats, lengths)[:, :, 0].tolist()
    [[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 0.0, 0.0]]
    """
    counts = frame_counts(feats, lengths)
    if counts is None:
        return net(feats)
    results: list[torch.Tensor] = [feats] * len(feats)
    for count in counts.unique().tolist():
        items = (counts == count).nonzero().flatten()
        for item, result in zip(items.tolist(), net(feats[items, :count]), strict=True):
            results[item] = result
    if results[0].dim() == 1:
        return torch.stack(results)
    steps = max(map(len, results)) if steps is None else steps
    return torch.stack([F.pad(result, (0, 0, 0, steps - len(result))) for result in results])


@contextlib.contextmanager
def masked_inside(
    net: nn.Module, counts: torch.Tensor | None, size: int, axis: int = -1
) -> Iterator[dict[int, torch.Tensor]]:
    """While the block runs, the layers of a net read zeros behind each item's end.

    Convolutions and pooling read what they would read beyond the end of an item alone; the
    statistics of batch norms are those of valid frames. Attention and recurrent layers need the
    lengths from the net itself. `torch.compile` does not follow it: the method that uses it is
    decorated with `torch.compiler.disable`.

    Arguments
    ---------
    net : nn.Module
    counts : int tensor (B,) or None
        Valid frames of each item; None, where all are valid, changes nothing.
    size : int
        N, frames that go into the net.
    axis : int
        Of the frames in what the layers are given: -1 for (B, C, N).

    Yields
    ------
    dict from the number of frames at a layer's output to the valid ones of each item there.

    Raises
    ------
    ValueError
        A layer that computes over all frames, or that is given another number of frames than any
        before it has handed on: the net has to run `per_item`.

    Example
    -------
    >>> conv, feats = nn.Conv1d(1, 1, 3, stride=2, padding=1), torch.randn(2, 1, 8)
    >>> with masked_inside(conv, torch.tensor([8, 5]), size=8) as valid:
    ...     batch = conv(feats)
    >>> bool(torch.allclose(batch[1, :, :3], conv(feats[1, :, :5]))), valid[4].tolist()
    (True, [4, 3])
    """
    valid = {size: counts}
    if counts is None:
        yield valid
        return
    norms: dict[nn.Module, tuple[torch.Size, torch.Tensor]] = {}

    def mask_of(layer, x):
        here = x.shape[axis]
        if isinstance(layer, _WHOLE) or here not in valid:
            raise ValueError(
                f"{names[layer]}, {type(layer).__name__} on {tuple(x.shape)}, cannot be masked: "
                + (
                    "it computes over all frames"
                    if here in valid
                    else f"no layer gave {here} frames"
                )
                + ". Run the net with per_item"
            )
        return frame_mask(valid[here], here)

    def before(layer, inputs):
        x, mask = inputs[0], mask_of(layer, inputs[0])
        if not isinstance(layer, _BatchNorm):
            lowest = torch.finfo(x.dtype).min if isinstance(layer, _MaxPoolNd) else 0.0
            return (zero_padding(x, mask, axis, lowest), *inputs[1:])
        if not layer.training:
            return inputs
        frames_first = x.movedim(axis, 1)
        norms[layer] = frames_first.shape, mask
        return (frames_first[mask].unsqueeze(-1),)

    def behind(layer, inputs, output):
        if layer in norms:
            shape, mask = norms.pop(layer)
            filled = output.new_zeros(shape)
            return filled.index_put((mask,), output.squeeze(-1)).movedim(1, axis)
        if not isinstance(layer, _BatchNorm):
            steps = _steps(layer, axis % output.dim() - 2, valid[inputs[0].shape[axis]])
            valid[output.shape[axis]] = steps.clamp(min=1)
        return None

    kinds = (_ConvNd, _AvgPoolNd, _MaxPoolNd, _BatchNorm, *_WHOLE)
    names = {layer: name for name, layer in net.named_modules() if isinstance(layer, kinds)}
    handles = [layer.register_forward_pre_hook(before) for layer in names]
    handles += [layer.register_forward_hook(behind) for layer in names]
    try:
        yield valid
    finally:
        for handle in handles:
            handle.remove()


def _steps(layer: nn.Module, place: int, frames: torch.Tensor) -> torch.Tensor:
    """Frames that a convolution or pooling hands on, along the axis at `place` of its kernel."""

    def setting(name, default=1):
        value = getattr(layer, name, default)
        return value[place] if isinstance(value, tuple) else value

    if layer.padding == "same":
        return frames
    padding = 0 if layer.padding == "valid" else setting("padding")
    reach = setting("dilation") * (setting("kernel_size") - 1) + 1
    return (frames + 2 * padding - reach).div(setting("stride"), rounding_mode="floor") + 1
