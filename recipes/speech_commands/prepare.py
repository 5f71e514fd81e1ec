"""Prepare Speech Commands: decode every clip once, and write the manifest of a protocol.

The folder is read as it was published (v0.01 or v0.02, wav or flac). What cannot be used is either
one error or, with `skip_broken`, a counted and listed skip.

    python recipes/speech_commands/prepare.py DATA_FOLDER OUTPUT_FOLDER --protocol v2-12-official
"""

import math
import sys
from collections import Counter
from pathlib import Path

try:
    from auricle.processing.data import manifest
    from auricle.processing.data.download import extract_tar, fetch
    from auricle.processing.data.scan import scan_files
    from auricle.processing.system.rules import number, wrong_values
    from auricle.recipes.speech_commands import checks
    from auricle.recipes.speech_commands.corpus import OFFICIAL_TEST, read_corpus
    from auricle.recipes.speech_commands.draw import draw, silence_rows, split_noises
    from auricle.recipes.speech_commands.protocols import (
        CLIP_S,
        PROTOCOLS,
        SAMPLE_RATE_HZ,
        SILENCE,
        UNKNOWN,
    )
    from auricle.recipes.speech_commands.record import SpeechCommandsRecord
    from auricle.recipes.training.command_line import run_prepare
    from auricle.recipes.training.preparation import PreparationError
    from auricle.recipes.training.record import fingerprint
except ModuleNotFoundError as error:
    if __name__ == "__main__" and (error.name or "").startswith("auricle"):
        sys.exit("auricle is not installed; in its repository, run: pip install -e .")
    raise


def prepare(
    data_folder: str | Path,
    output_folder: str | Path,
    protocol: str = "v2-12-official",
    seed: int = 0,
    official_test_folder: str | Path | None = None,
    skip_broken: bool = False,
    silence_percentage: float = 10,
    unknown_percentage: float = 10,
    max_per_class: int = 0,
    max_valid_per_class: int = 0,
    download: bool = False,
    scan_cache: str | Path | None = None,
    num_workers: int | None = None,
    progress: bool = True,
) -> SpeechCommandsRecord:
    """Write manifest.csv and prepare.json of a Speech Commands protocol.

    When neither the settings nor any file has changed since, what is there is used again, and
    files that were decoded once are not decoded again.

    Arguments
    ---------
    data_folder : str or Path
        The unpacked archive: one folder per word.
    output_folder : str or Path
        Where manifest.csv and prepare.json go.
    protocol : str
        v2-12-official, v2-12-hash, v2-35, v1-12-official or v1-30.
    seed : int
        Seed of the training split's draws (unknown words, silence, cap). Validation and test
        are the same for every seed.
    official_test_folder : str or Path, optional
        The unpacked official test archive; the test set of the "official" protocols.
    skip_broken : bool
        Leave out, count and list what cannot be used instead of raising.
    silence_percentage, unknown_percentage : float
        Clips of these classes in every split, in percent of the split's keyword clips.
    max_per_class, max_valid_per_class : int
        Most training and validation clips of one class; 0 takes all. Test is never capped.
    download : bool
        Fetch the archives that are not there (2.4 GB).
    scan_cache : str or Path, optional
        CSV file that remembers what was decoded, which runs with output folders of their own can
        share; audio_scan.csv in the output folder by default.
    num_workers : int, optional
        Threads that decode.
    progress : bool
        Whether to draw progress bars.

    Returns
    -------
    SpeechCommandsRecord

    Raises
    ------
    PreparationError
        The data does not fit the protocol or is broken; the text lists all of it.
    DownloadError
        An archive cannot be fetched.
    """
    protocol = PROTOCOLS.find(protocol)
    settings = {
        "protocol": protocol.name,
        "seed": int(seed),
        "official_test": official_test_folder is not None,
        "skip_broken": bool(skip_broken),
        "silence_percentage": float(silence_percentage),
        "unknown_percentage": float(unknown_percentage),
        "max_per_class": int(max_per_class),
        "max_valid_per_class": int(max_valid_per_class),
    }
    _check_settings(settings)
    data_folder, output_folder = Path(data_folder), Path(output_folder)
    if download:
        _download(protocol, data_folder, official_test_folder, progress)
    corpus = read_corpus(data_folder, protocol, official_test_folder)
    roots = {"": str(data_folder.resolve())}
    if official_test_folder is not None:
        roots[OFFICIAL_TEST] = str(Path(official_test_folder).resolve())
    output_folder.mkdir(parents=True, exist_ok=True)
    inputs = fingerprint(
        [SpeechCommandsRecord.VERSION, settings], *corpus.files(), [corpus.lists, corpus.problems]
    )
    if record := SpeechCommandsRecord.read(output_folder, inputs, roots):
        return record

    scan_cache = scan_cache or output_folder / "audio_scan.csv"
    Path(scan_cache).parent.mkdir(parents=True, exist_ok=True)
    scanned = scan_files(corpus.files(), scan_cache, SAMPLE_RATE_HZ, num_workers, progress)
    skipped = checks.drop_broken(corpus, scanned, skip_broken)
    completeness = checks.completeness(corpus, protocol)
    is_published = completeness == "complete"
    checks.leave_out_shared(corpus, scanned, skip_broken, official_test_folder, is_published)
    notes = []
    rows = _clip_rows(corpus, scanned, protocol, settings)
    noise_files = _noise_files(corpus)
    if protocol.has_extra_classes:
        rows += _silence_rows(corpus, scanned, rows, noise_files, settings, notes)
    rows = _cap(rows, settings)
    if protocol.split == "lists" and not corpus.lists:
        notes.append("no list files: split by the hash rule")
    counts = checks.count_classes(rows, protocol, data_folder, corpus, settings, notes)
    if text := checks.long_clips(rows, CLIP_S):
        notes.append(f"{text}; what a run hears of them is its long_clips")
    split_source, test_source = ("lists", "testing_list") if corpus.lists else ("hash", "hash")
    return SpeechCommandsRecord.create(
        rows,
        output_folder,
        inputs,
        labels=list(protocol.labels),
        roots=roots,
        protocol=protocol.name,
        split_source=split_source,
        test_source="official_archive" if corpus.official_test else test_source,
        counts=counts,
        noise_files=noise_files,
        completeness=completeness,
        overlap=corpus.overlap,
        skipped=skipped,
        notes=notes,
        settings=settings,
    )


def _check_settings(settings):
    most = number(0, what="a number of clips, where 0 stands for all")
    share = number(0, 1000, "the class's size in percent of the keyword clips, 0 to 1000")
    rules = dict.fromkeys(("silence_percentage", "unknown_percentage"), share)
    rules |= dict.fromkeys(("max_per_class", "max_valid_per_class"), most)
    if wrong := wrong_values(settings, rules, "{name} is {value:g}; it is {what}"):
        raise PreparationError("\n".join(wrong))


def _clip_rows(corpus, scanned, protocol, settings):
    """Rows of the recorded clips: words, drawn unknown words, recorded silence, official test."""
    rows, others = [], {"train": [], "valid": [], "test": []}
    for clip, file in corpus.clips.items():
        folder = clip.partition("/")[0]
        split = corpus.split_of(clip)
        if corpus.official_test and split == "test":
            continue  # the official archive is the test set; it is made of these clips
        if folder in protocol.labels:
            rows.append(_row(clip, file, scanned[file.key], split, folder))
        elif protocol.has_extra_classes:
            others[split].append(clip)
    keywords = Counter(row["split"] for row in rows if row["label"] in protocol.words)
    for split, clips in others.items():
        count = math.ceil(keywords[split] * settings["unknown_percentage"] / 100)
        for clip in draw(clips, count, _seed_of(split, settings), UNKNOWN, split):
            file = corpus.clips[clip]
            rows.append(_row(clip, file, scanned[file.key], split, UNKNOWN))
    for name, file in corpus.official_test.items():
        row = _row(f"{OFFICIAL_TEST}/{name}", file, scanned[file.key], "test", name.split("/")[0])
        rows.append(row | {"path": name, "root": OFFICIAL_TEST})
    return rows


def _row(clip, file, info, split, label):
    return {
        "id": clip,
        "path": file.key,
        "duration_s": info.duration_s,
        "split": split,
        "label": label,
        "speaker": checks.speaker_of(clip),
    }


def _noise_files(corpus):
    """Noise recordings by split, relative to the data folder."""
    paths = {Path(file.key).stem: file.key for file in corpus.noises}
    return {split: [paths[stem] for stem in stems] for split, stems in split_noises(paths).items()}


def _silence_rows(corpus, scanned, rows, noise_files, settings, notes):
    if any(clip.startswith(f"{SILENCE}/") for clip in corpus.clips):
        notes.append(f"silence is the recorded clips of {SILENCE}/; none is drawn from noise")
        return []
    keywords = Counter(row["split"] for row in rows if row["label"] not in (SILENCE, UNKNOWN))
    drawn, without_noise = [], []
    for split in manifest.SPLITS:
        if split == "test" and corpus.official_test:
            continue
        noises = [(path, scanned[path]) for path in noise_files[split]]
        count = math.ceil(keywords[split] * settings["silence_percentage"] / 100)
        drawn += silence_rows(split, count, noises, _seed_of(split, settings))
        if count and not noises:
            without_noise.append(split)
    if without_noise:
        notes.append(
            f"no background noise for {', '.join(without_noise)}: silence there is digital zeros"
        )
    return drawn


def _cap(rows, settings):
    """At most so many rows of a class, in train and in valid; all of test."""
    limits = {"train": settings["max_per_class"], "valid": settings["max_valid_per_class"]}
    groups = {}
    for row in rows:
        groups.setdefault((row["split"], row["label"]), {})[row["id"]] = row
    kept = []
    for (split, label), by_id in groups.items():
        limit = limits.get(split) or len(by_id)
        kept += [
            by_id[i] for i in draw(by_id, limit, _seed_of(split, settings), "limit", split, label)
        ]
    return sorted(kept, key=lambda row: row["id"])


def _seed_of(split, settings):
    """The seed decides on the training clips only: what is scored is the same for every seed."""
    return settings["seed"] if split == "train" else "evaluation"


def _download(protocol, data_folder, official_test_folder, progress):
    archives = [(protocol.release.archive, data_folder)]
    if official_test_folder is not None and protocol.takes_official_test:
        archives.append((protocol.release.test_archive, Path(official_test_folder)))
    for archive, folder in archives:
        if not folder.is_dir() or not any(folder.iterdir()):
            path = folder.parent / archive.url.rpartition("/")[2]
            extract_tar(fetch(archive.url, path, archive.checksum, progress), folder)


def main(words=None):
    """Prepare from the command line and print the class counts."""
    run_prepare(prepare, words)


if __name__ == "__main__":
    main()
