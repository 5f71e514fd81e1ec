"""Tasks: what each needs of a model, trains with, is scored by, and answers for one file.

One record per task. Recipes, tables, bundles and commands ask the record, so that nothing else
holds a list of tasks; a new task is one record, registered by the file that brings it.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..processing.system.names import nearest
from .registry import LobeError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Score:
    """How a score is shown in a table: its heading, what it is multiplied by, its decimals."""

    heading: str
    factor: float = 1.0
    decimals: int = 3

    def text(self, value: float) -> str:
        """The value as a table shows it.

        Example
        -------
        >>> Score("EER (%)", 100.0, 2).text(0.0431)
        '4.31'
        """
        return f"{self.factor * value:.{self.decimals}f}"


@dataclass(frozen=True)
class Prediction:
    """What a model answers for one recording.

    Attributes
    ----------
    values : dict of plain JSON values
    text : str
        The same as a line, fields separated by tabs; or a table of several lines.
    arrays : dict of tensors
        What is too long for a line, by name; whoever shows the prediction writes it to a file.
    """

    values: dict[str, Any]
    text: str
    arrays: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """What one task needs and gives.

    Arguments
    ---------
    name : str
    about : str
        What is learned, in a few words.
    head : str
        Name of the head, see `auricle.lobes.heads.HEADS`.
    brain : str
        "module:Class" of its Brain, imported when a model is trained.
    predict : str or callable
        (bundle, wav (T,) at the bundle's rate, **options) -> Prediction; or its "module:function".
    headline : str
        The score that selects the best epoch, and the first that is shown.
    higher_is_better : bool
    not_for : str
        What its models must not be used for, as their cards say.
    columns : tuple of str
        Scores that tables show, the headline first; "interval" is the headline's interval.
    scores : dict from scores to Score
        How they are shown; a score without an entry is shown as it is.
    output : str or None
        What it needs of an encoder, "utterance" or "frames"; None: either will do.
    bundled : tuple of str
        Entries that a bundle's description holds for `predict`, besides what describes the model.
    options : tuple of str
        Options of `predict`.
    also_called : tuple of str
        Names under which results and bundles were written.
    score : str or callable
        (bundle, labelled recordings, unit of their groups) -> a collector of its scores; or its
        "module:function". None: bundles of the task are not evaluated without their recipe.

    Example
    -------
    >>> find_task("keyword_spotting").headline
    'accuracy'
    """

    name: str
    about: str
    head: str
    brain: str
    predict: Any
    headline: str
    higher_is_better: bool
    columns: tuple[str, ...]
    not_for: str = "anything that it was not tested for"
    scores: Mapping[str, Score] = field(default_factory=dict)
    output: str | None = "utterance"
    bundled: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    also_called: tuple[str, ...] = ()
    score: Any = None
    #: What of a model `predict` reads: "scores" of its head or the "embedding" before it.
    reads: str = "scores"

    def build_brain(self, *args, **kwargs):
        """Its Brain; arguments as the Brain takes them, without the task."""
        return _resolve(self.brain)(*args, task=self, **kwargs)

    def evaluate(self, bundle, items, unit: str):
        """A collector with what a bundle predicts for labelled recordings, `unit` being their groups.

        Raises
        ------
        ValueError
            The task has no such function; what that refuses.
        """
        if self.score is None:
            raise ValueError(f"bundles of {self.name} are scored by their own recipe alone")
        return _resolve(self.score)(bundle, items, unit)

    def answer(self, bundle, wav: torch.Tensor, **options) -> Prediction:
        """What a bundle answers for one waveform (T,) at its sample rate.

        Raises
        ------
        ValueError
            Options that the task does not have; a bundle or a waveform that it cannot answer for;
            an answer that is NaN or infinite.
        """
        unknown = [name for name in options if name not in self.options]
        if unknown:
            raise ValueError(
                f"a prediction of {self.name} has no option {unknown[0]!r}; it has "
                f"{', '.join(self.options) or 'none'}"
            )
        if self.output not in (None, bundle.embedding_model.output):
            raise ValueError(
                f"a prediction of {self.name} needs an encoder of {self.output}, and this bundle's "
                f"gives {bundle.embedding_model.output}: it was not trained for that"
            )
        prediction = _resolve(self.predict)(bundle, wav, **options)
        arrays = (array.flatten().tolist() for array in prediction.arrays.values())
        check_finite([prediction.values, *arrays])
        return prediction


def check_finite(answer) -> None:
    """Raise a ValueError where an answer of plain values holds NaN or infinity."""
    if isinstance(answer, Mapping):
        answer = list(answer.values())
    if isinstance(answer, (list, tuple)):
        for part in answer:
            check_finite(part)
    elif isinstance(answer, float) and not math.isfinite(answer):
        raise ValueError(
            f"the model answers {answer}, which is no result: its weights or the recording go "
            "beyond what it can compute with"
        )


def _resolve(target):
    if not isinstance(target, str):
        return target
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module, __package__), name)


#: Every task by its name.
TASKS: dict[str, Task] = {}


def register_task(task: Task) -> Task:
    """Enter a task.

    Raises
    ------
    LobeError
        Another task has its name, or one of the names it is also called.
    """
    for name in (task.name, *task.also_called):
        known = _named(name)
        if known is not None and known != task:
            raise LobeError(f"two tasks are called {name!r}: {known.about}; {task.about}")
    TASKS[task.name] = task
    return task


def find_task(name: str) -> Task:
    """The task of this name, or of a name that results and bundles were written with.

    Raises
    ------
    LobeError
        With the nearest name and the list of all.
    """
    task = _named(name)
    if task is None:
        names = [name for task in TASKS.values() for name in (task.name, *task.also_called)]
        raise LobeError(
            f"no task is called {name!r}{nearest(name, names)} Known tasks: "
            f"{', '.join(TASKS)}. A task of somebody's own is registered by its file"
        )
    return task


def _named(name: str) -> Task | None:
    return next((t for t in TASKS.values() if name in (t.name, *t.also_called)), None)


register_task(
    Task(
        name="classification",
        about="one of several classes per recording",
        head="classifier",
        brain=".brains.classification:ClassificationBrain",
        predict=".bundles.predictions:classify",
        headline="accuracy",
        higher_is_better=True,
        not_for="alarms, medical findings or anything else that somebody's safety depends on",
        columns=("accuracy", "macro_f1"),
        scores={
            "accuracy": Score("accuracy (%)", 100.0, 1),
            "balanced_accuracy": Score("balanced accuracy (%)", 100.0, 1),
            "macro_f1": Score("macro F1 (%)", 100.0, 1),
        },
        also_called=("keyword_spotting",),
        score=".bundles.evaluation:score_classes",
    )
)

register_task(
    Task(
        name="tagging",
        about="which of several tags a recording has",
        head="tagger",
        brain=".brains.tagging:TaggingBrain",
        predict=".bundles.predictions:tag",
        headline="map",
        higher_is_better=True,
        not_for="alarms, medical findings or anything else that somebody's safety depends on",
        columns=("map", "roc_auc"),
        scores={"map": Score("mAP"), "roc_auc": Score("ROC-AUC")},
        score=".bundles.evaluation:score_tags",
    )
)

register_task(
    Task(
        name="verification",
        about="whether two recordings are of one speaker",
        head="cosine",
        brain=".brains.speaker:SpeakerBrain",
        predict=".bundles.predictions:embed",
        headline="eer",
        higher_is_better=False,
        not_for="access control, evidence, or telling without consent who somebody is",
        columns=("eer", "interval", "min_dcf_0.01"),
        scores={
            "eer": Score("EER (%)", 100.0, 2),
            "min_dcf_0.01": Score("minDCF(0.01)"),
            "cllr": Score("Cllr (bit)"),
        },
        bundled=("margin_scale",),
        also_called=("speaker_verification",),
        score=".bundles.evaluation:score_speakers",
        reads="embedding",
    )
)

register_task(
    Task(
        name="transcription",
        about="the phones, characters or words of a recording",
        head="classifier",
        brain=".brains.ctc:CTCBrain",
        predict=".bundles.predictions:transcribe",
        headline="per",
        higher_is_better=False,
        not_for="records of what somebody said that others rely on unheard",
        columns=("per", "interval"),
        scores={"per": Score("PER (%)", 100.0, 2)},
        output="frames",
        bundled=("units",),
        also_called=("phone_recognition",),
        score=".bundles.evaluation:score_transcripts",
    )
)

register_task(
    Task(
        name="regression",
        about="numbers per recording, or over time",
        head="regression",
        brain=".brains.regression:RegressionBrain",
        predict=".bundles.predictions:regress",
        headline="ccc",
        higher_is_better=True,
        not_for="judgements about people: it repeats how the raters of its training data marked",
        columns=("ccc", "interval", "ccc_valence", "ccc_arousal", "r2"),
        scores={
            "ccc": Score("CCC"),
            "ccc_valence": Score("CCC of valence"),
            "ccc_arousal": Score("CCC of arousal"),
            "r2": Score("R2"),
        },
        output=None,
        bundled=("target", "scale"),
        options=("curve",),
        also_called=("music_emotion",),
        score=".bundles.evaluation:score_values",
    )
)
