"""Heads: from what an encoder returns to what a task is scored on."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["Classifier"]


class Classifier(nn.Module):
    """One linear layer and log-softmax.

    Arguments
    ---------
    in_features : int
        D of the encoder.
    num_classes : int

    Shape
    -----
    (B, N, D) -> (B, N, C), log-probabilities in float32.

    Example
    -------
    >>> Classifier(8, 3)(torch.zeros(2, 1, 8)).exp().sum(-1).round().tolist()
    [[1.0], [1.0]]
    """

    def __init__(self, in_features: int, num_classes: int):
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"a classifier needs at least 2 classes, got {num_classes}")
        self.linear = nn.Linear(in_features, num_classes)

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        return self.linear(embedding).float().log_softmax(-1)
