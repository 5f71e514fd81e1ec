"""Scores of transcripts (`auricle score`): error rates, with interval, convention, alignments."""

from pathlib import Path

from ...processing.scoring.transcription.transcripts import (
    format_alignment,
    format_summary,
    score_files,
)
from ...processing.system.files import write_text
from ...processing.transcription.phones import UnknownPhone
from ..reports.printing import show
from .input_files import check_readable, check_writable
from .options import Transcripts

_OF_PHONES = ("phone_set", "hyp_phones", "ref_phones", "silence", "glottal_stop")


def score(files: Transcripts, seed: int = 0, as_json: bool = False) -> None:
    """Score a file of hypotheses and print the error rate.

    Arguments
    ---------
    files : the two files, and how they are scored.
    seed : of the interval's draws.
    as_json : print one JSON object in place of a line.

    Raises
    ------
    ValueError
        What `score_files` refuses, with the file or the utterance; an option for phones with
        another unit; an alignment file that would replace a transcript.
    OSError
        A file that is not there; no folder for the alignment.
    """
    hyp, ref, unit, alignment = files.hyp, files.ref, files.unit, files.alignment
    phones = {name: value for name in _OF_PHONES if (value := getattr(files, name)) is not None}
    if phones and unit != "phone":
        names = ", ".join("--" + name.replace("_", "-") for name in phones)
        raise ValueError(f"{names} is for phones, and the unit is {unit}: leave it out")
    if files.case and unit == "phone":
        raise ValueError("--case is for words and characters: the case of a phone is part of it")
    if alignment and Path(alignment).resolve() in (Path(hyp).resolve(), Path(ref).resolve()):
        raise ValueError(f"--alignment {alignment} would replace a transcript: name another file")
    for path in (hyp, ref):
        check_readable(path, "a file of transcripts, a line 'NAME TOKEN ...' per utterance")
    if alignment:
        check_writable(alignment, "--alignment")
    sources = {f"{side}_phone_set": phones.pop(f"{side}_phones", None) for side in ("hyp", "ref")}
    try:
        formats = {"format": files.format, "allow_empty_references": files.allow_empty}
        formats["case"] = files.case or "keep"
        counts = score_files(hyp, ref, unit, **formats, **sources, **phones)
    except UnknownPhone as error:
        raise ValueError(
            f"{error}; if a file is written in another set of TIMIT's phones, say which: "
            "--hyp-phones, --ref-phones; if it holds words: --unit word or --unit char"
        ) from None
    summary = counts.summarize(seed=seed)
    record = {"hyp": hyp, "ref": ref}
    if unit == "phone":
        scored = phones.get("phone_set", 39)
        record |= {
            f"{side}_phones": sources[f"{side}_phone_set"] or scored for side in ("hyp", "ref")
        }
    elif files.case:
        record["case"] = files.case
    lines = [format_summary(summary), _describe_interval(summary["interval"])]
    if alignment:
        texts = [format_alignment(aligned, name) for name, aligned in counts.alignments().items()]
        write_text(alignment, "\n\n".join(texts) + "\n")
        lines.append(f"Alignments: {alignment}")
    show({**record, **summary, "alignment": alignment}, lines, as_json)


def _describe_interval(interval: dict) -> str:
    if interval["method"].startswith("none: "):
        return "No interval: " + interval["method"].removeprefix("none: ")
    return (
        f"Interval: {100 * interval['confidence']:g} %, {interval['method']} over "
        f"{interval['n_groups']} utterances, {interval['n_resamples']} resamples, "
        f"seed {interval['seed']}"
    )
