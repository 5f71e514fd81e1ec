"""Speaker embeddings of recordings: read by name, batched by length, embedded."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from ...processing.data.audio import AUDIO_SUFFIXES, AudioError, read_audio, split_suffix
from ...processing.data.augmentation.crops import evenly_spaced
from ...processing.scoring.arrays import first_repeated
from ...processing.scoring.verification.embeddings import Embeddings
from ...processing.system.terminal import no_bar

#: Audio held at once to be sorted by length, in batches: more sorts better and takes more memory.
_POOL_BATCHES = 8


def extract(
    bundle,
    names: Sequence[str],
    read: Callable[[str], torch.Tensor],
    *,
    crops: int = 0,
    crop_s: float = 4.0,
    batch_s: float = 64.0,
    progress: bool = False,
) -> Embeddings:
    """Embed recordings, each read once.

    Recordings of similar length share a batch, padded and with their lengths; some minutes of audio
    are held at a time, whatever the number of recordings. The model is in evaluation mode meanwhile
    and on whatever device it is; the order of the names and the result do not depend on batching,
    but for rounding.

    Arguments
    ---------
    bundle : has `embed(wavs (B, T), lengths (B,)) -> (B, 1, D)` and `sample_rate` in Hz.
    names : the recordings, all different.
    read : from a name to its waveform (T,) at `bundle.sample_rate`.
    crops : 0 embeds the whole recording; n embeds n evenly spaced crops of it, from its first to
        its last sample, and averages their unit vectors. A recording no longer than a crop is
        embedded whole, once: it is never repeated to fill a crop.
    crop_s : length of a crop in s.
    batch_s : audio in a batch in s, with padding (a longer recording is a batch of its own).
    progress : show a bar.

    Returns
    -------
    Embeddings (n, D) float32, in the order of `names`.

    Raises
    ------
    ValueError
        No name or one twice, options out of range, a waveform that is not (T,), is empty, shorter
        than the frontend's window, constant (silence) or not finite, a model that gives frames and
        not one embedding: the recording is named.

    Example
    -------
    >>> class Ends:
    ...     sample_rate = 10
    ...     def embed(self, wavs, lengths):
    ...         last = (lengths * wavs.shape[1]).round().long() - 1
    ...         ends = torch.stack([wavs[:, 0], wavs.gather(1, last[:, None])[:, 0]], 1)
    ...         return ends[:, None]
    >>> waves = {"a": torch.arange(1.0, 31), "b": torch.arange(2.0, 7)}
    >>> extract(Ends(), ["a", "b"], waves.__getitem__).vectors.tolist()
    [[1.0, 30.0], [2.0, 6.0]]
    """
    names = list(names)
    if isinstance(crops, bool) or not isinstance(crops, int) or crops < 0:
        raise ValueError(f"crops is {crops!r}: give 0 for whole recordings, or how many crops")
    for name, value in (("crop_s", crop_s), ("batch_s", batch_s)):
        if not 0 < value < float("inf"):
            raise ValueError(f"{name} is {value!r}: give a length in s above 0")
    if not names:
        raise ValueError("no recording to embed")
    if (double := first_repeated(names)) is not None:
        raise ValueError(f"recording {double!r} is asked for twice: give every name once")
    rate = bundle.sample_rate
    least_samples = getattr(getattr(bundle, "compute_features", None), "window", 1)
    crop_samples = max(1, round(crop_s * rate))
    batch_samples = max(1, round(batch_s * rate))

    def pieces() -> Iterator[tuple[int, torch.Tensor]]:
        shown = tqdm(names, desc="embeddings", unit="recording", disable=no_bar(progress))
        for number, name in enumerate(shown):
            wav = check_waveform(read(name), name, rate, least_samples)
            for piece in crops_of(wav, crops, crop_samples):
                yield number, piece

    total: np.ndarray | None = None
    count = np.zeros(len(names), np.int64)
    module = bundle if isinstance(bundle, nn.Module) else None
    training = module is not None and module.training
    if training:
        module.eval()
    try:
        with torch.inference_mode():
            for numbers, wavs, lengths in _batches(pieces(), batch_samples):
                rows = _embed(bundle, wavs, lengths, names[numbers[0]])
                if crops:
                    rows /= np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-12)
                if total is None:
                    total = np.zeros((len(names), rows.shape[1]))
                np.add.at(total, numbers, rows)
                np.add.at(count, numbers, 1)
    finally:
        if training:
            module.train()
    return Embeddings(names, (total / count[:, None]).astype(np.float32))


def check_waveform(wav, name: str, rate: int, least_samples: int = 1) -> torch.Tensor:
    """The waveform as it is, or a ValueError that names the recording and says what is wrong."""
    if not isinstance(wav, torch.Tensor) or wav.dim() != 1:
        shape = tuple(getattr(wav, "shape", ()))
        raise ValueError(f"{name}: the waveform must be a tensor (T,), got {shape}")
    if len(wav) < least_samples:
        raise ValueError(
            f"{name} is too short to embed: {len(wav)} samples ({1000 * len(wav) / rate:.1f} ms), "
            f"and the frontend's window has {least_samples}"
        )
    if not torch.isfinite(wav).all():
        raise ValueError(f"{name} holds NaN or infinite samples")
    if len(wav) and (wav == wav[0]).all():
        raise ValueError(f"{name} is silence: all {len(wav)} samples are {float(wav[0]):g}")
    return wav


def crops_of(wav: torch.Tensor, crops: int, crop_samples: int) -> list[torch.Tensor]:
    """Evenly spaced crops, first and last at the ends (one: the middle); all of a short waveform.

    Example
    -------
    >>> [crop.tolist() for crop in crops_of(torch.arange(7), 3, 3)]
    [[0, 1, 2], [2, 3, 4], [4, 5, 6]]
    """
    if not crops:
        return [wav]
    parts = evenly_spaced(len(wav), crop_samples, crops)
    return [wav[start : start + size] for start, size in parts]


def _batches(
    pieces: Iterable[tuple[int, torch.Tensor]], batch_samples: int
) -> Iterator[tuple[list[int], torch.Tensor, torch.Tensor]]:
    """(numbers, wavs (B, T), lengths (B,)), sorted by length inside a pool of batches."""
    pool: list[tuple[int, torch.Tensor]] = []
    held = 0
    for number, wav in pieces:
        pool.append((number, wav))
        held += len(wav)
        if held >= _POOL_BATCHES * batch_samples:
            yield from _sorted_batches(pool, batch_samples)
            pool, held = [], 0
    yield from _sorted_batches(pool, batch_samples)


def _sorted_batches(pool, batch_samples: int):
    batch: list[tuple[int, torch.Tensor]] = []
    # longest first: the first of a batch says how long its rows are
    for number, wav in sorted(pool, key=lambda piece: -len(piece[1])):
        if batch and len(batch[0][1]) * (len(batch) + 1) > batch_samples:
            yield _padded(batch)
            batch = []
        batch.append((number, wav))
    if batch:
        yield _padded(batch)


def _padded(batch):
    longest = len(batch[0][1])
    wavs = torch.zeros(len(batch), longest)
    for row, (_, wav) in zip(wavs, batch, strict=True):
        row[: len(wav)] = wav
    lengths = torch.tensor([len(wav) / longest for _, wav in batch])
    return [number for number, _ in batch], wavs, lengths


def _embed(bundle, wavs: torch.Tensor, lengths: torch.Tensor, first: str) -> np.ndarray:
    place = None
    if isinstance(bundle, nn.Module):
        place = next((parameter.device for parameter in bundle.parameters()), None)
    rows = bundle.embed(wavs.to(place), lengths.to(place)).float().cpu()
    if rows.dim() == 3 and rows.shape[1] == 1:
        rows = rows.squeeze(1)
    if rows.dim() != 2 or len(rows) != len(wavs):
        raise ValueError(
            f"{first}: the model gives {tuple(rows.shape)} for {len(wavs)} recordings, not one "
            "embedding each: its encoder must be of the kind with output 'utterance'"
        )
    return rows.numpy().astype(np.float64)


def folder_reader(
    data_folder: str | os.PathLike, sample_rate: int
) -> Callable[[str], torch.Tensor]:
    """A `read` for `extract` that finds recordings in a folder.

    A name is looked for as `data_folder/name` and `data_folder/wav/name` (where VoxCeleb1 has its
    recordings), and then there with the suffix of another audio format: a list says
    `id10270/5r0dWxy17C8/00001.wav` also where the copies are flac.

    Arguments
    ---------
    data_folder : the corpus.
    sample_rate : in Hz; files of another rate are resampled, several channels averaged.

    Raises
    ------
    ValueError
        No such folder; of the reader: a name that leads nowhere or out of the folder, and
        `AudioError` for a file that cannot be used.
    """
    folder = Path(data_folder).expanduser()
    if not folder.is_dir():
        raise ValueError(f"data_folder {folder} is no folder")

    def read(name: str) -> torch.Tensor:
        relative = Path(name)
        if relative.is_absolute() or ".." in relative.parts:
            raise ValueError(f"recording {name!r} is no path inside {folder}")
        for root in (folder, folder / "wav"):
            stem = split_suffix(name)[0]
            for path in (root / name, *(root / f"{stem}{suffix}" for suffix in AUDIO_SUFFIXES)):
                if path.is_file():
                    return read_audio(path, sample_rate, resample="convert", channels="mix")
        raise AudioError(
            name,
            f"recording {name!r} is neither in {folder} nor in {folder / 'wav'}",
            "names are full relative paths, as the trial list spells them; looked for with the "
            f"suffixes {', '.join(AUDIO_SUFFIXES)}",
            "missing",
        )

    return read
