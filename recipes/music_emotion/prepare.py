"""Prepare DEAM, EmoMusic or PMEmo: decode each song once, and write one manifest.

The folder is read as it was published or passed on. What cannot be used is either one error that
lists all of it or, with `skip_broken`, a counted and listed skip.

    python recipes/music_emotion/prepare.py DATA_FOLDER OUTPUT_FOLDER --protocol deam-random
"""

import math
import sys
from pathlib import Path
from typing import Literal

try:
    from auricle.processing.data.audio import AudioError
    from auricle.processing.data.synthetic import mini_info
    from auricle.processing.scoring.regression.scales import LABEL_STEP_S
    from auricle.processing.system.files import file_digest
    from auricle.recipes.music_emotion import labels
    from auricle.recipes.music_emotion.cache import Window, clip_path, decode_songs
    from auricle.recipes.music_emotion.datasets import read_corpus
    from auricle.recipes.music_emotion.leakage import find_shared
    from auricle.recipes.music_emotion.protocols import (
        DEFAULT_WINDOW_S,
        OWN_TABLE,
        PROTOCOLS,
        problems,
        splits_of,
    )
    from auricle.recipes.music_emotion.record import MusicRecord
    from auricle.recipes.music_emotion.value_table import prepare_values
    from auricle.recipes.training.command_line import run_prepare
    from auricle.recipes.training.preparation import PreparationError, count_splits, refuse_broken
    from auricle.recipes.training.record import fingerprint
    from auricle.recipes.training.shared_recordings import Item, leave_out_shared
except ModuleNotFoundError as error:
    if __name__ == "__main__" and (error.name or "").startswith("auricle"):
        sys.exit("auricle is not installed; in its repository, run: pip install -e .")
    raise

__all__ = ["MusicRecord", "PreparationError", "prepare", "problems"]

_COPIES = "One song is there under two ids: keep one of its files, restore the other"
_REMEDY = "Restore it from the data set, or go on without it: --skip_broken true"


def prepare(
    data_folder: str | Path,
    output_folder: str | Path,
    protocol: str = "deam-random",
    *,
    table: str | None = None,
    swap_2013_static: Literal["auto"] | bool = "auto",
    window_s: tuple[float, float] | None = None,
    short_clips: Literal["error", "shift"] | None = None,
    sample_rate: int = 16000,
    target: Literal["static", "dynamic"] = "static",
    seed: int = 0,
    exclude_leakage: str | Path | None = None,
    skip_broken: bool = False,
    cache_folder: str | Path | None = None,
    num_workers: int | None = None,
    progress: bool = False,
) -> MusicRecord:
    """Decode a data set of music emotion, and write manifest.csv and prepare.json.

    When neither the settings nor any file has changed since, what is there is used again, and
    songs that were decoded once are not decoded again.

    Arguments
    ---------
    data_folder : str or Path
        A folder somewhere above the data set's tables and audio.
    output_folder : str or Path
        Where manifest.csv and prepare.json go.
    protocol : str
        deam-random, mediaeval-2015, emomusic-official or pmemo-random; or table, of recordings of
        one's own with any values.
    table : str, optional
        Of protocol table: CSV of path,NAME,NAME,...[,split][,group]; by default values.csv in the
        data folder.
    swap_2013_static : "auto", True or False
        Whether valence and arousal of DEAM's static labels are exchanged for ids up to 1000; auto
        compares them with the dynamic ones.
    window_s : (float, float), optional
        Start and end of the part of a song that is used, in seconds; by default 15 to 45, where
        dynamic labels begin and excerpts end. The mini corpus names a window of its own.
    short_clips : "error" or "shift", optional
        What happens to a song that ends more than 0.5 s before the window does (up to that, it is
        padded with zeros): it is broken, or the window moves back, and of a song shorter than the
        window all is taken. By default shift for PMEmo, whose choruses differ, and else error.
    sample_rate : int
        Of the decoded clips, in Hz.
    target : "static" or "dynamic"
        Which labels a song must have to be used, and whose scale is `scale`.
    seed : int
        Of the random divisions.
    exclude_leakage : str or Path, optional
        Data folder of a data set on which will be tested: songs that are in it are left out.
    skip_broken : bool
        Leave out, count and list what cannot be used instead of raising.
    cache_folder : str or Path, optional
        Where decoded clips go, below the data set's name; by default a folder in the output
        folder. Protocols, targets, windows, rates and seeds may share one, two copies of a data
        set (mini and real) should not: each would decode again what the other has.
    num_workers : int, optional
        Threads that decode.
    progress : bool
        Whether to draw a progress bar.

    Returns
    -------
    MusicRecord

    Raises
    ------
    PreparationError
        The data does not fit the protocol or is broken; the text lists all of it.
    """
    settings = {
        "protocol": protocol,
        "swap_2013_static": swap_2013_static,
        "window_s": list(window_s) if window_s is not None else None,
        "short_clips": short_clips,
        "sample_rate": sample_rate,
        "target": target,
        "seed": seed,
        "skip_broken": skip_broken,
    }
    if wrong := problems({**settings, "data_seed": seed}):
        raise PreparationError("\n".join(wrong))
    protocol = PROTOCOLS[protocol]
    output_folder = Path(output_folder)
    if protocol is OWN_TABLE:
        scan_cache = Path(cache_folder or output_folder) / "audio_scan.csv"
        folders = Path(data_folder), output_folder
        return prepare_values(*folders, table, settings, scan_cache, num_workers, progress)
    corpus = read_corpus(data_folder, protocol.dataset)
    cache_folder = Path(cache_folder or output_folder / "audio") / corpus.dataset.lower()
    mini = mini_info(corpus.root)
    if window_s is None:
        window_s = mini["window_s"][target] if mini and "window_s" in mini else DEFAULT_WINDOW_S
    window = Window(*map(float, window_s), sample_rate, short_clips or protocol.short_clips)
    shared = _shared_with(corpus, exclude_leakage, num_workers, progress)
    roots = {"": str(corpus.root.resolve()), "cache": str(cache_folder.resolve())}
    inputs = fingerprint(
        [MusicRecord.VERSION, settings, [window.folder_name, sorted(shared), bool(mini)]],
        *(bytes.fromhex(file_digest(path)) for path in corpus.tables),
        *(song.audio for song in corpus.songs.values()),
    )
    output_folder.mkdir(parents=True, exist_ok=True)
    if record := MusicRecord.read(output_folder, inputs, roots):
        return record

    exchanged, reason = labels.decide_exchange(corpus, swap_2013_static)
    notes = corpus.notes + _label_notes(corpus, exchanged)
    if exchanged:
        labels.exchange(corpus)
    broken = list(corpus.problems)
    songs = [song for song in corpus.songs.values() if song.id not in shared]
    if exclude_leakage:
        notes.append(f"{len(shared)} songs are also in {exclude_leakage} and left out")
    labelled = [song for song in songs if _has_labels(song, target)]
    if len(labelled) < len(songs):
        notes.append(f"{len(songs) - len(labelled)} songs have no {target} labels and are not used")
    for song in labelled:
        if song.audio is None:
            text = f"song {song.id} is in the tables and has no audio file"
            broken.append((f"song {song.id}", "missing audio", text))
    clips = decode_songs(
        [song for song in labelled if song.audio], cache_folder, window, num_workers, progress
    )
    rows = []
    for song in labelled:
        clip = clips.get(song.id)
        if isinstance(clip, AudioError):
            short = clip.kind == "short"
            kind = "clip shorter than the window" if short else f"broken audio, {clip.kind}"
            text = f"{song.audio.key}: {clip.problem}; {clip.cure}"
            broken.append((song.audio.key, kind, text))
        elif clip is not None:
            row = _row(song, clip, window)
            if target == "dynamic" and not row["dynamic_valence"]:
                text = f"song {song.id} has no dynamic label within its window"
                broken.append((song.audio.key, "no label in the window", text))
            else:
                rows.append(row)
    off_grid = sum(_off_grid(corpus.songs[row["id"]], row) for row in rows)
    if off_grid:
        notes.append(
            f"{off_grid} labels over time lie off the grid of {LABEL_STEP_S:g} s, not used"
        )
    skipped = refuse_broken(broken, skip_broken, _REMEDY)
    splits = splits_of([corpus.songs[row["id"]] for row in rows], protocol, seed)
    rows = [row | {"split": splits[row["id"]]} for row in rows]
    whole = sum(protocol.shares)
    subset = f"subset ({len(rows)} of {whole} songs)"
    completeness = "mini" if mini else "complete" if len(rows) == whole else subset
    digests = {row["id"]: file_digest(cache_folder / row["path"]) for row in rows}
    items = [Item(row["id"], row["split"], content=digests[row["id"]]) for row in rows]
    left_out, overlap = leave_out_shared(items, skip_broken, _COPIES, completeness == "complete")
    rows = [row for row in rows if row["id"] not in left_out]
    used = [clips[row["id"]] for row in rows]
    return MusicRecord.create(
        rows,
        output_folder,
        inputs,
        dataset=f"mini {corpus.dataset}" if mini else corpus.dataset,
        protocol=protocol.name,
        target=target,
        roots=roots,
        sample_rate_hz=sample_rate,
        window_s=(window.start_s, window.end_s),
        scale=corpus.scales[target],
        scales=corpus.scales,
        counts=count_splits(rows, "songs", "artists", dynamic_labels=_count_labels),
        completeness=completeness,
        overlap=overlap,
        comparable=protocol.official and completeness == "complete",
        remark=protocol.remark,
        exchange={"setting": swap_2013_static, "exchanged": exchanged, "reason": reason},
        decoded={
            "songs": len(used),
            "padded": sum(clip.padded_samples > 0 for clip in used),
            "clipped": sum(clip.clipped_samples > 0 for clip in used),
            "shifted": sum(clip.start_s < window.start_s - 1e-3 for clip in used),
        },
        skipped=skipped,
        notes=notes,
        settings=settings,
    )


def _shared_with(corpus, other_folder, num_workers, progress):
    """Ids that are also in the data set of another folder."""
    if other_folder is None:
        return set()
    other = read_corpus(other_folder)
    return {song.a for song in find_shared(corpus, other, None, num_workers, progress)}


def _label_notes(corpus, exchanged):
    """What the labels look like beyond the one error that is known."""
    blocks = labels.check_agreement(corpus)
    notes = []
    wrong = "straight" if exchanged else "exchanged"
    if any(block.first == 1 and block.verdict == wrong for block in blocks):
        notes.append(
            "valence and arousal of the static labels of the first block of ids are used "
            f"{'exchanged' if exchanged else 'as named'}, against what the dynamic labels say:\n"
            + labels.describe_agreement(blocks)
        )
    for block in blocks:
        if block.first > 1 and block.verdict == "exchanged":
            notes.append(f"static labels of ids {block.name} seem exchanged as well: check them")
    return notes


def _has_labels(song, target):
    if target == "static":
        return song.static is not None
    return bool(song.dynamic.get("valence")) and bool(song.dynamic.get("arousal"))


def _row(song, clip, window):
    duration_s = clip.num_samples / window.sample_rate_hz
    valence, arousal = song.static or ("", "")
    return {
        "id": song.id,
        "path": clip_path(window, song.id),
        "root": "cache",
        "duration_s": duration_s,
        "label": "",
        "speaker": song.artist,
        "start_s": f"{clip.start_s:.6g}",
        "valence": f"{valence:.6g}" if song.static else "",
        "arousal": f"{arousal:.6g}" if song.static else "",
        **_labels_in_window(song, clip.start_s, clip.start_s + duration_s),
    }


def _labels_in_window(song, start_s, end_s):
    """Dynamic labels of a song from start_s to before end_s, as columns of the manifest.

    The grid is 2 Hz from the first label that both dimensions have to the last; a gap is "nan".
    """
    series, times = _times_in_window(song, start_s, end_s)
    columns = {"dynamic_valence": "", "dynamic_arousal": "", "dynamic_start_s": ""}
    if not times:
        return columns
    first = min(times)
    grid = [
        first + LABEL_STEP_S * i
        for i in range(math.floor((max(times) - first) / LABEL_STEP_S + 1.5))
    ]
    for name, values in zip(("valence", "arousal"), series, strict=True):
        columns[f"dynamic_{name}"] = " ".join(f"{values.get(t, math.nan):.6g}" for t in grid)
    return columns | {"dynamic_start_s": f"{max(0.0, first - start_s):.6g}"}


def _times_in_window(song, start_s, end_s):
    """Both series of a song, and the times from start_s to before end_s that both have."""
    series = [song.dynamic.get(name) or {} for name in ("valence", "arousal")]
    return series, [t for t in series[0] if t in series[1] and start_s - 1e-6 <= t < end_s - 1e-6]


def _off_grid(song, row):
    """Labels of a song in its window that have no place on the grid."""
    start_s = float(row["start_s"])
    times = _times_in_window(song, start_s, start_s + row["duration_s"])[1]
    return len(times) - _count_labels(row)


def _count_labels(row):
    """Places of the grid where both dimensions have a label."""
    values = (row[f"dynamic_{name}"].split() for name in ("valence", "arousal"))
    return sum("nan" not in pair for pair in zip(*values, strict=True))


def main(words=None):
    """Prepare from the command line and print the counts."""
    run_prepare(prepare, words)


if __name__ == "__main__":
    main()
