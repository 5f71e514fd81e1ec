"""Robustness suite (`auricle robustness`): EER under noise, rooms, codecs, with comparisons."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import torch
from tqdm import tqdm

from ...lobes.bundles import find_bundle
from ...processing.data.distortions.conditions import Condition, choose, distort, generator_of
from ...processing.data.musan import Musan
from ...processing.scoring.paired import holm
from ...processing.scoring.verification.embeddings import Embeddings, cosine_scores
from ...processing.scoring.verification.speaker_bootstrap import compare
from ...processing.scoring.verification.trial_scores import summarize_trials
from ...processing.scoring.verification.trials import TrialList
from ...processing.system.terminal import no_bar
from ..reports.results import collect_versions, git_commit
from .extraction import extract
from .robustness_noise import BabbleTalkers, Read, background_of
from .trial_scoring import open_verifier

SIDES = ("test", "both")


@dataclass(frozen=True)
class Design:
    """How systems are compared.

    Arguments
    ---------
    sides : "test" distorts the second recording of a trial alone, "both" both.
    musan : its noise, speech and music in place of generated sounds.
    speaker_of : as for `summarize_trials`.
    n_resamples : of the bootstrap over speakers; 0 for no intervals and no comparisons.
    seed : of distortions and resamples; all systems meet the same distortions.
    """

    sides: str = "test"
    musan: Musan | None = None
    speaker_of: Mapping[str, str] | None = None
    n_resamples: int = 1000
    seed: int = 0

    def __post_init__(self):
        if self.sides not in SIDES:
            raise ValueError(f"sides is {self.sides!r}: give {' or '.join(SIDES)}")

    @property
    def draws(self) -> dict:
        return {"n_resamples": self.n_resamples, "seed": self.seed}


def evaluate(
    systems: Mapping[str, object],
    trials: TrialList,
    readers: Mapping[str, Read],
    conditions: Sequence[Condition] | None = None,
    design: Design | None = None,
    progress: bool = False,
) -> dict:
    """EER of every system under every condition, and paired comparisons with the first system.

    Arguments
    ---------
    systems : by name, what `extract` takes as a bundle.
    trials : the list.
    readers : for each system, from a recording's name to its waveform (T,) at the system's rate.
    conditions : of `processing.data.conditions`; None for all. `clean` is measured in any case.
    progress : show bars.

    Returns
    -------
    dict, ready for JSON: trials, sides, seed, noise, babble, versions, systems, records (system,
    condition, group, kind, value, unit, eer, interval, missing) and comparisons. `markdown` makes
    the table of it, `robustness_picture` the picture.

    Raises
    ------
    ValueError
        No system, fewer than six speakers for babble, what a distortion refuses (the recording and
        the condition are named), what `extract` and `summarize_trials` refuse.
    """
    if not systems:
        raise ValueError("no system: give at least one bundle")
    design = design or Design()
    conditions = _clean_first(choose() if conditions is None else conditions)
    if design.musan is not None:  # its noise is no white noise, and not called so
        conditions = [replace(c, kind="noise") if c.kind == "white" else c for c in conditions]
    talkers = None
    if design.musan is None and any(condition.kind == "babble" for condition in conditions):
        talkers = BabbleTalkers(trials, design.speaker_of)
    records, scores = [], {}
    for name, bundle in systems.items():
        shown = name if progress else None
        own_records, scores[name] = measure(
            bundle, trials, readers[name], conditions, design, talkers, shown
        )
        records += [{"system": name, **record} for record in own_records]
    speakers = trials.speakers(design.speaker_of) if design.n_resamples else None
    return {
        "format": 1,
        "trials": {"source": trials.source, "digest": trials.digest, **trials.counts},
        "sides": design.sides,
        "seed": design.seed,
        "interval": {
            "over": "speaker",
            "n_speakers": None if speakers is None else len(np.unique(speakers)),
            "n_resamples": design.n_resamples,
            "confidence": 0.95,
        },
        "noise": "MUSAN" if design.musan else "generated",
        "babble": talkers.describe() if talkers else None,
        "versions": {
            **collect_versions(),
            "soundfile": soundfile.__version__,
            "libsndfile": soundfile.__libsndfile_version__,
        },
        "git_commit": git_commit(),
        "systems": list(systems),
        "records": records,
        "comparisons": _comparisons(trials, scores, speakers, design.draws),
    }


def measure(
    bundle,
    trials: TrialList,
    read: Read,
    conditions: Sequence[Condition],
    design: Design,
    talkers: BabbleTalkers | None = None,
    progress: str | None = None,
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """(records, scores of the trials by condition) of one system; arguments as for `evaluate`.

    Clean recordings are embedded once; under a condition every recording of a distorted side is.
    """
    clean = extract(bundle, trials.names, read)
    sided, test_names = _distorted_test_side(trials)
    records, scores = [], {}
    for condition in tqdm(
        conditions, desc=progress, unit="condition", disable=no_bar(progress is not None)
    ):
        record = {**asdict(condition), "condition": condition.name}
        record |= {"eer": None, "interval": None, "missing": condition.missing()}
        records.append(record)
        if record["missing"]:
            continue

        def distorted(name, condition=condition):
            generator = generator_of(condition, name, design.seed)
            rate_hz = bundle.sample_rate
            background = background_of(
                condition, name, read, rate_hz, design.seed, design.musan, talkers
            )
            try:
                wav = distort(read(name).numpy(), rate_hz, condition, generator, background)
            except ValueError as error:
                raise ValueError(f"{name} under {condition.name}: {error}") from error
            return torch.from_numpy(wav)

        if condition.group == "clean":
            values = cosine_scores(trials, clean)
        elif design.sides == "both":
            values = cosine_scores(trials, extract(bundle, trials.names, distorted))
        else:
            side = extract(bundle, test_names, distorted)
            vectors = np.concatenate([clean.vectors, side.vectors])
            values = cosine_scores(sided, Embeddings(sided.names, vectors))
        summary = summarize_trials(trials, values, design.speaker_of, **design.draws)
        record["eer"] = summary["eer"]
        if summary["interval"]:
            record["interval"] = summary["interval"]["eer"]
            record["method"] = summary["interval"]["method"]
        scores[condition.name] = values.astype(np.float64)
    return records, scores


def _distorted_test_side(trials: TrialList) -> tuple[TrialList, list[str]]:
    """The list with test recordings as recordings of their own, and the names of these."""
    numbers, place = np.unique(trials.test, return_inverse=True)
    names = [trials.names[number] for number in numbers]
    table = (*trials.names, *(f"distorted: {name}" for name in names))
    test = (len(trials.names) + place).astype(np.int32)
    return replace(trials, names=table, test=test), names


def _clean_first(conditions: Sequence[Condition]) -> list[Condition]:
    rest = [condition for condition in conditions if condition.group != "clean"]
    return [*choose(["clean"]), *rest]


def _comparisons(trials, scores, speakers, draws: dict) -> list[dict]:
    """Every further system against the first, with Holm's correction over the conditions."""
    if len(scores) < 2 or speakers is None:
        return []
    enroll, test = speakers[trials.enroll], speakers[trials.test]
    first, *others = scores
    comparisons = []
    for other in others:
        rows = []
        for condition in scores[first]:
            pair = (scores[first][condition], scores[other][condition])
            compared = compare(*pair, trials.is_target, enroll, test, **draws)
            rows.append(
                {
                    "a": first,
                    "b": other,
                    "condition": condition,
                    "difference": compared.difference,
                    "interval": list(compared.interval),
                    "p": compared.p_value,
                }
            )
        for row, corrected in zip(rows, holm([row["p"] for row in rows]), strict=True):
            row["p_holm"] = corrected
        comparisons += rows
    return comparisons


def open_systems(bundles: Sequence[str]) -> tuple[dict[str, object], dict[str, str]]:
    """The systems by name, and the digests of their weights.

    The name is the one given (NAME=FOLDER), else that of the lobes, where these are not different
    with the run's own.
    """
    opened = []
    for text in bundles:
        name, sign, folder = text.partition("=")
        if not sign or not name or Path(text).exists():
            name, folder = "", text
        folder = find_bundle(folder)
        bundle, about = open_verifier(folder)
        opened.append((name, Path(folder), bundle, about["model_digest"]))
    lobes = [
        " + ".join(bundle.description[part]["name"] for part in ("frontend", "encoder"))
        for _, _, bundle, _ in opened
    ]
    systems, models = {}, {}
    for (name, folder, bundle, digest), own in zip(opened, lobes, strict=True):
        if not name:
            run = folder.resolve().parent.name
            name = own if lobes.count(own) == 1 else f"{own} ({run})"
        if name in systems:
            raise ValueError(
                f"two systems are called {name!r}: name them with NAME=FOLDER, such as "
                f"'first={folder}'"
            )
        systems[name], models[name] = bundle, digest
    return systems, models
