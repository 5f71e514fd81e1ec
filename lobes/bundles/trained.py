"""What every trained model has, in whatever file it is: its description, its task, its answers."""

import os

import torch

from ..registry import LobeError
from ..tasks import Prediction, Task, find_task
from .description import BundleError


class Trained:
    """Base of a model that can be used: of a bundle, and of what a bundle was exported to.

    Attributes
    ----------
    description : dict, what `bundle.json` holds
    labels : list of str, in the order of the outputs
    clip_s : length of the clips it was trained on, in s, or None
    sample_rate : of the waveforms, in Hz
    """

    def describe(self, description: dict) -> None:
        """Take over a description that was checked."""
        self.description = description
        self.labels: list[str] = list(description["labels"])
        self.clip_s: float | None = description["clip_s"]

    @property
    def task(self) -> Task:
        """The record of the task it was trained for.

        Raises
        ------
        BundleError
            A task that this installation does not know.
        """
        try:
            return find_task(self.description.get("task", "classification"))
        except LobeError as error:
            raise BundleError(f"the bundle is of an unknown task: {error}") from None

    def require(self, name: str) -> None:
        """Check that it was trained for a task.

        Raises
        ------
        BundleError
            It was trained for another one.
        """
        if self.task is not find_task(name):
            raise BundleError(
                f"the bundle was trained for {self.description.get('task')} ({self.task.about}); a "
                f"bundle of the task {name} is needed"
            )

    @torch.no_grad()
    def predict(self, wav: torch.Tensor, **options) -> Prediction:
        """What its task answers for one waveform (T,) at `sample_rate`.

        Arguments
        ---------
        options : those of the task's `predict`, e.g. `curve=True`.

        Raises
        ------
        BundleError
            A model without a head, of a task that needs one.
        """
        is_bare = self.description["head"]["name"] == "none"
        if is_bare and self.task is not find_task("verification"):
            raise BundleError(
                "the bundle has no head and answers nothing: it gives embeddings (`embed`), and is "
                "there to be trained further"
            )
        return self.task.answer(self, wav, **options)

    def predict_file(self, path: str | os.PathLike) -> tuple[str, float]:
        """Label and probability of one audio file, of any rate, channels and length.

        Raises
        ------
        AudioError
            A file that cannot be read, with the reason.
        BundleError
            A bundle that was not trained to label: `predict` answers for any.
        """
        from ...processing.data.audio import read_audio

        self.require("classification")
        wav = read_audio(path, self.sample_rate, resample="convert", channels="mix")
        answer = self.predict(wav).values
        return answer["label"], answer["probability"]
