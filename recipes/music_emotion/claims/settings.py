"""Settings of a claim that trains networks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How a claim that trains is measured.

    Arguments (claims that train networks)
    --------------------------------------
    results_folder : FOLDER
        Where the runs go, and where those that are there already are read from.
    data_folder : FOLDER
        The corpus; mini is auricle's own.
    seeds : N
        Runs of each system, from seed 1. Default: the claim's own number.
    number_of_epochs : N
        Of each run. Default: the claim's own number.
    dry
        Train nothing: judge by the runs that are there, and say which are missing.
    pretrained : FILE
        A .safetensors file of a transformer trained on images, for the claims about such weights.

    Raises
    ------
    ValueError
        Fewer than one seed or epoch.
    """

    results_folder: str = "results/claims"
    data_folder: str = "mini"
    seeds: int | None = None
    number_of_epochs: int | None = None
    dry: bool = False
    pretrained: str | None = None

    def __post_init__(self):
        for name in ("seeds", "number_of_epochs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
