"""Attention rollout of a recording (`auricle attention`), as a picture in s and Hz."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ...lobes.bundles.bundle import Bundle
from ...lobes.encoders._patch.rollout import rollout_picture
from ...lobes.encoders._patch.transformer import PatchTransformer
from ...processing.plots.common import save_figure
from ...processing.plots.emotion import attention_over_spectrogram
from .predict import read_recording


@dataclass(frozen=True)
class Attention:
    """The rollout of one clip and what it lies over.

    Attributes
    ----------
    rollout : (rows, columns), a value per patch, low frequencies first
    spread : (F, N), the mean value of the patches that read a cell
    features : (F, N), what the encoder was given
    frame_s : seconds from frame to frame
    centre_hz : (F,), rising
    start_s : where in the file the clip begins
    strongest : {"start_s", "end_s", "low_hz", "high_hz", "times_even"} of the strongest patch, its
        times from the beginning of the file
    """

    rollout: np.ndarray
    spread: np.ndarray
    features: np.ndarray
    frame_s: float
    centre_hz: np.ndarray
    start_s: float
    strongest: dict[str, float]


@torch.no_grad()
def attention_of_file(
    bundle: Bundle,
    path: str | os.PathLike,
    start_s: float | None = None,
    heads: str = "mean",
    discard: float = 0.0,
) -> Attention:
    """Attention rollout of one clip of a file, as long as the training clips.

    Arguments
    ---------
    bundle : with the encoder `vit` or `ast`, and a frontend whose filters rise.
    path : the recording.
    start_s : where the clip begins; None: where the training's window did, or at 0 where the file
        ends before.
    heads, discard : as for `attention_rollout`.

    Raises
    ------
    ValueError
        Another encoder, a frontend without frequencies, a file that cannot be read, a beginning
        behind its end.
    """
    encoder, frontend = bundle.embedding_model, bundle.compute_features
    if not isinstance(encoder, PatchTransformer):
        raise ValueError(
            "attention rollout is of transformers over patches (vit, ast); this bundle has the "
            f"encoder {bundle.description['encoder']['name']}"
        )
    centre_hz = _centres(bundle)
    rate = bundle.sample_rate
    wav = read_recording(path, rate)
    duration_s = len(wav) / rate
    if start_s is None:
        start_s = float((bundle.description.get("window_s") or [0.0])[0])
        start_s = start_s if start_s + (bundle.clip_s or 0) <= duration_s else 0.0
    if not 0 <= start_s < duration_s:
        raise ValueError(f"the clip cannot begin at {start_s:g} s: {path} lasts {duration_s:.2f} s")
    size = round(bundle.clip_s * rate) if bundle.clip_s else len(wav)
    clip = wav[round(start_s * rate) :][:size][None]
    if clip.shape[1] < frontend.window or not frontend.num_frames(clip.shape[1]):
        raise ValueError(
            f"{path}: what follows {start_s:g} s is shorter than a window of the model"
        )
    feats = bundle.mean_var_norm(frontend(clip))
    rollout = rollout_picture(encoder, feats, heads=heads, discard=discard)[0].numpy()
    features = feats[0].T.numpy()
    # A frontend that resizes has other frames than its hop says.
    hop = frontend.hop
    resized = abs(features.shape[1] * hop - clip.shape[1]) > frontend.window + hop
    frame_s = clip.shape[1] / rate / features.shape[1] if resized else hop / rate
    row, column = np.unravel_index(rollout.argmax(), rollout.shape)
    (high, wide), patch = encoder.patch_stride, encoder.patch
    bands = centre_hz[row * high : row * high + patch]
    strongest = {
        "start_s": start_s + column * wide * frame_s,
        "end_s": start_s + min(column * wide + patch, features.shape[1]) * frame_s,
        "low_hz": float(bands[0]),
        "high_hz": float(bands[-1]),
        "times_even": float(rollout.max() / rollout.mean()),
    }
    over_cells = spread(rollout, features.shape, encoder.patch_stride, patch)
    return Attention(rollout, over_cells, features, frame_s, centre_hz, start_s, strongest)


def spread(
    rollout: np.ndarray, shape: tuple[int, int], stride: tuple[int, int], patch: int
) -> np.ndarray:
    """The mean value of the patches that read a cell, (F, N); 0 where none does.

    A mean, so that an even look gives an even picture where patches overlap.

    Arguments
    ---------
    rollout : (rows, columns)
    shape : (F, N) of the features; what a last patch completes with zeros lies outside.
    stride : between patches, in features and in frames.
    patch : side of a patch.

    Example
    -------
    >>> spread(np.array([[4.0, 2.0]]), (2, 5), (2, 1), 2)
    array([[4., 3., 2., 0., 0.],
           [4., 3., 2., 0., 0.]])
    """
    total, count = np.zeros(shape), np.zeros(shape)
    for (row, column), value in np.ndenumerate(rollout):
        low, start = row * stride[0], column * stride[1]
        cells = slice(low, low + patch), slice(start, start + patch)
        total[cells] += value
        count[cells] += 1
    return total / np.maximum(count, 1)


def draw(attention: Attention, path: str | os.PathLike, title: str) -> Path:
    """Save the picture: the features, and the attention over them, times from the clip's start."""
    figure = attention_over_spectrogram(
        attention.spread, attention.features, attention.frame_s, attention.centre_hz, title
    )
    rows, columns = attention.rollout.shape
    figure.axes[0].set_title("What the encoder was given", fontsize=10)
    start = f" after {attention.start_s:g} s of the recording" if attention.start_s else ""
    figure.axes[1].set_xlabel(f"Time{start} (s)")
    figure.axes[1].set_title(f"Attention rollout, {rows} by {columns} patches", fontsize=10)
    return save_figure(figure, path)


def _centres(bundle: Bundle) -> np.ndarray:
    """Centre frequency of each feature, in Hz."""
    frontend, name = bundle.compute_features, bundle.description["frontend"]["name"]
    if not hasattr(frontend, "filters"):
        raise ValueError(f"frontend {name} has no filters: its features have no place in Hz")
    centre_hz = np.asarray(frontend.filters().centre_hz, float)
    features = frontend.num_features
    if len(centre_hz) != features:  # resized from another number of bands
        places = (np.arange(features) + 0.5) * len(centre_hz) / features - 0.5
        places = places.clip(0, len(centre_hz) - 1)
        centre_hz = np.interp(places, np.arange(len(centre_hz)), centre_hz)
        centre_hz = centre_hz + 1e-6 * np.arange(features)  # the same at the ends otherwise
    if (np.diff(centre_hz) <= 0).any():
        raise ValueError(
            f"the filters of {name} in this bundle do not rise from each to the next: its features "
            "have no axis in Hz"
        )
    return centre_hz
