"""Alignment of phones or words to a recording (`auricle align`), and how exact it is."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from ...lobes.bundles.bundle import Bundle
from ...processing.data.audio import probe_audio
from ...processing.data.dataset import read_row
from ...processing.scoring.transcription.boundaries import BoundaryErrors, boundary_errors_ms
from ...processing.system.terminal import no_bar
from ...processing.transcription.forced_alignment import align_steps, divide, segment_times
from ...processing.transcription.phones import folding
from ...processing.transcription.segments import Segment, write_segments
from ...processing.transcription.textgrid import write_textgrid
from ...processing.transcription.units import Units
from .alignment_transcripts import Transcript, from_phones
from .transcribe import log_probabilities, read_whole

SUFFIXES = (".phn", ".wrd", ".textgrid")
_LARGEST_SHIFT_MS = 1000
_UNIT_NAMES = {"phone": "phones", "char": "characters", "word": "subwords"}


class Aligned(NamedTuple):
    """A recording with times, in samples of its own rate."""

    units: list[Segment]
    """Contiguous from 0 to the end of the recording."""
    words: list[Segment]
    """Empty where the words are not known."""
    units_name: str
    num_samples: int
    sample_rate_hz: int


def shift_of(bundle: Bundle, shift_ms: float | None = None) -> float:
    """The shift given, or that of the bundle, or 0; in ms.

    Raises
    ------
    ValueError
        No number is given, or more than a model can be early or late by.
    """
    if shift_ms is None:
        return bundle.description.get("boundary_shift_ms", 0.0)
    if not abs(shift_ms) <= _LARGEST_SHIFT_MS:  # NaN is in no range
        raise ValueError(
            f"shift_ms is {shift_ms:g}; it must be from -{_LARGEST_SHIFT_MS} to {_LARGEST_SHIFT_MS}"
        )
    return shift_ms


def check_units(units: Units) -> None:
    """Raise ValueError unless the units are phones, whose times a corpus has."""
    if units.scored_as != "phone":
        raise ValueError(
            f"the known times are those of phones, and the bundle knows {units.kind}: "
            "take a bundle of phones"
        )


def align_file(
    bundle: Bundle,
    units: Units,
    path: str | os.PathLike,
    transcript: Transcript,
    shift_ms: float | None = None,
) -> Aligned:
    """Align a transcript to a file of any rate and any number of channels.

    Arguments
    ---------
    bundle, units : of `open_recogniser`.
    path : the recording.
    transcript : of `transcript_of`.
    shift_ms : added to every boundary; None: what the bundle holds as `boundary_shift_ms`.

    Raises
    ------
    ValueError
        A file that cannot be read or is too short; more units than there are steps for.
    """
    wav = read_whole(bundle, path)
    info = probe_audio(path)
    segments = _align(
        bundle,
        wav,
        transcript,
        info.num_samples,
        info.sample_rate_hz,
        shift_of(bundle, shift_ms),
        str(path),
    )
    return Aligned(
        segments,
        _words(transcript, segments),
        _UNIT_NAMES[units.scored_as],
        info.num_samples,
        info.sample_rate_hz,
    )


def _align(bundle, wav, transcript, num_samples, rate_hz, shift_ms, where) -> list[Segment]:
    steps = log_probabilities(bundle, wav)
    peaks = align_steps(steps, transcript.indices, where)
    hop = bundle.compute_features.hop * bundle.embedding_model.stride
    return segment_times(
        divide(steps, transcript.indices, peaks),
        transcript.labels,
        num_samples,
        hop * rate_hz / bundle.sample_rate,
        shift_ms * rate_hz / 1000,
    )


def _words(transcript: Transcript, segments: list[Segment]) -> list[Segment]:
    words = []
    for number, word in enumerate(transcript.words):
        its = [s for s, of in zip(segments, transcript.word_of, strict=True) if of == number]
        words.append(Segment(its[0].start_samples, its[-1].end_samples, word))
    return words


def write(aligned: Aligned, path: str | os.PathLike, tier: str | None = None) -> Path:
    """Write a .PHN (units), a .WRD (words) or a .TextGrid (both, as far as known).

    Arguments
    ---------
    aligned : of `align_file`.
    path : file; its suffix decides on the format.
    tier : "units", "words" or "all" (TextGrid alone); None: what is usual for the format.

    Raises
    ------
    ValueError
        Another suffix, or words that are not known.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: an alignment is written as .PHN, .WRD or .TextGrid")
    usual = {".phn": "units", ".wrd": "words", ".textgrid": "all" if aligned.words else "units"}
    tier = tier or usual[suffix]
    if tier == "all" and suffix != ".textgrid":
        raise ValueError(f"{path}: a {suffix} file has one tier; say which, or write a .TextGrid")
    if tier != "units" and not aligned.words:
        raise ValueError(
            f"{path}: the words are not known, phones were given: give the words with --lexicon"
        )
    if suffix != ".textgrid":
        return write_segments(aligned.units if tier == "units" else aligned.words, path)
    tiers = {"words": aligned.words, aligned.units_name: aligned.units}
    if tier != "all":
        del tiers[aligned.units_name if tier == "words" else "words"]
    return write_textgrid(tiers, path, aligned.sample_rate_hz, aligned.num_samples)


def score_alignment(
    bundle: Bundle,
    units: Units,
    rows: Iterable[Mapping],
    roots: Mapping,
    shift_ms: float | None = None,
    progress: bool = False,
) -> BoundaryErrors:
    """Align recordings whose phone times are known, and compare.

    Arguments
    ---------
    bundle, units : of `open_recogniser`; units are phones.
    rows : of a manifest, with `phones` (of the 61) and `phone_ends` (samples).
    roots : folders by root name.
    shift_ms : as for `align_file`.

    Raises
    ------
    ValueError
        Units that are no phones; a row without times, by name; what `align_file` refuses.
    """
    check_units(units)
    shift_ms = shift_of(bundle, shift_ms)
    fold = folding(61, units.phone_set, units.glottal_stop).__getitem__
    errors = BoundaryErrors()
    for row in tqdm(list(rows), "aligning", unit="file", disable=no_bar(progress)):
        reference = _reference(row)
        wav = read_row(row, roots, bundle.sample_rate)
        transcript = from_phones(units, [segment.text for segment in reference], row["id"])
        if units.silence_rule == "collapse":
            reference = _collapsed(reference, units)
        aligned = _align(bundle, wav, transcript, len(wav), bundle.sample_rate, shift_ms, row["id"])
        errors.append(
            row["id"], boundary_errors_ms(reference, aligned, bundle.sample_rate, fold, row["id"])
        )
    return errors


def boundary_shift_ms(
    bundle: Bundle, units: Units, rows: Iterable[Mapping], roots: Mapping
) -> float:
    """The shift that centres the boundaries of validation data; for a bundle's description.

    A model that hears the next unit before it has begun, or only when it is well under way, does so
    on the average by a constant; this is minus the median of what it is late by.
    """
    errors = score_alignment(bundle, units, rows, roots, shift_ms=0.0)
    return round(-errors.summarize(n_resamples=1)["median_ms"], 2)


def _reference(row: Mapping) -> list[Segment]:
    phones, ends = row["phones"].split(), [int(end) for end in row.get("phone_ends", "").split()]
    if not ends or len(ends) != len(phones):
        raise ValueError(
            f"utterance {row['id']!r} has {len(phones)} phones and {len(ends)} times: an alignment "
            "is scored where the times of all phones are known"
        )
    return [Segment(a, b, p) for a, b, p in zip([0, *ends[:-1]], ends, phones, strict=True)]


def _collapsed(reference: list[Segment], units: Units) -> list[Segment]:
    """Runs of silence as one segment."""
    table = folding(61, units.phone_set, units.glottal_stop)
    merged: list[Segment] = []
    for segment in reference:
        if (
            merged
            and table[segment.text] == table[merged[-1].text]
            and table[segment.text] == "sil"
        ):
            merged[-1] = merged[-1]._replace(end_samples=segment.end_samples)
        else:
            merged.append(segment)
    return merged
