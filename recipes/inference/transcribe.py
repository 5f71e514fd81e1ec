"""Transcription of audio files (`auricle transcribe`) by a trained recogniser."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

from ...lobes import bundles
from ...lobes.bundles.description import BundleError
from ...lobes.bundles.trained import Trained
from ...lobes.export import open_model
from ...lobes.tasks import check_finite
from ...processing.data.audio import read_audio
from ...processing.transcription.bigram import Bigram
from ...processing.transcription.ctc_decoding import BeamDecoder, GreedyDecoder, build_decoder
from ...processing.transcription.units import Units

#: In a bundle's folder, beside the model: the bigram of its training transcripts.
BIGRAM_FILE = "bigram.json"
SHORTEST_S = 0.025
NAMES = ("stem", "path")


def open_recogniser(folder: str | os.PathLike) -> tuple[Trained, Units]:
    """A bundle that transcribes, and its units.

    Raises
    ------
    BundleError
        No bundle, one of another task, or one whose units do not fit its model.
    """
    bundle = open_model(folder)
    bundle.require("transcription")
    try:
        units = Units.from_state(bundle.description.get("units"))
    except ValueError as error:
        raise BundleError(f"{folder}: {error}") from None
    if list(units.labels) != bundle.labels:
        raise BundleError(
            f"{folder} is damaged: its model has {len(bundle.labels)} labels and its units "
            f"{len(units.labels)}, or others"
        )
    return bundle, units


def decoder_of(
    folder: str | os.PathLike,
    units: Units,
    decoding: str = "greedy",
    beam_size: int = 16,
    lm_weight: float = 0.0,
) -> GreedyDecoder | BeamDecoder:
    """The decoder for a bundle's units, with the bigram in the bundle's folder where it is used.

    Raises
    ------
    ValueError
        Options that cannot be; a bigram is needed and the bundle has none, or one of other units.
    """
    bigram = None
    if decoding == "beam" and lm_weight:
        path = bundles.file_in(folder, BIGRAM_FILE)
        if path is None:
            raise ValueError(
                f"{folder} has no {BIGRAM_FILE}: lm_weight needs the bigram of the training "
                "transcripts; take --lm-weight 0"
            )
        try:
            bigram = Bigram.load(path, len(units.labels))
        except ValueError as error:
            raise ValueError(
                f"{error}; take a whole copy of the bundle, or --lm-weight 0"
            ) from None
    return build_decoder(decoding, units.labels, beam_size, lm_weight, bigram)


def read_whole(bundle: Trained, path: str | os.PathLike) -> torch.Tensor:
    """Waveform (T,) of a file at the bundle's rate.

    Raises
    ------
    ValueError
        A file that cannot be read, or is too short to hold a phone or to give a frame.
    """
    wav = read_audio(path, bundle.sample_rate, resample="convert", channels="mix")
    if len(wav) < SHORTEST_S * bundle.sample_rate or not bundle.compute_features.num_frames(
        len(wav)
    ):
        raise ValueError(
            f"{path}: lasts {1000 * len(wav) / bundle.sample_rate:.1f} ms, too short to hold anything "
            f"that is said: a phone and a window of the model last {1000 * SHORTEST_S:g} ms or more"
        )
    return wav


@torch.no_grad()
def log_probabilities(bundle: Trained, wav: torch.Tensor) -> torch.Tensor:
    """(T,) -> (N, C), log-probabilities of the units per step."""
    steps = bundle.steps(wav[None])[0]
    check_finite(float(steps.double().sum()))
    return steps


def transcribe_file(
    bundle: Trained, units: Units, decode: GreedyDecoder | BeamDecoder, path: str | os.PathLike
) -> list[str]:
    """Tokens of one file as they are scored: phones, characters or words."""
    steps = log_probabilities(bundle, read_whole(bundle, path))
    (indices,) = decode(steps[None], torch.tensor([len(steps)]))
    return units.decode(indices)


def names_of(files: Sequence[str], how: str = "stem") -> list[str]:
    """What each file is called in a transcript: its name without folder and suffix, or its path.

    Raises
    ------
    ValueError
        Two files of one name, or a name with white space, which a transcript cannot hold.

    Example
    -------
    >>> names_of(["a/u1.wav", "b/u2.WAV"]), names_of(["a/u1.wav"], "path")
    (['u1', 'u2'], ['a/u1.wav'])
    """
    if how not in NAMES:
        raise ValueError(f"names are {how!r}; they can be {' or '.join(NAMES)}")
    names = [Path(file).stem if how == "stem" else str(file) for file in files]
    for name, count in Counter(names).items():
        if count > 1:
            cure = "--names path tells them apart" if how == "stem" else "give each file once"
            raise ValueError(f"{count} files are called {name!r}: {cure}")
        if name.split() != [name]:
            raise ValueError(
                f"{name!r} cannot be the name of an utterance, there is white space in it: rename "
                "the file, or take --format json"
            )
    return names
