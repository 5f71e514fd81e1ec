"""Prepare DEAM, EmoMusic or PMEmo: decode each song once, and write one manifest.

The folder is read as it was published or passed on. What cannot be used is either one error that
lists all of it or, with `skip_broken`, a counted and listed skip.

    python recipes/music_emotion/prepare.py DATA_FOLDER OUTPUT_FOLDER --protocol deam-random
"""

import argparse
import logging
import sys
from pathlib import Path

try:
    from auricle.processing.data import manifest
    from auricle.processing.data.audio import AudioError
    from auricle.processing.data.synthetic import mini_info
    from auricle.recipes.music_emotion.cache import Window, clip_path, decode_songs
    from auricle.recipes.music_emotion.checks import count_splits, labels_in_window
    from auricle.recipes.music_emotion.datasets import read_corpus
    from auricle.recipes.music_emotion.labels import (
        check_agreement,
        decide_exchange,
        describe_agreement,
        exchange,
    )
    from auricle.recipes.music_emotion.leakage import find_shared
    from auricle.recipes.music_emotion.prepared import (
        Prepared,
        describe,
        digest_of,
        fingerprint_of,
        read_prepared,
    )
    from auricle.recipes.music_emotion.protocols import (
        DEFAULT_WINDOW_S,
        PROTOCOLS,
        SHORT_CLIPS,
        TARGETS,
        find_protocol,
        problems,
    )
    from auricle.recipes.music_emotion.splitting import splits_of
    from auricle.recipes.training.preparation import (
        PreparationError,
        add_switch,
        prepare_from_command_line,
        refuse_broken,
        write_prepared,
    )
except ModuleNotFoundError as error:
    if __name__ == "__main__" and (error.name or "").startswith("auricle"):
        sys.exit("auricle is not installed; in its repository, run: pip install -e .")
    raise

__all__ = ["PreparationError", "Prepared", "describe", "prepare", "problems"]

_CURE = "Restore it from the data set, or go on without it: --skip_broken true"

logger = logging.getLogger(__name__)


def prepare(
    data_folder,
    output_folder,
    protocol="deam-random",
    *,
    swap_2013_static="auto",
    window_s=None,
    short_clips=None,
    sample_rate=16000,
    target="static",
    seed=0,
    exclude_leakage=None,
    skip_broken=False,
    cache_folder=None,
    num_workers=None,
    progress=False,
):
    """Read a data set of music emotion, decode it, and write `manifest.csv` and `prepare.json`.

    When neither the settings nor any file has changed since, what is there is used again, and
    songs that were decoded once are not decoded again.

    Arguments
    ---------
    data_folder : str or Path
        A folder somewhere above the data set's tables and audio.
    output_folder : str or Path
        Where the manifest goes.
    protocol : "deam-random", "mediaeval-2015", "emomusic-official" or "pmemo-random"
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
    Prepared

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
    if found := problems({**settings, "data_seed": seed}):
        raise PreparationError("\n".join(found))
    protocol = find_protocol(protocol)
    output_folder = Path(output_folder)
    corpus = read_corpus(data_folder, protocol.dataset)
    cache_folder = Path(cache_folder or output_folder / "audio") / corpus.dataset.lower()
    mini = mini_info(corpus.root)
    if window_s is None:
        window_s = mini["window_s"][target] if mini and "window_s" in mini else DEFAULT_WINDOW_S
    window = Window(*map(float, window_s), sample_rate, short_clips or protocol.short_clips)
    shared = _shared_with(corpus, exclude_leakage, num_workers, progress)
    roots = {"": str(corpus.root.resolve()), "cache": str(cache_folder.resolve())}
    fingerprint = fingerprint_of(settings, corpus, [window.folder_name, sorted(shared), bool(mini)])
    output_folder.mkdir(parents=True, exist_ok=True)
    if again := read_prepared(output_folder, fingerprint, roots):
        return again

    exchanged, reason = decide_exchange(corpus, swap_2013_static)
    notes = _label_notes(corpus, exchanged)
    if exchanged:
        exchange(corpus)
    broken, notes = list(corpus.problems), corpus.notes + notes
    songs = [song for song in corpus.songs.values() if song.id not in shared]
    if exclude_leakage:
        notes.append(f"{len(shared)} songs are also in {exclude_leakage} and left out")
    labelled = [song for song in songs if _has_labels(song, target)]
    if len(labelled) < len(songs):
        notes.append(f"{len(songs) - len(labelled)} songs have no {target} labels and are not used")
    for song in labelled:
        if song.audio is None:
            reason_why = f"song {song.id} is in the tables and has no audio file"
            broken.append((f"song {song.id}", "missing audio", reason_why))
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
    skipped = refuse_broken(broken, skip_broken, _CURE)
    splits = splits_of([corpus.songs[row["id"]] for row in rows], protocol, seed)
    rows = [row | {"split": splits[row["id"]]} for row in rows]
    counts = count_splits(rows)
    manifest.validate(rows, label_required=False)
    manifest_path = output_folder / "manifest.csv"
    manifest.write_manifest(rows, manifest_path)
    whole = sum(protocol.shares)
    subset = f"subset ({len(rows)} of {whole} songs)"
    completeness = "mini" if mini else "complete" if len(rows) == whole else subset
    used = [clips[row["id"]] for row in rows]
    prepared = Prepared(
        manifest_path=str(manifest_path),
        dataset=f"mini {corpus.dataset}" if mini else corpus.dataset,
        protocol=protocol.name,
        target=target,
        roots=roots,
        sample_rate_hz=sample_rate,
        window_s=(window.start_s, window.end_s),
        scale=corpus.scales[target],
        scales=corpus.scales,
        counts=counts,
        completeness=completeness,
        comparable=protocol.official and completeness == "complete",
        remark=protocol.remark,
        exchange={"setting": swap_2013_static, "exchanged": exchanged, "reason": reason},
        decoded={
            "songs": len(used),
            "padded": sum(clip.padded_samples > 0 for clip in used),
            "clipped": sum(clip.clipped_samples > 0 for clip in used),
            "shifted": sum(clip.start_s < window.start_s - 1e-3 for clip in used),
        },
        digest=digest_of(rows),
        test_digest=digest_of(row for row in rows if row["split"] == "test"),
        skipped=skipped,
        notes=notes,
        settings=settings,
    )
    for note in prepared.notes:
        logger.warning("%s: %s", prepared.dataset, note)
    write_prepared(prepared, output_folder, fingerprint)
    return prepared


def _shared_with(corpus, other_folder, num_workers, progress):
    """Ids that are also in the data set of another folder."""
    if other_folder is None:
        return set()
    other = read_corpus(other_folder)
    found = find_shared(corpus, other, num_workers=num_workers, progress=progress)
    return {song.a for song in found}


def _label_notes(corpus, exchanged):
    """What the labels look like beyond the one error that is known."""
    blocks = check_agreement(corpus)
    notes = []
    wrong = "straight" if exchanged else "exchanged"
    if any(block.first == 1 and block.verdict == wrong for block in blocks):
        notes.append(
            "valence and arousal of the static labels of the first block of ids are used "
            f"{'exchanged' if exchanged else 'as named'}, against what the dynamic labels say:\n"
            + describe_agreement(blocks)
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
        **labels_in_window(song, clip.start_s, clip.start_s + duration_s),
    }


def _swap(text):
    if text.lower() not in ("auto", "true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither auto nor true nor false")
    return "auto" if text.lower() == "auto" else text.lower() == "true"


def main(arguments=None):
    """Prepare from the command line and print the counts."""
    parser = argparse.ArgumentParser(
        description="Decode a data set of music emotion and write its manifest.", allow_abbrev=False
    )
    parser.add_argument("data_folder", help="a folder above the tables and the audio")
    parser.add_argument("output_folder", help="where manifest.csv and prepare.json go")
    parser.add_argument(
        "--protocol",
        default="deam-random",
        help=f"one of {', '.join(PROTOCOLS)} (default: deam-random)",
    )
    parser.add_argument("--target", choices=TARGETS, default="static")
    parser.add_argument(
        "--swap_2013_static", type=_swap, default="auto", help="auto (default), true or false"
    )
    parser.add_argument(
        "--window_s", type=float, nargs=2, metavar=("START", "END"), help="default: 15 45"
    )
    parser.add_argument("--short_clips", choices=SHORT_CLIPS)
    parser.add_argument("--sample_rate", type=int, default=16000, help="in Hz (default: 16000)")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (default: 0)")
    parser.add_argument("--exclude_leakage", metavar="DIR", help="the data set to be tested on")
    parser.add_argument("--cache_folder", help="where decoded clips go")
    add_switch(parser, "skip_broken", "leave out and list what cannot be used, do not stop")
    parser.add_argument("--num_workers", type=int, help="threads that decode")
    prepare_from_command_line(parser, prepare, describe, arguments, progress=True)


if __name__ == "__main__":
    main()
