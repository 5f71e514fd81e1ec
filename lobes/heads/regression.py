"""Linear head of a regression, unbounded or within -1 and 1."""

import torch
from torch import nn

from ..options import choice, whole


class RegressionHead(nn.Module):
    """One linear layer to values such as valence and arousal, from -1 to 1 by convention.

    Arguments
    ---------
    in_features : int
        D of the encoder.
    outputs : int
        Values per embedding.
    activation : str
        "none": unbounded, what least squares and CCC want; "tanh": within -1 and 1.

    Shape
    -----
    (B, N, D) -> (B, N, outputs), in float32.

    Example
    -------
    >>> RegressionHead(8)(torch.zeros(3, 1, 8)).shape
    torch.Size([3, 1, 2])
    """

    def __init__(self, in_features: int, outputs: int = 2, activation: str = "none"):
        super().__init__()
        self.activation = choice("activation", activation, ("none", "tanh"))
        self.linear = nn.Linear(in_features, whole("outputs", outputs))

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        values = self.linear(embedding).float()
        return values.tanh() if self.activation == "tanh" else values
