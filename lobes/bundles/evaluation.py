"""Score a bundle on labelled recordings, one function per task: predictions go into a collector."""

import itertools
from collections.abc import Iterable, Mapping

import torch

from ...processing.scoring.classification import ConfusionCounts
from ...processing.scoring.regression.metrics import RegressionScores
from ...processing.scoring.tagging import TagScores
from ...processing.scoring.transcription.sequence import EditCounts
from ...processing.scoring.verification.embedding_scores import EmbeddingScores
from ...processing.scoring.verification.trials import TrialList
from ...processing.system.listing import first_of
from ...processing.transcription.units import Units
from .description import BundleError
from .predictions import predict_values, regression_target
from .trained import Trained

#: Recordings whose every pair is a trial: 4,000 make 8 million.
_MOST_PAIRED = 4000
#: Speakers from which on an interval over speakers is given.
_FEWEST_SPEAKERS = 10

#: A labelled recording: (row, waveform (T,) at the bundle's rate). A row has `id`, `group` and what
#: the task needs: `labels` (a list), a transcript, or numbers by name.
Items = Iterable[tuple[Mapping, torch.Tensor]]


def check_labels(bundle: Trained, labels: Iterable[str]) -> None:
    """Refuse labels that the bundle does not know: it would be wrong on each of them."""
    if unknown := sorted(set(labels) - set(bundle.labels)):
        raise BundleError(
            f"{len(unknown)} labels are none of the model's: {first_of(unknown)}. It knows "
            f"{', '.join(bundle.labels)}. Rename them, or leave those recordings out"
        )


def score_classes(bundle: Trained, items: Items, unit: str) -> ConfusionCounts:
    """Accuracy of the most probable class."""
    counts, place = ConfusionCounts(bundle.labels, unit), bundle.labels.index
    for row, wav in items:
        (label,), predicted = row["labels"], bundle.predict(wav).values["label"]
        counts.append([row["id"]], [place(label)], [place(predicted)], [row["group"]])
    return counts


def score_tags(bundle: Trained, items: Items, unit: str) -> TagScores:
    """Average precision and ROC-AUC of tags."""
    scores = TagScores(bundle.labels, unit)
    for row, wav in items:
        answer = bundle.predict(wav).values["tags"]
        present = [tag in row["labels"] for tag in bundle.labels]
        values = [answer[tag] for tag in bundle.labels]
        scores.append([row["id"]], [values], [present], [row["group"]])
    return scores


def score_transcripts(bundle: Trained, items: Items, unit: str) -> EditCounts:
    """Error rate of what is decoded greedily."""
    units = Units.from_state(bundle.description["units"])
    counts = EditCounts(units.scored_as, units.convention)
    for row, wav in items:
        tokens = bundle.predict(wav).values["tokens"]
        counts.append([row["id"]], [units.reference(row)], [tokens])
    return counts


def score_values(bundle: Trained, items: Items, unit: str) -> RegressionScores:
    """Agreement of one value per recording, for every output that a row has a number for."""
    if regression_target(bundle) == "dynamic":
        raise BundleError(
            "this bundle learned labels over time, and a table has one value per recording: its own "
            "recipe scores it"
        )
    scores = RegressionScores(bundle.labels, bundle.description["scale"])
    for row, wav in items:
        targets = [float(row[name]) for name in bundle.labels]
        predictions = predict_values(bundle, wav).tolist()
        # Groups would be songs there, of which the mean over all recordings is scored.
        scores.append([row["id"]], [predictions], [targets], [row["id"]])
    return scores


def score_speakers(bundle: Trained, items: Items, unit: str) -> EmbeddingScores:
    """Error rate over all pairs of recordings, whose labels are their speakers."""
    names, embeddings = {}, []
    for row, wav in items:
        names[row["id"]] = row["labels"][0]
        embeddings.append(bundle.predict(wav).arrays["embedding"])
    if len(names) > _MOST_PAIRED:
        raise BundleError(
            f"{len(names)} recordings make {len(names) * (len(names) - 1) // 2:,} pairs: give at "
            f"most {_MOST_PAIRED}, or score a list of trials"
        )
    pairs = itertools.combinations(names, 2)
    trials = TrialList.from_pairs(((a, b, names[a] == names[b]) for a, b in pairs), "all pairs")
    enough = len(set(names.values())) >= _FEWEST_SPEAKERS
    scores = EmbeddingScores(trials, names, n_resamples=1000 if enough else 0)
    if embeddings:
        scores.append(list(names), torch.stack(embeddings))
    return scores
