"""`auricle align`: when the phones or words of a recording were said."""

import sys
import tempfile
from dataclasses import dataclass
from typing import Literal

from ..reports.printing import show
from ..training.command_line import UsageError


@dataclass(frozen=True)
class Scoring:
    """A corpus with known times, which alignments are compared with.

    Arguments (how exact it is)
    ---------------------------
    score : FOLDER
        Align a split of TIMIT (or of mini TIMIT) in this folder, and compare with its .PHN.
    split
        Of the corpus.
    skip_broken
        Go on with a part of the corpus.
    json
        Print JSON.
    """

    score: str | None = None
    split: Literal["train", "valid", "test"] = "test"
    skip_broken: bool = False
    json: bool = False


def run(
    bundle: str,
    file: str | None = None,
    transcript: str | None = None,
    /,
    *,
    lexicon: str | None = None,
    out: str | None = None,
    tier: Literal["units", "words", "all"] | None = None,
    shift_ms: float | None = None,
    scoring: Scoring,
) -> None:
    """Find when the phones or words of a recording were said.

    Arguments
    ---------
    bundle : BUNDLE
        Trained by the TIMIT recipe.
    file : FILE
        The recording.
    transcript : TRANSCRIPT
        What is said: phones (of TIMIT's 61, 48 or 39) or words, in quotes; or a .PHN, .WRD or .TXT
        file.
    lexicon : FILE
        Lines 'WORD PHONE ...': the transcript is words, and the bundle knows phones.
    out : FILE
        .PHN or .WRD (times in samples) or .TextGrid. Default: print lines of a .PHN.
    tier
        What is written. Default: all there is.
    shift_ms : MS
        Added to every boundary. Default: what the bundle holds, else 0.
    """
    if scoring.score:
        if file or transcript or out or lexicon:
            raise UsageError("--score aligns a corpus: leave out FILE, TRANSCRIPT and --out")
        _score(bundle, shift_ms, scoring)
        return
    if not file or transcript is None:
        raise UsageError("give FILE and TRANSCRIPT, or --score FOLDER")
    from ..inference.align import SUFFIXES, align_file, write
    from ..inference.alignment_transcripts import transcript_of
    from ..inference.input_files import check_writable
    from ..inference.transcribe import open_recogniser

    if out and not out.lower().endswith(SUFFIXES):
        raise UsageError(f"--out {out}: the file ends in .PHN, .WRD or .TextGrid")
    if out:
        check_writable(out, "--out")
    model, units = open_recogniser(bundle)
    tokens = transcript_of(units, transcript, lexicon)
    aligned = align_file(model, units, file, tokens, shift_ms)
    if tokens.left_out:
        print(
            f"auricle: {len(tokens.left_out)} x {tokens.left_out[0]} is no unit of this bundle: "
            "its time is in its neighbours",
            file=sys.stderr,
        )
    if out:
        print(write(aligned, out, tier))
        return
    for segment in aligned.words if tier == "words" else aligned.units:
        print(*segment)


def _score(bundle: str, shift_ms: float | None, scoring: Scoring) -> None:
    from ..inference.align import check_units, score_alignment, shift_of
    from ..inference.transcribe import open_recogniser
    from ..timit.prepare import PreparationError, prepare
    from ..timit.table import find_tables

    model, units = open_recogniser(bundle)
    check_units(units)
    shift_ms = shift_of(model, shift_ms)
    if tables := find_tables(scoring.score):
        raise ValueError(
            f"--score {scoring.score}: {tables[0].name} has no phone times; an alignment is "
            "scored on TIMIT or mini TIMIT, whose .PHN files have them"
        )
    with tempfile.TemporaryDirectory() as folder:
        try:
            record = prepare(scoring.score, folder, skip_broken=scoring.skip_broken)
        except PreparationError as error:
            # The recipe spells its options in another way.
            raise ValueError(str(error).replace("--skip_broken true", "--skip-broken")) from None
        rows = record.rows(scoring.split)
    errors = score_alignment(model, units, rows, record.roots, shift_ms, sys.stderr.isatty())
    summary = errors.summarize()
    about = {"dataset": record.dataset, "completeness": record.completeness}
    about |= {"split": scoring.split, "units": units.kind, "shift_ms": shift_ms}
    lines = [
        f"{record.dataset} ({record.completeness}), {scoring.split}: {summary['boundaries']} "
        f"boundaries of {summary['n']} utterances, {units.kind}, shift {shift_ms:g} ms"
    ]
    for name in [name for name in summary if name.startswith("within_")]:
        bounds = (summary["interval"] or {}).get(name)
        shown = f" [{100 * bounds[0]:.1f}, {100 * bounds[1]:.1f}]" if bounds else ""
        lines.append(f"within {name.split('_')[1]:>2} ms {100 * summary[name]:5.1f} %{shown}")
    lines.append(
        f"mean absolute error {summary['mean_absolute_ms']:.1f} ms, median "
        f"{summary['median_ms']:+.1f} ms (positive: late)"
    )
    if summary["interval"]:
        lines.append("Intervals: 95 %, bootstrap over utterances, 1000 resamples, seed 0")
    show({**about, **summary}, lines, scoring.json)
