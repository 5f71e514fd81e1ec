"""Divide files: test by the list, validation by held-out speakers, training the rest."""

import numpy as np

from ...processing.data.audio import split_suffix
from ...processing.system.listing import by_kind
from ..training.preparation import PreparationError
from ..training.shared_recordings import Item, find_copies, leave_out_shared
from . import headers
from .convert import coded, convert
from .held_out import draw_trials, hold_out, shuffled
from .utterances import Rows

CLASH_PREFIX = "voxceleb2-"


class Part:
    """One corpus and what its files are used for.

    Arguments
    ---------
    corpus : "voxceleb1" or "voxceleb2"
    files : Files
    test_places : (k,) int array
        The files that the test list names.
    test_speakers : set of str
        The speakers of the test list; none of their files is trained on.
    trains : bool
        Whether the others are.
    suffix : str
        See below.

    Attributes
    ----------
    train, valid, test : (n,) bool
    num_samples : (n,) int64
    prefix : str
        What ids and speakers have in front.
    suffix : str
        What ids end in: that of the list's names, whatever the files are stored as.
    """

    def __init__(self, corpus, files, test_places, test_speakers, trains, suffix=".wav"):
        self.corpus, self.files, self.prefix, self.suffix = corpus, files, "", suffix
        self.speakers, self.speaker_of = files.speakers()
        apart = np.array([speaker in test_speakers for speaker in self.speakers], bool)
        self.train = ~apart[self.speaker_of] if trains else np.zeros(len(files), bool)
        self.valid, self.test = np.zeros((2, len(files)), bool)
        self.test[test_places] = True
        self.num_samples = np.full(len(files), -1, np.int64)

    def used(self):
        return np.flatnonzero(self.train | self.valid | self.test)

    def name_of(self, place):
        """The recording's name."""
        return self.prefix + self.files.name(place) + self.suffix

    def training_speakers(self):
        """Places of the speakers that have training files."""
        return np.flatnonzero(np.bincount(self.speaker_of[self.train], minlength=1))


def tell_apart(parts, notes):
    """Give VoxCeleb2 a prefix when it has a speaker's name that VoxCeleb1 has, too."""
    if len(parts) == 2:
        both = sorted(set(parts[0].speakers) & set(parts[1].speakers))
        if both:
            parts[1].prefix = CLASH_PREFIX
            notes.append(
                f"{len(both)} speakers have one name in both corpora, e.g. {both[0]}: those of "
                f"VoxCeleb2 count as others and are called {CLASH_PREFIX}{both[0]}, ..."
            )


def check_audio(part, cache_folder, codec, num_workers, progress):
    """Convert what has to be, and find length and faults of every file in use.

    Returns
    -------
    dict of AudioError by place
    """
    used = part.used()
    todo = np.intersect1d(coded(part.files), used)
    part.files, failed = convert(part.files, todo, cache_folder, codec, num_workers, progress)
    usable = np.setdiff1d(used, list(failed))
    if len(usable) <= headers.MAX_DECODED:
        decode = np.ones(len(usable), bool)
    else:
        of_test = part.test[usable]
        decode = of_test & (of_test.sum() <= headers.MAX_DECODED)
    part.num_samples, errors = headers.check_files(
        part.files, usable, cache_folder / "headers.csv", decode, num_workers, progress
    )
    return errors | failed


def drop_unusable(parts, errors, min_duration_s, skip_broken, list_name):
    """Raise what is wrong with the files, or take the broken ones out of training and list them.

    A broken recording of the test list is an error in any case.

    Arguments
    ---------
    parts : list of Part
    errors : list of dict
        AudioError by place, per part.
    """
    of_test, of_train = [], []
    for part, its_errors in zip(parts, errors, strict=True):
        test = {place: e for place, e in its_errors.items() if part.test[place]}
        train = {place: e for place, e in its_errors.items() if not part.test[place]}
        part.train[list(train)] = False
        of_test += headers.as_problems(part.files, test)
        of_train += headers.as_problems(part.files, train)
        short, problems = headers.too_short(
            part.files, np.flatnonzero(part.train), part.num_samples, min_duration_s
        )
        part.train[short] = False
        of_train += problems
    texts = []
    if of_test:
        texts.append(
            f"{len(of_test)} recordings of the test list {list_name} cannot be used:"
            f"{_listed(of_test)}\nRestore them from the archive. A list without them would be "
            "another list (and skip_broken does not change that): to score such a one, write it "
            "and name it with protocol: list."
        )
    if of_train and not skip_broken:
        texts.append(
            f"{len(of_train)} training recordings cannot be used:{_listed(of_train)}\nRestore them "
            "from the archive, or go on without them: --skip_broken true"
        )
    if texts:
        raise PreparationError("\n".join(texts))
    return [{"path": path, "reason": reason, "kind": kind} for path, kind, reason in of_train]


def _listed(problems):
    return by_kind((kind, f"{path}: {reason}") for path, kind, reason in problems)


def leave_out_copies(parts, test_places, skip_broken, is_published, num_workers):
    """Take recordings out of training that are copies of test recordings under other speakers.

    Returns
    -------
    dict
        As `auricle.recipes.training.shared_recordings` counts them.
    """
    originals = [parts[0].files.path(place) for place in test_places.tolist()]
    copies, items = {}, [Item("", "test", content="copy")]
    for part in parts:
        places = np.flatnonzero(part.train).tolist()
        found = find_copies(map(part.files.path, places), originals, num_workers)
        items.append(Item(part.corpus, "train"))
        for place, is_copy in zip(places, found, strict=True):
            if is_copy:
                copies[part.name_of(place)] = part, place
    items += [Item(name, "train", content="copy") for name in copies]
    names, overlap = leave_out_shared(items, skip_broken, _COPIES, is_published)
    for name in names:
        part, place = copies[name]
        part.train[place] = False
    return overlap


_COPIES = "One recording lies in the folders of two speakers: remove the wrong one"


def hold_out_speakers(parts, settings, notes):
    """Move the held-out speakers from training to validation, and draw the validation trials.

    Of the held-out speakers only the recordings that a trial names are used.

    Returns
    -------
    TrialList
    """
    named = {
        part.prefix + part.speakers[place]: (part, place)
        for part in parts
        for place in part.training_speakers()
    }
    names = sorted(named)
    chosen = hold_out(names, settings["valid_speakers"], settings["seed"])
    recordings, place_of = {}, {}
    for name in sorted(chosen):
        part, speaker = named[name]
        places = np.flatnonzero(part.train & (part.speaker_of == speaker))
        part.train[places] = False
        recordings[name] = [part.name_of(place) for place in places]
        place_of |= zip(recordings[name], ((part, place) for place in places), strict=True)
    trials, remarks = draw_trials(recordings, settings["valid_trials"], settings["seed"])
    notes += remarks
    spaced = next((name for name in trials.names if len(name.split()) != 1), None)
    if spaced:
        raise PreparationError(
            f"{spaced!r} has a space in its name, which a list of trials cannot hold; rename it"
        )
    for name in trials.names:
        part, place = place_of[name]
        part.valid[place] = True
    unused = len(place_of) - len(trials.names)
    if unused:
        notes.append(
            f"{unused} recordings of the {len(chosen)} validation speakers are in no validation "
            "trial and not used"
        )
    return trials


def cap_speakers(part, most, seed):
    """Leave at most so many training files of every speaker, whichever the seed draws."""
    if not most:
        return
    places = np.flatnonzero(part.train)
    places = places[np.argsort(part.speaker_of[places], kind="stable")]
    for of_speaker in np.split(places, np.flatnonzero(np.diff(part.speaker_of[places])) + 1):
        if len(of_speaker) > most:
            by_name = {part.name_of(place): place for place in of_speaker.tolist()}
            dropped = shuffled(by_name, seed, "cap")[most:]
            part.train[[by_name[name] for name in dropped]] = False


def rows_of(parts, test_trials, test_places):
    """The rows of every split; test recordings are called what the list calls them."""
    splits = [Rows(split) for split in ("train", "valid", "test")]
    for part in parts:
        for rows, used in zip(splits[:2], (part.train, part.valid), strict=True):
            places = np.flatnonzero(used)
            ids = map(part.name_of, places)
            rows.add(part.files, places, part.num_samples, ids, part.prefix)
    splits[2].add(parts[0].files, test_places, parts[0].num_samples, test_trials.names)
    return splits


def check_apart(parts, test_speakers):
    """Raise when a speaker is in two splits; the construction above does not let it."""
    speakers = {"train": set(), "valid": set(), "test": set()}
    for part in parts:
        for split, used in (("train", part.train), ("valid", part.valid)):
            names = [part.speakers[place] for place in np.unique(part.speaker_of[used])]
            speakers[split] |= {part.prefix + name for name in names}
            # A test speaker's name is enough to be one, with a prefix or without.
            speakers["test"] |= {part.prefix + name for name in names if name in test_speakers}
    for one, other in (("train", "test"), ("valid", "test"), ("train", "valid")):
        shared = speakers[one] & speakers[other]
        if shared:
            raise PreparationError(f"speakers of {other} are in {one}, e.g. {min(shared)}")


def note_unusual(parts, test_trials, test_places, list_name, min_duration_s, notes):
    """Note what is unusual about files, speakers and trials."""
    first = parts[0]
    spelled = [split_suffix(name)[1].lower() for name in test_trials.names]
    on_disk = first.files.suffix[test_places]
    differing = {
        (text, suffix)
        for text, suffix in zip(spelled, on_disk.tolist(), strict=True)
        if text != first.files.suffixes[suffix].lower()
    }
    if differing:
        text, suffix = min(differing)
        notes.append(
            f"{list_name} says {text or 'no suffix'} where the disc has "
            f"{first.files.suffixes[suffix]}; names are the list's"
        )
    short = int((first.num_samples[test_places] < min_duration_s * headers.SAMPLE_RATE_HZ).sum())
    if short:
        notes.append(f"{short} test recordings are shorter than {min_duration_s:g} s; they count")
    for part in parts:
        if part.files.doubles:
            notes.append(
                f"{part.files.doubles} files of {part.corpus} are there a second time with "
                "another suffix or in another folder, and left out"
            )
        single = int((np.bincount(part.speaker_of[part.train], minlength=1) == 1).sum())
        if single:
            notes.append(f"{single} training speakers of {part.corpus} have one utterance")
    repeated = test_trials.counts["repeated"]
    if repeated:
        notes.append(f"{list_name} has {repeated} trials more than once; they count as often")
