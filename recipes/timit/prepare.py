"""Prepare TIMIT, or a table of recordings with phones: check labels and audio, write one manifest.

The folder is read as it was published or passed on. What cannot be used is either one error that
lists all of it or, with `skip_broken`, a counted and listed skip.

    python recipes/timit/prepare.py DATA_FOLDER OUTPUT_FOLDER --protocol standard
"""

import sys
from pathlib import Path

try:
    from auricle.processing.data.audio import AudioError
    from auricle.processing.data.scan import scan_files
    from auricle.processing.data.synthetic import is_mini
    from auricle.processing.system.files import file_digest
    from auricle.processing.system.listing import first_of
    from auricle.processing.transcription.phones import fold
    from auricle.recipes.timit.checks import check_speakers, check_tokens, find_missing
    from auricle.recipes.timit.corpus import find_corpus, read_corpus
    from auricle.recipes.timit.labels import read_labels
    from auricle.recipes.timit.protocols import (
        MANIFEST,
        PROTOCOLS,
        SAMPLE_RATE_HZ,
        TRAINABLE_STFT,
        is_used,
        problems,
        splits_of,
    )
    from auricle.recipes.timit.record import TimitRecord
    from auricle.recipes.timit.table import read_table, split_off_validation
    from auricle.recipes.training.command_line import run_prepare
    from auricle.recipes.training.preparation import (
        PreparationError,
        count_splits,
        refuse_broken,
        shared_speakers,
    )
    from auricle.recipes.training.record import fingerprint
    from auricle.recipes.training.shared_recordings import Item, count_kept, leave_out_shared
except ModuleNotFoundError as error:
    if __name__ == "__main__" and (error.name or "").startswith("auricle"):
        sys.exit("auricle is not installed; in its repository, run: pip install -e .")
    raise

__all__ = ["PreparationError", "TimitRecord", "prepare", "problems"]

_REMEDY = "Restore it from the corpus, or go on without these utterances: --skip_broken true"
_SHARED_REMEDY = "A file was copied over another one: restore it from the corpus"
_TABLE_SHARED_REMEDY = "The table names a recording, or a copy of it, more than once: correct it"
_TABLE_REMEDY = "Mend the table or its recordings, or go on without these rows: --skip_broken true"


def prepare(
    data_folder: str | Path,
    output_folder: str | Path,
    protocol: str = "standard",
    *,
    seed: int = 0,
    skip_broken: bool = False,
    num_workers: int | None = None,
    progress: bool = False,
) -> TimitRecord:
    """Write manifest.csv and prepare.json of a TIMIT protocol, or of a table of recordings.

    When neither the settings nor any file has changed since, what is there is used again, and
    files that were decoded once are not decoded again.

    Arguments
    ---------
    data_folder : str or Path
        The folder that holds TRAIN and TEST, or one above it; for protocol manifest the folder
        that holds manifest.tsv or manifest.csv.
    output_folder : str or Path
        Where manifest.csv and prepare.json go.
    protocol : str
        standard, trainable_stft or manifest.
    seed : int
        Of the random division of trainable_stft (0 there), and of the validation speakers of a
        table that names none. The standard protocol draws nothing.
    skip_broken : bool
        Leave out, count and list what cannot be used or is missing instead of raising.
    num_workers : int, optional
        Threads that decode.
    progress : bool
        Whether to draw a progress bar.

    Returns
    -------
    TimitRecord

    Raises
    ------
    PreparationError
        The data does not fit the protocol, is incomplete or is broken; the text lists all of it.
    """
    settings = {"protocol": protocol, "seed": seed, "skip_broken": skip_broken}
    if wrong := problems({"protocol": protocol, "data_seed": seed, "skip_broken": skip_broken}):
        raise PreparationError("\n".join(wrong))
    protocol = PROTOCOLS[protocol]
    output_folder = Path(output_folder)
    output_folder.mkdir(parents=True, exist_ok=True)
    scan = {
        "cache_path": output_folder / "audio_scan.csv",
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "num_workers": num_workers,
        "progress": progress,
    }
    make = _prepare_table if protocol is MANIFEST else _prepare_timit
    return make(Path(data_folder), output_folder, protocol, settings, scan)


def _prepare_timit(data_folder, output_folder, protocol, settings, scan):
    root = find_corpus(data_folder)
    mini = is_mini(data_folder) or is_mini(root)
    corpus = read_corpus(root)
    sentences = [s for s in corpus.sentences.values() if is_used(s, protocol)]
    files = [file for sentence in sentences for file in sentence.files()]
    roots = {"": str(root.resolve())}
    copies = [sentence for sentence in sentences if sentence.copies]
    listed = [corpus.problems, mini, [sentence.copies for sentence in copies]]
    inputs = fingerprint([TimitRecord.VERSION, settings, listed], *files)
    if record := TimitRecord.read(output_folder, inputs, roots):
        return record

    audio = scan_files([s.audio for s in sentences if s.audio], **scan)
    broken, rows, usable, num_cut = list(corpus.problems), [], [], 0
    for sentence in sentences:
        info, wrong = _audio_of(sentence.audio, audio, sentence.path)
        labels, label_problems = read_labels(sentence, info and info.num_samples)
        wrong += label_problems
        if wrong:
            broken += [(sentence.path, kind, reason) for kind, reason in wrong]
            continue
        usable.append(sentence)
        num_cut += labels.cut_samples > 0
        rows.append(
            {
                "id": sentence.id,
                "path": sentence.audio.key,
                "duration_s": info.duration_s,
                "label": "",
                "speaker": sentence.speaker,
                "dialect": sentence.region,
                "text": labels.text,
                "words": " ".join(labels.words),
                "phones": " ".join(labels.phones),
                "phone_ends": " ".join(map(str, labels.phone_ends)),
            }
        )
    skipped = refuse_broken(broken, settings["skip_broken"], _REMEDY)
    splits = splits_of(usable, protocol, settings["seed"])
    rows = [row | {"split": split} for row, split in zip(rows, splits, strict=True)]

    notes = []
    if copies:
        first = copies[0]
        notes.append(
            f"{len(copies)} recordings are there more than once; the file as published is read, "
            f"e.g. {first.audio.key} and not {first.copies[0]}"
        )
    if num_cut:
        notes.append(
            f"in {num_cut} utterances the silence at the end outlasts the audio; it is cut there"
        )
    without_words = sum(".wrd" not in sentence.labels for sentence in usable)
    if without_words:
        notes.append(f"{without_words} utterances have no .WRD file; words are those of .TXT")
    if protocol is TRAINABLE_STFT and settings["seed"] != 0:
        notes.append(f"divided with seed {settings['seed']}; the study's is 0")
    counts = _count(rows)
    check_speakers(rows, protocol)
    missing = find_missing(protocol, usable, counts)
    if not mini and missing and not settings["skip_broken"]:
        raise PreparationError(
            f"{root} is not the whole of TIMIT for protocol {protocol.name}:"
            + "".join(f"\n  {line}" for line in missing)
            + "\nRestore what is missing, or go on without it: --skip_broken true (results then "
            "say that they are on a part of TIMIT)"
        )
    completeness = "mini" if mini else f"subset ({'; '.join(missing)})" if missing else "complete"
    if completeness == "complete":
        check_tokens(counts, protocol)
    rows, overlap = _without_copies(
        rows, audio, settings, _SHARED_REMEDY, completeness == "complete"
    )
    counts = _count(rows)
    return TimitRecord.create(
        rows,
        output_folder,
        inputs,
        dataset="mini TIMIT" if mini else "TIMIT",
        protocol=protocol.name,
        roots=roots,
        counts=counts,
        completeness=completeness,
        overlap=overlap,
        comparable=protocol.comparable and completeness == "complete",
        remark=protocol.remark,
        skipped=skipped,
        notes=notes,
        settings=settings,
    )


def _prepare_table(folder, output_folder, protocol, settings, scan):
    path, rows, files, broken = read_table(folder)
    roots = {"": str(folder.resolve())}
    listed = [file_digest(path), folder.resolve().name]
    inputs = fingerprint([TimitRecord.VERSION, settings, listed], *files.values())
    if record := TimitRecord.read(output_folder, inputs, roots):
        return record

    audio = scan_files(list(files.values()), **scan)
    usable = []
    for row in rows:
        if row["id"] in files:
            info, wrong = _audio_of(files[row["id"]], audio, row["path"])
            broken += [(row["path"], kind, reason) for kind, reason in wrong]
            if not wrong:
                usable.append(row | {"duration_s": info.duration_s, "label": ""})
    skipped = refuse_broken(broken, settings["skip_broken"], _TABLE_REMEDY)
    notes = []
    held_out = split_off_validation(usable, settings["seed"])
    if held_out:
        notes.append(
            f"the table has no validation split: {len(held_out)} of the training speakers are "
            f"held out for it (seed {settings['seed']})"
        )
    usable, overlap = _without_copies(usable, audio, settings, _TABLE_SHARED_REMEDY)
    overlap |= count_kept(Item(row["id"], row["split"], row["speaker"]) for row in usable)
    counts = _count(usable)
    for (a, b), speakers in shared_speakers(usable).items():
        notes.append(f"{len(speakers)} speakers are in both {a} and {b}, e.g. {first_of(speakers)}")
    name = folder.resolve().name
    return TimitRecord.create(
        usable,
        output_folder,
        inputs,
        # What a result is called; a folder called TIMIT makes no TIMIT of a table.
        dataset=f"table {name}" if "timit" in name.lower() else name,
        protocol=protocol.name,
        roots=roots,
        counts=counts,
        completeness="own table",
        overlap=overlap,
        comparable=False,
        remark=protocol.remark,
        skipped=skipped,
        notes=notes,
        settings=settings,
    )


def _without_copies(rows, audio, settings, cause, is_published=False):
    """Rows without recordings that a later split has too, and how many these are."""
    items = [Item(row["id"], row["split"], content=audio[row["path"]].digest) for row in rows]
    names, overlap = leave_out_shared(items, settings["skip_broken"], cause, is_published)
    return [row for row in rows if row["id"] not in names], overlap


def _count(rows):
    return count_splits(
        rows, "utterances", "speakers", phones=lambda row: len(fold(row["phones"].split()))
    )


def _audio_of(file, audio, path):
    """AudioInfo of a file, or None and why it cannot be used: [(kind, reason)]."""
    if file is None:
        return None, [("missing audio", f"{path}: labels without a recording")]
    info = audio[file.key]
    if isinstance(info, AudioError):
        kind = f"broken audio, {info.kind.replace('_', ' ')}"
        return None, [(kind, f"{file.key}: {info.problem}; {info.cure}")]
    return info, []


def main(words=None):
    """Prepare from the command line and print the counts."""
    run_prepare(prepare, words)


if __name__ == "__main__":
    main()
