"""Check files, classes and speakers before a Speech Commands manifest is written."""

from collections import Counter

from ...processing.data.audio import AudioError
from ...processing.data.manifest import SPLITS
from ..training.preparation import PreparationError, refuse_broken
from ..training.shared_recordings import Item
from ..training.shared_recordings import leave_out_shared as leave_out
from .protocols import SILENCE, UNKNOWN, V2

_REMEDY = "Restore them from the archive, or go on without them: --skip_broken true"


def drop_broken(corpus, scanned, skip_broken):
    """Raise what is wrong with the files, or take the broken ones out and list them.

    Arguments
    ---------
    corpus : Corpus
    scanned : dict
        AudioInfo or AudioError by the key of each file.
    skip_broken : bool

    Returns
    -------
    list of dict
        {"path", "reason"}
    """
    broken = {key: result for key, result in scanned.items() if isinstance(result, AudioError)}
    problems = [(path, "file or list entry", reason) for path, reason in corpus.problems]
    problems += [(key, e.kind, f"{e.problem}; {e.cure}") for key, e in broken.items()]
    named = [(path, kind, f"{path} {reason}") for path, kind, reason in problems]
    refuse_broken(named, skip_broken, _REMEDY)
    for files in (corpus.clips, corpus.official_test):
        for name in [name for name, file in files.items() if file.key in broken]:
            del files[name]
    corpus.noises = [file for file in corpus.noises if file.key not in broken]
    return [{"path": path, "reason": reason} for path, _, reason in problems]


def count_classes(rows, protocol, data_folder, corpus, settings, notes):
    """Clips by split and label; an empty class is an error."""
    counts = {split: dict.fromkeys(protocol.labels, 0) for split in SPLITS}
    for row in rows:
        counts[row["split"]][row["label"]] += 1
    empty = {
        split: [label for label, n in by_label.items() if not n]
        for split, by_label in counts.items()
    }
    # Going on makes sense with a class nobody scores, not without training clips or a whole split.
    hopeless = empty["train"] or len(protocol.labels) in map(len, empty.values())
    if hopeless or (any(empty.values()) and not settings["skip_broken"]):
        lines = "".join(
            f"\n  {split}: {', '.join(labels)}" for split, labels in empty.items() if labels
        )
        lines += "".join(f"\n  ({count} {what})" for what, count in corpus.overlap.items())
        by = "the list files" if corpus.lists else "the hash of the speaker"
        if protocol.split == "hash":
            by += f" ({protocol.name} reads no list files)"
        drawn = (
            f"; {SILENCE} and {UNKNOWN} are drawn in proportion to the keywords, from "
            "silence_percentage and unknown_percentage."
        )
        raise PreparationError(
            f"classes without a single clip, in data folder {data_folder} split by {by}:{lines}\n"
            "Check that these word folders hold files and that the lists fit them"
            f"{drawn if protocol.has_extra_classes else '.'}"
        )
    notes += [f"{split} has no clip of {', '.join(ls)}" for split, ls in empty.items() if ls]
    return counts


def leave_out_shared(corpus, scanned, skip_broken, official_test_folder, is_published):
    """Take clips out of training and validation that are tested, or whose speakers are.

    `corpus.overlap` counts them.
    """
    of_clips = [(clip, corpus.split_of(clip), file) for clip, file in corpus.clips.items()]
    if corpus.official_test:  # the archive is made of the test clips
        of_clips = [clip for clip in of_clips if clip[1] != "test"]
    of_test = [(name, "test", file) for name, file in corpus.official_test.items()]
    items = [
        Item(name, split, speaker_of(name), scanned[file.key].digest)
        for name, split, file in of_clips + of_test
    ]
    if corpus.official_test:
        cause = (
            f"The official test archive {official_test_folder} holds them: the list files are not "
            "those published with it, or the data folder is made of the archive. Restore the lists, "
            "or test by them, without --official_test_folder"
        )
    else:
        cause = (
            "The published lists and the hash rule share no speaker: restore the list files, or remove "
            "both to split by hash"
        )
    names, corpus.overlap = leave_out(items, skip_broken, cause, is_published)
    corpus.clips = {clip: file for clip, file in corpus.clips.items() if clip not in names}


def speaker_of(clip):
    """The speaker in a clip's name, `<folder>/<speaker>_nohash_<number>`; "" without one.

    A word in front is no part of it: the official archive may name those of `_unknown_` so.
    """
    speaker, nohash, _ = clip.rpartition("/")[2].partition("_nohash_")
    word, _, rest = speaker.partition("_")
    return "" if not nohash else rest if rest and word in V2.words else speaker


def long_clips(rows, clip_s):
    """How many clips are longer than the model hears, and the longest; "" for none."""
    longer = [row for row in rows if row["duration_s"] > clip_s]
    if not longer:
        return ""
    longest = max(longer, key=lambda row: row["duration_s"])
    return (
        f"{len(longer)} of {len(rows)} clips are longer than {clip_s:g} s, up to "
        f"{longest['duration_s']:g} s ({longest['id']})"
    )


def completeness(corpus, protocol):
    """How the usable files compare with those published."""
    release = protocol.release
    words = [clip for clip in corpus.clips if clip.partition("/")[0] in release.words]
    parts = [("word files", len(words), release.archive.num_files)]
    if corpus.lists:
        by_split = Counter(map(corpus.split_of, words))
        parts += [(f"in {s}", by_split[s], n) for s, n in release.split_num_files.items()]
    if corpus.official_test:
        expected = release.test_archive.num_files
        parts.append(("in the official test archive", len(corpus.official_test), expected))
    differing = [
        f"{count - expected} more than the {expected} {what}"
        if count > expected
        else f"{expected - count} of {expected} {what} missing"
        for what, count, expected in parts
        if count != expected
    ]
    if not differing:
        return "complete"
    return f"subset of {release.name} ({'; '.join(differing)})"
