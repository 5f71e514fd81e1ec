"""`auricle check`: promises of a lobe, labels and leakage of data sets."""

from dataclasses import asdict
from typing import Literal

from ...processing.system.listing import first_lines
from ..reports.printing import show
from ..training.command_line import UsageError


def run(
    kind: Literal["frontend", "encoder", "labels", "leakage"],
    name: str,
    other: str | None = None,
    /,
    *,
    options: dict | None = None,
    no_audio: bool = False,
    json: bool = False,
) -> int:
    """Run the promises of the contract on a lobe, or check a data set.

    Arguments
    ---------
    kind
        A lobe of that kind; labels: do static and dynamic labels of a music data set agree;
        leakage: do two of them share songs.
    name
        The lobe's name, or the folder of the data set.
    other
        leakage: the folder of the other data set.
    options
        The lobe's options as JSON: {"layers": 4}.
    no_audio
        leakage: compare numbers only, decode nothing.
    json
        Print JSON.

    Returns
    -------
    1 where a promise is broken or something is wrong with the data.
    """
    if kind == "leakage" and other is None:
        raise UsageError("leakage compares two data sets: auricle check leakage A B")
    if kind != "leakage" and (other is not None or no_audio):
        extra = "--no-audio" if other is None else repr(other)
        raise UsageError(f"{extra} is for auricle check leakage A B only")
    if kind in ("labels", "leakage") and options:
        raise UsageError("--options is for lobes only")
    if kind == "labels":
        return _labels(name, json)
    if kind == "leakage":
        return _leakage(name, other, not no_audio, json)
    from ...lobes.promises import check

    results = check(kind, name, {name: {} if options is None else options})
    lines = []
    for result in results:
        lines.append(f"{'kept  ' if result.passed else 'BROKEN'}  {result.title}")
        if not result.passed:
            lines.append("        " + str(result.detail).replace("\n", "\n        "))
    kept = sum(result.passed for result in results)
    lines.append(f"{kind} {name}: {kept} of {len(results)} promises kept")
    show([asdict(result) for result in results], lines, json)
    return 1 if kept < len(results) else 0


def _labels(folder: str, as_json: bool = False) -> int:
    """Print how static and dynamic labels agree, block by block; 1 unless all are straight."""
    from ..music_emotion.datasets import read_corpus
    from ..music_emotion.labels import check_agreement, describe_agreement

    corpus = read_corpus(folder)
    blocks = check_agreement(corpus)
    if not blocks:
        raise ValueError(f"{folder}: no song of {corpus.dataset} has static and dynamic labels")
    bad = [block for block in blocks if block.verdict in ("exchanged", "undecided")]
    decided = any(block.verdict == "straight" for block in blocks)
    lines = [f"{corpus.dataset} in {folder}", describe_agreement(blocks)]
    for block in bad:
        straight, exchanged = block.mean_correlation
        if block.verdict == "undecided":
            problem = "cannot be told from exchanged ones"
        elif corpus.dataset == "DEAM" and block.first == 1:
            problem = "are EXCHANGED; swap_2013_static auto or true puts them right"
        else:
            problem = "are EXCHANGED; the recipe does not put this right"
        lines.append(
            f"ids {block.name}: valence and arousal of the static labels {problem} "
            f"(mean correlation {straight:.3f} as named, {exchanged:.3f} exchanged)"
        )
    if not bad:
        lines.append("no block is exchanged" if decided else "too few songs to tell")
    shown = [{"ids": block.name, **asdict(block)} for block in blocks]
    show({"dataset": corpus.dataset, "blocks": shown}, lines, as_json)
    return 1 if bad or not decided else 0


def _leakage(a: str, b: str, audio: bool = True, as_json: bool = False) -> int:
    """Print the songs that two data sets share; 1 if there are any."""
    from ..music_emotion.datasets import read_corpus
    from ..music_emotion.leakage import find_shared, ids_are_comparable

    one, other = read_corpus(a), read_corpus(b)
    by_id = ids_are_comparable(one, other)
    heard = [
        sum(song.audio is not None for song in corpus.songs.values()) for corpus in (one, other)
    ]
    audio = audio and all(heard)
    shared = find_shared(one, other, audio=audio, progress=not as_json)
    lines = []
    if not by_id:
        lines.append("the numbers of the two data sets mean different songs: they are not compared")
    if not audio:
        lines.append("sounds are not compared")
    if not by_id and not audio and not as_json:
        raise ValueError(
            f"{'; '.join(lines)}: nothing is left to compare, both data sets need their audio"
        )
    lines.append(" and ".join(f"{side.dataset} ({len(side.songs)} songs)" for side in (one, other)))
    songs = [f"{song.a} of A is {song.b} of B: {song.reason}" for song in shared]
    if shared:
        lines.append(first_lines(songs, most=10).lstrip("\n"))
    if len(shared) > 10:
        lines.append("  all of them: --json")
    lines.append(f"{len(shared)} songs are shared" if shared else "no song is shared")
    if shared:
        lines.append(
            "to train on A and test on B, leave them out: exclude_leakage = the folder of B"
        )
    record = {
        **{
            key: {"dataset": side.dataset, "songs": len(side.songs)}
            for key, side in (("a", one), ("b", other))
        },
        "compared": [what for what, is_so in (("ids", by_id), ("audio", audio)) if is_so],
        "shared": [song._asdict() for song in shared],
    }
    show(record, lines, as_json)
    return 1 if shared else 0
