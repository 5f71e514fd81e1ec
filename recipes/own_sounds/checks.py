"""Check own recordings before their manifest is written: files, classes, copies, groups, rates."""

from collections import Counter
from collections.abc import Mapping

from ...processing.data.audio import AudioError
from ...processing.data.recordings import Scanned
from ...processing.system.listing import first_lines, first_of
from ..training.group_splits import divided
from ..training.preparation import PreparationError, refuse_broken
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


def refuse_shared(
    corpus: Corpus, splits: dict[str, str], copies: Mapping[str, str], skip_broken: bool
) -> list[dict]:
    """Raise copies and groups that are in two splits; or leave copies of test recordings out.

    A copy stays in the test set before the validation set, there before training.
    """
    shared = divided(corpus.sounds, splits, lambda sound: copies[sound.id])
    problems, leave = [], set()
    for members in shared.values():
        members = sorted(
            members, key=lambda sound: ("test", "valid", "train").index(splits[sound.id])
        )
        kept = members[0]
        for sound in members[1:]:
            if splits[sound.id] != splits[kept.id]:
                where = f"{sound.id} ({splits[sound.id]}) is the same as {kept.id}"
                problems.append((sound.id, "same recording", f"{where} ({splits[kept.id]})"))
                leave.add(sound.id)
    groups = divided(corpus.sounds, splits, lambda sound: sound.group)
    if groups and not skip_broken:
        listed = [
            f"{name}: {', '.join(sorted({splits[sound.id] for sound in members}))}"
            for name, members in groups.items()
        ]
        raise PreparationError(
            f"{len(groups)} groups are in more than one split, so that the test is of known "
            f"voices or places:{first_lines(listed)}\nCorrect the split or the group, draw with "
            "--protocol random, or go on: --skip_broken true"
        )
    remedy = (
        "What was trained on must not be tested on: take one of each out, draw with --protocol "
        "random, which keeps copies together, or leave the copies out: --skip_broken true"
    )
    skipped = refuse_broken(problems, skip_broken, remedy)
    corpus.sounds = [sound for sound in corpus.sounds if sound.id not in leave]
    if groups:
        corpus.notes.append(f"{len(groups)} groups are in more than one split: {first_of(groups)}")
    return skipped


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
