"""Parser of `auricle align`: when the phones or words of a recording were said."""

from __future__ import annotations

import sys
import tempfile

from .common import add_command, add_shared, spellings

__all__ = ["add_parser", "run"]


def add_parser(commands) -> None:
    """Add the command."""
    align = add_command(
        commands, "align", run, "find when the phones or words of a recording were said"
    )
    align.add_argument("bundle", metavar="BUNDLE", help="trained by the TIMIT recipe")
    align.add_argument("file", nargs="?", metavar="FILE")
    align.add_argument(
        "transcript",
        nargs="?",
        metavar="TRANSCRIPT",
        help="what is said: phones (of TIMIT's 61, 48 or 39) or words, in quotes; or a .PHN, .WRD "
        "or .TXT file",
    )
    align.add_argument(
        "--lexicon",
        metavar="FILE",
        help="lines 'WORD PHONE ...': the transcript is words, and the bundle knows phones",
    )
    align.add_argument(
        "--out",
        metavar="FILE",
        help=".PHN or .WRD (times in samples) or .TextGrid; default: print lines of a .PHN",
    )
    align.add_argument(
        "--tier", choices=["units", "words", "all"], help="what is written; default: all there is"
    )
    align.add_argument(
        *spellings("--shift-ms"),
        type=float,
        metavar="MS",
        help="added to every boundary; default: what the bundle holds, else 0",
    )
    scoring = align.add_argument_group("how exact it is")
    scoring.add_argument(
        "--score",
        metavar="FOLDER",
        help="align a split of TIMIT (or of mini TIMIT) in this folder, and compare with its .PHN",
    )
    scoring.add_argument(
        "--split", choices=["train", "valid", "test"], default="test", help="default: test"
    )
    scoring.add_argument(
        *spellings("--skip-broken"), action="store_true", help="go on with a part of the corpus"
    )
    add_shared(scoring, "json")


def run(arguments) -> int:
    """Align one recording, or score a split of a corpus."""
    if arguments.score:
        if arguments.file or arguments.transcript or arguments.out or arguments.lexicon:
            arguments.usage_error("--score aligns a corpus: leave out FILE, TRANSCRIPT and --out")
        return _score(arguments)
    if not arguments.file or arguments.transcript is None:
        arguments.usage_error("give FILE and TRANSCRIPT, or --score FOLDER")
    from ..inference.align import SUFFIXES, align_file, write
    from ..inference.alignment_transcripts import transcript_of
    from ..inference.input_files import check_writable
    from ..inference.transcribe import open_recogniser

    if arguments.out and not arguments.out.lower().endswith(SUFFIXES):
        arguments.usage_error(f"--out {arguments.out}: the file ends in .PHN, .WRD or .TextGrid")
    if arguments.out:
        check_writable(arguments.out, "--out")
    bundle, units = open_recogniser(arguments.bundle)
    transcript = transcript_of(units, arguments.transcript, arguments.lexicon)
    aligned = align_file(bundle, units, arguments.file, transcript, arguments.shift_ms)
    if transcript.left_out:
        print(
            f"auricle: {len(transcript.left_out)} x {transcript.left_out[0]} is no unit of this "
            "bundle: its time is in its neighbours",
            file=sys.stderr,
        )
    if arguments.out:
        print(write(aligned, arguments.out, arguments.tier))
        return 0
    tiers = {"units": aligned.units, "words": aligned.words}
    for start, end, text in tiers["words" if arguments.tier == "words" else "units"]:
        print(start, end, text)
    return 0


def _score(arguments) -> int:
    from ..inference.align import check_units, score_alignment, shift_of
    from ..inference.transcribe import open_recogniser
    from ..reports.printing import show
    from ..timit.prepare import PreparationError, prepare
    from ..timit.table import find_tables

    bundle, units = open_recogniser(arguments.bundle)
    check_units(units)
    shift_ms = shift_of(bundle, arguments.shift_ms)
    if tables := find_tables(arguments.score):
        raise ValueError(
            f"--score {arguments.score}: {tables[0].name} has no phone times; an alignment is "
            "scored on TIMIT or mini TIMIT, whose .PHN files have them"
        )
    with tempfile.TemporaryDirectory() as folder:
        try:
            record = prepare(arguments.score, folder, skip_broken=arguments.skip_broken)
        except PreparationError as error:
            # The recipe spells its options in another way.
            raise ValueError(str(error).replace("--skip_broken true", "--skip-broken")) from None
        rows = record.rows(arguments.split)
    errors = score_alignment(bundle, units, rows, record.roots, shift_ms, sys.stderr.isatty())
    summary = errors.summarize()
    about = {
        "dataset": record.dataset,
        "completeness": record.completeness,
        "split": arguments.split,
        "units": units.kind,
        "shift_ms": shift_ms,
        **summary,
    }
    lines = [
        f"{record.dataset} ({record.completeness}), {arguments.split}: {summary['boundaries']} "
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
    show(about, lines, arguments.json)
    return 0
