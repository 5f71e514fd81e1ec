"""Find the list of test trials, read it, and compare it with the published counts."""

from pathlib import Path

from ...processing.scoring.verification.trials import read_trials
from ...processing.system.listing import first_lines, first_of
from ..training.preparation import PreparationError
from .corpus import split_suffix
from .protocols import META_URL, OWN_LIST


def find_list(protocol, trial_list, folders):
    """Path of the trial list.

    Arguments
    ---------
    protocol : Protocol
    trial_list : str, Path or None
        What the user names; None takes the protocol's own file.
    folders : list of Path
        Where it may lie, or in meta/ or lists/ of these.

    Raises
    ------
    PreparationError
        It is nowhere; the text says where it is published.
    """
    name = Path(trial_list) if trial_list else Path(protocol.file)
    places = [Path(f) / sub / name for f in folders for sub in ("", "meta", "lists")]
    if trial_list:
        places.append(name)
    for place in places:
        if place.is_file():
            return place
    looked = ", ".join(dict.fromkeys(str(place.parent) for place in places))
    what = "trial_list" if trial_list else f"protocol {protocol.name} needs the list"
    near = sorted({p.name for f in folders for p in Path(f).glob("*.txt")})
    remedy = (
        f"Fetch it: curl -O {protocol.url}"
        if protocol.url
        else "Name a file of lines '1 SPEAKER/VIDEO/00001.wav SPEAKER/VIDEO/00002.wav' (1: one "
        f"speaker, 0: two); the official lists are at {META_URL}"
    )
    if near:
        remedy += f". Text files there are: {first_of(near)}"
    raise PreparationError(f"{what} {name}, which is in none of {looked}. {remedy}")


def read_list(protocol, path, is_mini):
    """The trials of a list, checked against the folders' speakers and the published counts.

    Raises
    ------
    PreparationError
        The file is no list of trials, or not the one that the protocol names.
    """
    try:
        trials = read_trials(path)
        trials.speakers()
    except ValueError as error:
        raise PreparationError(f"{path} is not a usable list of trials: {error}") from error
    wrong = [
        f"{trials.counts[name]} {'trials' if name == 'trials' else f'{name} trials'} where {count} "
        "are published"
        for name, count in protocol.expected.items()
        if trials.counts[name] != count
    ]
    if wrong and not is_mini:
        raise PreparationError(
            f"{path} is not the list of protocol {protocol.name}: it has {'; '.join(wrong)}. "
            f"Fetch the published one ({protocol.url}), or score this one as what it is: "
            f"protocol: {OWN_LIST}, trial_list: {path.name}"
        )
    return trials


def find_recordings(trials, files, path):
    """Places of a list's recordings among the files, in the list's order.

    The suffix does not count: a list says .wav where the disc may have .flac.

    Raises
    ------
    PreparationError
        A recording is not there, or the list spells one recording in two ways.
    """
    stems = [split_suffix(name)[0] for name in trials.names]
    if len(set(stems)) != len(stems):
        seen = set()
        double = next(stem for stem in stems if stem in seen or seen.add(stem))
        raise PreparationError(
            f"{path} spells the recording {double} with more than one suffix; give it one"
        )
    places = files.find(stems)
    absent = [name for name, place in zip(trials.names, places, strict=True) if place < 0]
    if absent:
        example = files.file_name(0) if len(files) else "none"
        raise PreparationError(
            f"{len(absent)} of the {len(stems)} recordings that {path} names are not below "
            f"{', '.join(str(root) for root in files.roots.values())} (which holds {len(files)} "
            f"files such as {example}):{first_lines(absent)}\n"
            "Unpack the missing part (VoxCeleb1's test set is vox1_test_wav.zip); a list without "
            "them would be another list."
        )
    return places
