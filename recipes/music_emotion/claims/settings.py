"""Settings of a claim that trains networks."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """How a claim that trains is measured.

    Arguments
    ---------
    results_folder : str
        Where the runs go, and where those that are there already are read from.
    data_folder : str
        The corpus; "mini" is auricle's own.
    seeds : int or None
        How many, from 1; None: the claim's own number.
    epochs : int or None
        Of each run; None: the recipe's own number.
    dry : bool
        Train nothing: read the runs that are there, and say which are missing.
    pretrained : str or None
        A `.safetensors` file of a transformer trained on images, for the claims about such weights;
        None: random weights.

    Raises
    ------
    ValueError
        For fewer than one seed or epoch.
    """

    results_folder: str = "results/claims"
    data_folder: str = "mini"
    seeds: int | None = None
    epochs: int | None = None
    dry: bool = False
    pretrained: str | None = None

    def __post_init__(self):
        for name in ("seeds", "epochs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
