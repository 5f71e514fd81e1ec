"""Check own recordings before their manifest is written: files, classes, copies, groups, rates."""

from collections import Counter
from collections.abc import Mapping

from ...processing.data.audio import AudioError
from ...processing.data.recordings import Scanned
from ...processing.system.listing import first_of
from ..training.preparation import PreparationError, refuse_broken
from ..training.shared_recordings import Item, leave_out_shared
from .corpus import Corpus, Sound

_REMEDY = "Correct them, take them out, or go on without them: --skip_broken true"
#: From this ratio of the largest class to the smallest on, accuracy says little of the smallest.
_IMBALANCE = 10


def drop_broken(corpus: Corpus, scanned: Mapping, skip_broken: bool) -> list[dict]:
    """Raise what is wrong with the files, or take the broken ones out and list them.

    Returns
    -------
    {"path", "kind", "reason"} each.
    """
    problems = list(corpus.problems)
    for path, result in scanned.items():
        if isinstance(result, AudioError):
            problems.append((path, result.kind, f"{path}: {result.problem}; {result.cure}"))
    for sound in corpus.sounds:
        info = scanned[sound.path]
        if isinstance(info, Scanned) and (reason := _span_problem(sound, info)):
            problems.append((sound.id, "part of a file", reason))
    skipped = refuse_broken(problems, skip_broken, _REMEDY)
    broken = {path for path, *_ in problems}
    corpus.sounds = [s for s in corpus.sounds if not {s.path, s.id} & broken]
    return skipped


def span_samples(sound: Sound, info: Scanned) -> tuple[int, int]:
    """First sample of a part of a file, and the one behind its last, at the file's rate."""
    start = round((sound.start_s or 0.0) * info.sample_rate_hz)
    end = info.num_samples
    if sound.end_s is not None:
        end = min(end, round(sound.end_s * info.sample_rate_hz))
    return start, end


def _span_problem(sound: Sound, info: Scanned) -> str:
    duration_s = info.num_samples / info.sample_rate_hz
    start, end = span_samples(sound, info)
    if start >= end or (sound.end_s or 0.0) > duration_s + 0.05:
        return f"{sound.id}: the file ends at {duration_s:g} s, the part must lie inside it"
    return ""


def check_classes(corpus: Corpus) -> None:
    """Refuse what leaves nothing to tell apart."""
    classes = corpus.classes
    if corpus.tagging and not classes:
        raise PreparationError(f"{corpus.source} gives no recording a tag: fill the column label")
    if not corpus.tagging and len(classes) < 2:
        raise PreparationError(
            f"{corpus.source} has {len(classes)} class ({first_of(classes) or 'none'}), and a "
            f"classifier tells at least 2 apart: add recordings of another class"
        )


def leave_out(
    corpus: Corpus, splits: Mapping[str, str], copies: Mapping[str, str], skip_broken: bool
) -> list[dict]:
    """Refuse copies and groups that are in two splits, or take them out of the earlier one.

    Returns
    -------
    {"path", "kind", "reason"} of each that is left out.
    """
    items = [Item(s.id, splits[s.id], s.group, copies[s.id]) for s in corpus.sounds]
    cause = (
        "Correct the splits or the groups, take one of each copy out, draw with --protocol random, "
        "which divides neither groups nor copies"
    )
    left, counts = leave_out_shared(items, skip_broken, cause)
    corpus.notes += [f"{count} {what}" for what, count in counts.items()]
    corpus.sounds = [sound for sound in corpus.sounds if sound.id not in left]
    kind = "shared"
    reason = "it, or its group, is in a later split"
    return [{"path": id, "kind": kind, "reason": f"{id}: {reason}"} for id in sorted(left)]


def count_notes(corpus: Corpus, counts: Mapping, rows: list[dict]) -> list[str]:
    """Notes on classes that are rare or absent; an untrained class or an empty split is an error."""
    untrained = [label for label, n in counts["train"].items() if not n]
    if untrained and corpus.sounds:
        raise PreparationError(
            f"no training recording of {first_of(untrained)}: nothing can be learned of it. Give "
            "more recordings of it, another split, or take it out"
        )
    by_split = Counter(row["split"] for row in rows)
    for split in ("valid", "test"):
        if len([label for label, n in counts[split].items() if n]) < (1 if corpus.tagging else 2):
            raise PreparationError(
                f"the split {split} has {by_split[split]} recordings of "
                f"{first_of([k for k, n in counts[split].items() if n]) or 'no label'}: nothing can "
                "be told apart in it. Give more recordings (or groups) of each class, or another "
                f"--{split}_share or --data_seed"
            )
    notes = []
    for split in ("valid", "test"):
        if absent := [label for label, n in counts[split].items() if not n]:
            notes.append(
                f"{split} has no recording of {first_of(absent)}: its scores say nothing of "
                f"{'it' if len(absent) == 1 else 'them'}"
            )
    numbers = counts["train"]
    most, least = (choose(numbers, key=numbers.get) for choose in (max, min))
    if numbers[most] >= _IMBALANCE * numbers[least]:
        notes.append(
            f"training has {numbers[most]} recordings of {most} and {numbers[least]} of {least}: "
            "read balanced accuracy and macro F1 and not accuracy alone; balanced: true draws every "
            "class equally often"
        )
    return notes


def split_notes(corpus: Corpus, protocol: str, grouped: bool, copies: Mapping) -> list[str]:
    """Notes on groups that are not known and on copies."""
    notes = []
    if not grouped:
        what = "drawn by recording" if protocol == "random" else "not checked for shared groups"
        notes.append(
            f"no groups are given, so the splits are {what}: where several recordings are of one "
            "speaker, place or source, the score is too good. Give a column group, or name_pattern"
        )
    copied = Counter(copies[sound.id] for sound in corpus.sounds)
    if repeats := sum(n - 1 for n in copied.values()):
        notes.append(f"{repeats} recordings are copies of others in the same split")
    labels = {}
    for sound in corpus.sounds:
        labels.setdefault(copies[sound.id], {}).setdefault(sound.labels, sound.id)
    mixed = [" and ".join(by.values()) for by in labels.values() if len(by) > 1]
    if mixed:
        notes.append(f"{len(mixed)} copies have different labels: {first_of(mixed)}")
    return notes


def rate_notes(corpus: Corpus, scanned: Mapping, sample_rate: int) -> list[str]:
    """Notes on recordings of other rates and of several channels."""
    infos = {sound.path: scanned[sound.path] for sound in corpus.sounds}
    rates = Counter(info.sample_rate_hz for info in infos.values())
    notes = []
    for rate, count in sorted(rates.items()):
        if rate != sample_rate:
            lower = rate < sample_rate
            what = f"nothing is in them above {rate / 2:g} Hz" if lower else "once, when read"
            notes.append(
                f"{count} of {len(infos)} files are at {rate} Hz and are resampled to "
                f"{sample_rate} Hz ({what}); sample_rate: {rate} takes them as they are"
            )
    if several := sum(info.channels > 1 for info in infos.values()):
        notes.append(f"{several} of {len(infos)} files have several channels: their mean is taken")
    return notes
