"""Head of a regression: one linear layer or two, unbounded or within -1 and 1."""

import torch
from torch import nn

from ..options import choice, whole


class RegressionHead(nn.Module):
    """One linear layer, or two with a ReLU between, to values such as valence and arousal, from -1 to 1 by convention.

    Arguments
    ---------
    in_features : int
        D of the encoder.
    outputs : int
        Values per embedding.
    activation : str
        "none": unbounded, what least squares and CCC want; "tanh": within -1 and 1.
    hidden : int or None
        Width of a linear layer with ReLU in front; None: there is none.

    Shape
    -----
    (B, N, D) -> (B, N, outputs), in float32.

    Example
    -------
    >>> RegressionHead(8)(torch.zeros(3, 1, 8)).shape
    torch.Size([3, 1, 2])
    """

    def __init__(
        self,
        in_features: int,
        outputs: int = 2,
        activation: str = "none",
        hidden: int | None = None,
    ):
        super().__init__()
        self.activation = choice("activation", activation, ("none", "tanh"))
        width = in_features if hidden is None else whole("hidden", hidden)
        self.hidden = None if hidden is None else nn.Linear(in_features, width)
        self.linear = nn.Linear(width, whole("outputs", outputs))

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        if self.hidden is not None:
            embedding = self.hidden(embedding).relu()
        values = self.linear(embedding).float()
        return values.tanh() if self.activation == "tanh" else values
