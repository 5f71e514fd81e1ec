"""Heads by name, the linear classifier and the tagger: from an embedding to scores or values."""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")

import torch
from torch import nn

from .angular_margin import CosineClassifier
from .regression import RegressionHead

__all__ = ["HEADS", "Classifier", "NoHead", "Tagger", "build_head"]


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


class Tagger(nn.Module):
    """One linear layer: a logit per tag, of which an item may have several or none.

    Arguments
    ---------
    in_features : int
        D of the encoder.
    num_tags : int

    Shape
    -----
    (B, N, D) -> (B, N, C), logits in float32.

    Example
    -------
    >>> Tagger(8, 3)(torch.zeros(2, 1, 8)).shape
    torch.Size([2, 1, 3])
    """

    def __init__(self, in_features: int, num_tags: int):
        super().__init__()
        if num_tags < 1:
            raise ValueError(f"a tagger needs at least 1 tag, got {num_tags}")
        self.linear = nn.Linear(in_features, num_tags)

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        return self.linear(embedding).float()


class NoHead(nn.Module):
    """The embedding itself, of a model whose classes of training are not kept.

    Arguments
    ---------
    in_features : int
        D of the encoder.
    num_classes : int
        0.

    Shape
    -----
    (B, N, D) -> (B, N, D)

    Example
    -------
    >>> NoHead(8, 0)(torch.zeros(2, 1, 8)).shape
    torch.Size([2, 1, 8])
    """

    def __init__(self, in_features: int, num_classes: int):
        super().__init__()
        if num_classes:
            raise ValueError(f"a model without a head has no classes, got {num_classes}")

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        return embedding


#: Heads by the names that bundles give them.
HEADS: dict[str, type[nn.Module]] = {
    "classifier": Classifier,
    "cosine": CosineClassifier,
    "none": NoHead,
    "regression": RegressionHead,
    "tagger": Tagger,
}


def build_head(name: str, in_features: int, num_classes: int, options: dict | None = None):
    """Build the head `name` for embeddings of `in_features` values.

    Arguments
    ---------
    name : str
        One of `HEADS`.
    in_features, num_classes : int
    options : dict or None
        Further arguments of the head, e.g. `{"subcenters": 3}`.

    Raises
    ------
    ValueError
        Unknown name or options.

    Example
    -------
    >>> build_head("cosine", 8, 3)(torch.ones(2, 1, 8)).shape
    torch.Size([2, 1, 3])
    """
    if name not in HEADS:
        raise ValueError(f"no head is called {name!r}; there are {', '.join(HEADS)}")
    try:
        return HEADS[name](in_features, num_classes, **(options or {}))
    except TypeError as error:
        raise ValueError(f"head {name!r}: {error}") from None
