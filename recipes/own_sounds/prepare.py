"""Prepare own recordings: decode each once, divide them, and write one manifest.

What cannot be used is either one error that lists all of it or, with `skip_broken`, a counted and
listed skip.

    python recipes/own_sounds/prepare.py DATA_FOLDER OUTPUT_FOLDER --table sounds.csv
"""

import sys
from collections import Counter
from pathlib import Path

try:
    from auricle.processing.data.recordings import scan_recordings
    from auricle.processing.system.rules import choice
    from auricle.recipes.own_sounds import checks
    from auricle.recipes.own_sounds.corpus import read_corpus
    from auricle.recipes.own_sounds.record import SoundsRecord
    from auricle.recipes.own_sounds.splits import fold_names, protocol_of, split_corpus
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
    table: str | None = None,
    name_pattern: str | None = None,
    task: str = "auto",
    protocol: str = "auto",
    fold: str | None = None,
    valid_share: float = 0.15,
    test_share: float = 0.15,
    seed: int = 0,
    sample_rate: int = 16000,
    skip_broken: bool = False,
    scan_cache: str | Path | None = None,
    num_workers: int | None = None,
    progress: bool = True,
) -> SoundsRecord:
    """Write manifest.csv and prepare.json of own recordings.

    When neither the settings nor any file has changed since, what is there is used again, and
    files that were decoded once are not decoded again.

    Arguments
    ---------
    data_folder : str or Path
        Holds a folder a class, or a table.
    output_folder : str or Path
        Where manifest.csv and prepare.json go.
    table : str, optional
        CSV of path,label[,split][,group][,fold][,start_s,end_s]; by default sounds.csv where the
        data folder has one. Labels split by ";" are tags.
    name_pattern : str, optional
        Regular expression searched in each path; its named groups group, fold and split say so of
        the recording.
    task : str
        classification, tagging, or auto.
    protocol : str
        given, folds, random, or auto: the first that the data has.
    fold : str, optional
        Of protocol folds, the one to test on; by default the first.
    valid_share, test_share : float
        Of the recordings, where the split is drawn.
    seed : int
        Of the draw.
    sample_rate : int
        Of the model, in Hz: what is at another is resampled when it is read.
    skip_broken : bool
        Leave out, count and list what cannot be used instead of raising.
    scan_cache : str or Path, optional
        CSV file that remembers what was decoded; audio_scan.csv in the output folder by default.
    num_workers : int, optional
        Threads that decode.
    progress : bool
        Whether to draw a progress bar.

    Returns
    -------
    SoundsRecord

    Raises
    ------
    PreparationError
        The recordings cannot be used as they are; the text lists all of it.
    """
    choice("task", task, ("auto", "classification", "tagging"))
    data_folder, output_folder = Path(data_folder), Path(output_folder)
    corpus = read_corpus(data_folder, table, name_pattern, task)
    protocol = protocol_of(corpus, protocol)
    if fold is None and protocol == "folds":
        fold = fold_names(corpus)[0]
    if fold is not None and protocol != "folds":
        raise PreparationError(
            f"fold is {fold!r}, and {corpus.source} is split by {protocol}: take --protocol folds, or "
            "leave fold out"
        )
    settings = {
        "protocol": protocol,
        "fold": str(fold) if protocol == "folds" else "",
        "seed": int(seed),
        "shares": [float(valid_share), float(test_share)],
        "sample_rate": int(sample_rate),
        "skip_broken": bool(skip_broken),
    }
    roots = {"": str(data_folder.resolve())}
    output_folder.mkdir(parents=True, exist_ok=True)
    listed = [[s.id, *s.labels, s.split, s.group, s.fold] for s in corpus.sounds]
    inputs = fingerprint(
        [SoundsRecord.VERSION, settings, corpus.tagging, corpus.problems, listed],
        *corpus.files.values(),
    )
    if record := SoundsRecord.read(output_folder, inputs, roots):
        return record

    scanned = scan_recordings(
        list(corpus.files.values()),
        scan_cache or output_folder / "audio_scan.csv",
        num_workers,
        progress,
    )
    skipped = checks.drop_broken(corpus, scanned, skip_broken)
    checks.check_classes(corpus)
    copies = {
        sound.id: f"{scanned[sound.path].digest} {sound.start_s} {sound.end_s}"
        for sound in corpus.sounds
    }
    splits = split_corpus(
        corpus, protocol, settings["fold"] or None, copies, tuple(settings["shares"]), seed
    )
    skipped += checks.leave_out(corpus, splits, copies, skip_broken)
    rows = [_row(sound, splits[sound.id], scanned[sound.path]) for sound in corpus.sounds]
    counts = {split: Counter() for split in ("train", "valid", "test")}
    for sound in corpus.sounds:
        counts[splits[sound.id]].update(sound.labels)
    counts = {split: {name: n[name] for name in corpus.classes} for split, n in counts.items()}
    grouped = any(sound.group for sound in corpus.sounds)
    notes = corpus.notes + checks.count_notes(corpus, counts, rows)
    notes += checks.split_notes(corpus, protocol, grouped, copies)
    notes += checks.rate_notes(corpus, scanned, sample_rate)
    return SoundsRecord.create(
        rows,
        output_folder,
        inputs,
        roots=roots,
        protocol=protocol,
        counts=counts,
        skipped=skipped,
        notes=notes,
        settings=settings,
        task="tagging" if corpus.tagging else "classification",
        classes=corpus.classes,
        fold=settings["fold"],
        grouped=grouped,
        source=corpus.source,
    )


def _row(sound, split, info):
    rate, start, end = info.sample_rate_hz, 0, info.num_samples
    part = {}
    if sound.start_s is not None or sound.end_s is not None:
        start, end = checks.span_samples(sound, info)
        part = {"start_sample": start, "num_samples": end - start}
    return {
        "id": sound.id,
        "path": sound.path,
        "duration_s": (end - start) / rate,
        "split": split,
        "label": ";".join(sound.labels),
        "speaker": sound.group,
        **part,
    }


def main(words=None):
    """Prepare from the command line and print the counts."""
    run_prepare(prepare, words)


if __name__ == "__main__":
    main()
