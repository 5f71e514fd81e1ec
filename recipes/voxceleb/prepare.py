"""Prepare VoxCeleb: training, validation and test utterances of a protocol, and its trials.

The folders are read as they were published or converted; m4a is converted once by PyAV. What cannot
be used is either one error or, with `skip_broken`, a counted and listed skip.

    python recipes/voxceleb/prepare.py DATA_FOLDER OUTPUT_FOLDER --protocol vox1-o-cleaned
"""

import hashlib
import sys
from pathlib import Path

try:
    from auricle.processing.data.synthetic import is_mini
    from auricle.processing.scoring.verification.trials import write_trials
    from auricle.recipes.training.command_line import run_prepare
    from auricle.recipes.training.preparation import PreparationError
    from auricle.recipes.training.record import MANIFEST, fingerprint
    from auricle.recipes.voxceleb import splitting
    from auricle.recipes.voxceleb.convert import CODECS, CONVERTED
    from auricle.recipes.voxceleb.corpus import find_folders, list_files, split_suffix
    from auricle.recipes.voxceleb.protocols import OWN_LIST, PROTOCOLS, PUBLISHED, problems
    from auricle.recipes.voxceleb.record import VALID_TRIALS, VoxCelebRecord
    from auricle.recipes.voxceleb.trial_list import find_list, find_recordings, read_list
    from auricle.recipes.voxceleb.utterances import write_rows
except ModuleNotFoundError as error:
    if __name__ == "__main__" and (error.name or "").startswith("auricle"):
        sys.exit("auricle is not installed; in its repository, run: pip install -e .")
    raise

__all__ = ["PreparationError", "VoxCelebRecord", "prepare", "problems"]


def prepare(
    data_folder: str | Path,
    output_folder: str | Path,
    protocol: str = "vox1-o-cleaned",
    *,
    train_on: str = "voxceleb1",
    voxceleb2_folder: str | Path | None = None,
    trial_list: str | Path | None = None,
    valid_speakers: int | float = 0.05,
    valid_trials: int = 2000,
    seed: int = 0,
    min_duration_s: float = 0.5,
    skip_broken: bool = False,
    max_per_speaker: int = 0,
    cache_folder: str | Path | None = None,
    codec: str = "wav",
    num_workers: int | None = None,
    progress: bool = True,
) -> VoxCelebRecord:
    """Write manifest.csv, valid_trials.txt and prepare.json of a VoxCeleb protocol.

    When neither the settings nor any file has changed since, what is there is used again; files
    whose headers were read once are not read again, converted ones not converted again.

    Arguments
    ---------
    data_folder : str or Path
        VoxCeleb1, or anything in its layout: SPEAKER/VIDEO/UTTERANCE.wav (or flac, ...).
    output_folder : str or Path
        Where manifest.csv, valid_trials.txt and prepare.json go.
    protocol : str
        vox1-o, vox1-o-cleaned, vox1-e, vox1-e-cleaned, vox1-h, vox1-h-cleaned or list.
    train_on : str
        voxceleb1, voxceleb2 or both. Speakers of the test list are never trained on.
    voxceleb2_folder : str or Path, optional
        VoxCeleb2's development set; None looks in the data folder.
    trial_list : str or Path, optional
        The list of test trials; needed for the protocol "list". Looked for in the data folder,
        its meta/ and lists/, then as a path.
    valid_speakers : float or int
        Share of the training speakers that is held out for validation, or how many.
    valid_trials : int
        Trials made from them, half of them target trials.
    seed : int
        Of the held-out speakers, the validation trials and the cap.
    min_duration_s : float
        Shorter training and validation recordings cannot be used. The test set is as its list is.
    skip_broken : bool
        Leave out, count and list what cannot be used instead of raising. A broken recording of
        the test list is always an error: a list without it is another list.
    max_per_speaker : int
        Most training utterances of a speaker; 0 takes all.
    cache_folder : str or Path, optional
        Where converted audio and what was seen of the files go, for all runs on the same data;
        `voxceleb_cache` beside the output folder by default.
    codec : str
        What m4a is converted to: wav or flac.
    num_workers : int, optional
        Threads that read, and processes that convert.
    progress : bool
        Whether to draw progress bars.

    Returns
    -------
    VoxCelebRecord

    Raises
    ------
    PreparationError
        Arguments are wrong, or the data does not fit the protocol or is broken; the text lists
        all of it.
    """
    settings = {
        "protocol": protocol,
        "train_on": train_on,
        "valid_speakers": valid_speakers,
        "valid_trials": valid_trials,
        "seed": seed,
        "min_duration_s": min_duration_s,
        "skip_broken": skip_broken,
        "max_per_speaker": max_per_speaker,
        "codec": codec,
    }
    _check_settings(settings, voxceleb2_folder, trial_list)
    protocol = PROTOCOLS[protocol]
    data_folder, output_folder = Path(data_folder), Path(output_folder)
    cache_folder = Path(cache_folder or output_folder.absolute().parent / "voxceleb_cache")

    folders = {"voxceleb1": find_folders(data_folder, "voxceleb1")}
    if train_on != "voxceleb1":
        taken = list(folders["voxceleb1"].values())
        folders["voxceleb2"] = find_folders(voxceleb2_folder or data_folder, "voxceleb2", taken)
    mini = is_mini(data_folder)
    near = [data_folder]
    for folder in folders["voxceleb1"].values():
        near += [folder, folder.parent]
    list_path = find_list(protocol, trial_list, near)
    trials = read_list(protocol, list_path, mini)
    test_speakers = {name.partition("/")[0] for name in trials.names}
    corpora = {}
    for name, its_folders in folders.items():
        only = test_speakers if (name, train_on) == ("voxceleb1", "voxceleb2") else None
        corpora[name] = list_files(its_folders, only, num_workers, progress)
    test_places = find_recordings(trials, corpora["voxceleb1"], list_path)

    caches = {name: _cache_of(cache_folder, name, roots) for name, roots in folders.items()}
    roots = _all_roots(folders, caches)
    output_folder.mkdir(parents=True, exist_ok=True)
    listed = [(name, files.fingerprint()) for name, files in corpora.items()]
    inputs = fingerprint(
        [VoxCelebRecord.VERSION, {**settings, "mini": mini}, trials.digest, *listed]
    )
    if record := VoxCelebRecord.read(output_folder, inputs, roots, trials):
        return record

    notes = []
    parts = [
        splitting.Part(name, files, test_places[:0] if number else test_places, test_speakers,
             train_on in (name, "both"), split_suffix(trials.names[0])[1])
        for number, (name, files) in enumerate(corpora.items())
    ]  # fmt: skip
    del corpora
    splitting.tell_apart(parts, notes)
    errors = [
        splitting.check_audio(p, caches[p.corpus], codec, num_workers, progress) for p in parts
    ]
    skipped = splitting.drop_unusable(parts, errors, min_duration_s, skip_broken, list_path.name)
    completeness = _completeness(protocol, mini, parts, settings)
    overlap = splitting.leave_out_copies(
        parts, test_places, skip_broken, completeness == "complete", num_workers
    )
    valid_list = splitting.hold_out_speakers(parts, settings, notes)
    for part in parts:
        splitting.cap_speakers(part, max_per_speaker, seed)
    splitting.check_apart(parts, test_speakers)
    splitting.note_unusual(parts, trials, test_places, list_path.name, min_duration_s, notes)

    total = hashlib.sha256()
    splits = splitting.rows_of(parts, trials, test_places)
    counts = write_rows(splits, output_folder / MANIFEST, total)
    write_trials(output_folder / VALID_TRIALS, valid_list)
    for split, its_trials in (("valid", valid_list), ("test", trials)):
        counts[split] |= {k: its_trials.counts[k] for k in ("trials", "target", "nontarget")}
        total.update(f"{split} trials\t{its_trials.digest}\n".encode())
    record = VoxCelebRecord(
        manifest_path=str(output_folder / MANIFEST),
        roots=roots,
        protocol=protocol.name if protocol.name != OWN_LIST else f"list:{list_path.name}",
        train_on=train_on,
        counts=counts,
        test_list={
            "file": list_path.name,
            "sha256": trials.digest,
            "url": protocol.url,
            **trials.counts,
        },
        completeness=completeness,
        overlap=overlap,
        digest=total.hexdigest(),
        prefixes={root: part.prefix for part in parts for root in part.files.roots},
        skipped=skipped,
        notes=notes,
        settings=settings,
    )
    # What is returned is read back, so that it is the same whether it was there or not.
    del parts, splits, part
    record.write(inputs)
    record = VoxCelebRecord.read(output_folder, inputs, roots, trials)
    if record is None:
        raise PreparationError(f"{output_folder} was changed in the meantime; prepare again")
    return record


def _check_settings(settings, voxceleb2_folder, trial_list):
    plain = settings | {"data_seed": settings["seed"]}
    for name, path in (("voxceleb2_folder", voxceleb2_folder), ("trial_list", trial_list)):
        plain[name] = None if path is None else str(path)
    wrong = problems(plain)
    if settings["codec"] not in CODECS:
        wrong.append(f"codec is {settings['codec']!r}; it can be {' or '.join(CODECS)}")
    if wrong:
        raise PreparationError("\n".join(wrong))


def _cache_of(cache_folder, corpus, roots):
    """A folder for one copy of a corpus: files of one name in two folders need not be the same."""
    first = str(next(iter(roots.values())))
    return cache_folder / f"{corpus}-{hashlib.sha256(first.encode()).hexdigest()[:8]}"


def _all_roots(folders, caches):
    """The folders by root name, and where what is converted of each lies."""
    roots = {}
    for corpus, its_folders in folders.items():
        for name, folder in its_folders.items():
            roots[name] = folder
            roots[name + CONVERTED] = caches[corpus] / name
    return roots


def _completeness(protocol, mini, parts, settings):
    """How what can be trained on compares with what was published."""
    if mini:
        return "mini"
    if protocol.name == OWN_LIST:
        return "own list"
    differing = []
    for part in parts:
        if settings["train_on"] in (part.corpus, "both"):
            counts = (len(part.training_speakers()), int(part.train.sum()))
            for what, count, expected in zip(
                ("speakers", "utterances"), counts, PUBLISHED[part.corpus], strict=True
            ):
                if count != expected:
                    differing.append(f"{count} of {expected} {what} of {part.corpus}")
    if settings["max_per_speaker"]:
        differing.append(f"at most {settings['max_per_speaker']} utterances of a speaker")
    return f"subset ({'; '.join(differing)})" if differing else "complete"


def main(words=None):
    """Prepare from the command line and print the counts."""
    run_prepare(prepare, words)


if __name__ == "__main__":
    main()
