"""Recordings as a SpeechBrain dataset: rows of a manifest read, decoded once, new in every epoch."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from speechbrain.dataio.dataset import DynamicItemDataset
from torch.nn.functional import pad

from .audio import read_audio


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
    fields : sequence of str
        The fields that items have besides.

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
        self,
        items: Mapping,
        outputs: Mapping[str, Callable],
        durations_s: Sequence[float],
        fields: Sequence[str] = (),
    ):
        super().__init__(items)
        for name, function in outputs.items():
            self.add_dynamic_item(function, takes="id", provides=name)
        self.set_output_keys(["id", *outputs, *fields])
        self.durations_s = list(durations_s)
        self.epoch = 1

    def set_epoch(self, epoch: int) -> None:
        """Compute the items of this epoch from now on."""
        self.epoch = epoch


def resolve(row, roots):
    """Path of a row's file, or None for digital silence.

    Arguments
    ---------
    row : dict
        One row.
    roots : str, Path or dict
        The data folder, or folders by root name, where "" is the data folder.
    """
    if not row["path"]:
        return None
    folder = roots[row.get("root", "")] if isinstance(roots, dict) else roots
    return Path(folder, row["path"])


def read_row(row, roots, sample_rate_hz, convert=False):
    """Waveform (T,) of one row: cut and scaled as its optional columns say.

    `start_sample` and `num_samples` count at the file's own rate. A file of another rate or of
    several channels is an error unless `convert`, which resamples and takes the channels' mean.
    """
    path = resolve(row, roots)
    if path is None:
        return torch.zeros(row["num_samples"])
    waveform = read_audio(
        path,
        sample_rate_hz,
        start_sample=row.get("start_sample", 0),
        num_samples=row.get("num_samples"),
        **({"resample": "convert", "channels": "mix"} if convert else {}),
    )
    return waveform * row["gain"] if "gain" in row else waveform


class AudioCache:
    """Remember waveforms by key until a limit is reached; after that, read as before.

    A waveform that came from 16-bit samples is kept as 16 bits, without any loss.

    Arguments
    ---------
    limit_gb : float
        Memory for waveforms, in GB; 0 keeps nothing.

    Example
    -------
    >>> cache = AudioCache(0.1)
    >>> cache.get("a", lambda: torch.tensor([0.5, -1.0])).tolist()
    [0.5, -1.0]
    >>> cache.get("a", lambda: None).tolist()
    [0.5, -1.0]
    """

    def __init__(self, limit_gb: float):
        self.free_bytes = int(limit_gb * 1e9)
        self._kept: dict[str, torch.Tensor] = {}

    def get(self, key: str, read: Callable[[], torch.Tensor]) -> torch.Tensor:
        """The waveform of `key`, float32 (T,); `read` is called when it is not here."""
        kept = self._kept.get(key)
        if kept is not None:
            # A power of two: exact, and in one pass.
            return kept * (1 / 32768) if kept.dtype == torch.int16 else kept
        wav = read()
        scaled = wav * 32768
        whole = scaled.round().clamp(-32768, 32767)
        small = whole.to(torch.int16) if torch.equal(whole, scaled) else wav
        size = small.numel() * small.element_size()
        if size <= self.free_bytes:
            self.free_bytes -= size
            self._kept[key] = small
        return wav


def row_reader(
    rows: Mapping[str, dict],
    roots: Mapping,
    sample_rate: int,
    cache: AudioCache,
    num_samples: int | None = None,
    convert: bool = False,
) -> Callable[[str], torch.Tensor]:
    """A function from an id to the waveform (T,) of its row in a manifest, decoded once.

    With `num_samples`, longer ones are cut there and shorter ones are padded with zeros. `convert` as
    for `read_row`.
    """

    def read(name: str) -> torch.Tensor:
        wav = cache.get(name, lambda: read_row(rows[name], roots, sample_rate, convert))[
            :num_samples
        ]
        # Padding copies, even by nothing.
        missing = 0 if num_samples is None else num_samples - len(wav)
        return pad(wav, (0, missing)) if missing else wav

    return read
