"""LSTM that computes in float32 under bfloat16 autocast where the processor lacks bfloat16."""

import torch
from torch import nn


class LSTM(nn.LSTM):
    """`nn.LSTM` that under bfloat16 autocast runs in float32 where the processor cannot do better.

    On a CPU without bfloat16 arithmetic torch's own raises "could not create a primitive descriptor"
    there, while all other operators work.

    Arguments, shapes and state as `nn.LSTM`.

    Example
    -------
    >>> with torch.autocast("cpu", dtype=torch.bfloat16):
    ...     LSTM(40, 8, batch_first=True)(torch.zeros(2, 5, 40))[0].shape
    torch.Size([2, 5, 8])
    """

    def forward(self, input, hx=None):
        if not (torch.is_autocast_enabled("cpu") and self.weight_ih_l0.device.type == "cpu"):
            return super().forward(input, hx)
        if _has_bfloat16():
            return super().forward(input, hx)
        with torch.autocast("cpu", enabled=False):
            dtype = self.weight_ih_l0.dtype
            hx = None if hx is None else tuple(state.to(dtype) for state in hx)
            return super().forward(input.to(dtype), hx)  # a PackedSequence has `to`, too


def _has_bfloat16() -> bool:
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()
