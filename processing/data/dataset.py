"""Recordings as a SpeechBrain dataset whose items may change from epoch to epoch."""

from collections.abc import Callable, Mapping, Sequence

import torch
from speechbrain.dataio.dataset import DynamicItemDataset

from . import manifest
from .cache import AudioCache


class Recordings(DynamicItemDataset):
    """Items by id, computed when they are asked for.

    Arguments
    ---------
    items : mapping
        Fields by id.
    outputs : dict
        Functions of the id by the name of what they return; items have these and `id`.
    durations_s : sequence of float
        The longest that each item may be, in their order: what a batch sampler has to know.

    Attributes
    ----------
    epoch : int
        For what is drawn anew in every epoch. Worker processes are started anew in every epoch
        and see it.

    Example
    -------
    >>> clips = Recordings({"a": {}}, {"sig": lambda name: torch.ones(2)}, [0.1])
    >>> clips[0]
    {'id': 'a', 'sig': tensor([1., 1.])}
    """

    def __init__(
        self, items: Mapping, outputs: Mapping[str, Callable], durations_s: Sequence[float]
    ):
        super().__init__(items)
        for name, function in outputs.items():
            self.add_dynamic_item(function, takes="id", provides=name)
        self.set_output_keys(["id", *outputs])
        self.durations_s = list(durations_s)
        self.epoch = 1

    def set_epoch(self, epoch: int) -> None:
        """Compute the items of this epoch from now on."""
        self.epoch = epoch


def row_reader(
    rows: Mapping[str, dict], roots: Mapping, sample_rate: int, cache: AudioCache
) -> Callable[[str], torch.Tensor]:
    """A function from an id to the waveform (T,) of its row in a manifest, decoded once."""

    def read(name: str) -> torch.Tensor:
        return cache.get(name, lambda: manifest.read_row(rows[name], roots, sample_rate))

    return read
