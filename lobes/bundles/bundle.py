"""Write and open bundles: weights in safetensors beside a description that runs no code.

A bundle is opened in two ways. `load` reads `bundle.json`, which names registered lobes, and
`model.safetensors`: nothing in it can run code. SpeechBrain's `EncoderClassifier.from_hparams`
reads `hyperparams.yaml`, and HyperPyYAML constructs what such a file asks for, so that way is for
bundles from people you trust.
"""

import json
import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ...processing.system.files import TextError, read_json, replacing, write_json, write_text
from ..build import build_model
from ..model import Model
from ..registry import LOAD_PLUGIN, LobeError
from ..tasks import Prediction, Task, find_task
from .speechbrain import hyperparams_text

FORMAT = 1
DESCRIPTION, WEIGHTS, SPEECHBRAIN = "bundle.json", "model.safetensors", "hyperparams.yaml"

#: Of a description that names none, as those from before there were other heads.
_UNNAMED_HEAD = {"name": "classifier", "options": {}}


class BundleError(ValueError):
    """A folder that is not a bundle, or one that does not fit what is asked of it."""


class Bundle(Model):
    """A trained model and what it needs to be used.

    Attributes
    ----------
    description : dict, what `bundle.json` holds
    labels : list of str, in the order of the outputs
    clip_s : length of the clips it was trained on, in s, or None

    Shape
    -----
    As `Model`.
    """

    def __init__(self, description: dict, model: Model):
        super().__init__(*model.parts.values())
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
        """
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


def _build(description: dict) -> Bundle:
    frontend, encoder, head = (description[name] for name in ("frontend", "encoder", "head"))
    model = build_model(
        frontend["name"],
        encoder["name"],
        description["sample_rate"],
        description["normalization"],
        {frontend["name"]: frontend["options"]},
        {encoder["name"]: encoder["options"]},
        in_frames=encoder["in_frames"],
        head=head["name"],
        num_outputs=len(description["labels"]),
        head_options=head["options"],
    )
    return Bundle(description, model)


def save(folder: str | os.PathLike, description: dict, model: Model) -> Path:
    """Write a bundle.

    Arguments
    ---------
    folder : where to; made if it is not there
    description : dict with `task`, `sample_rate` (Hz), `clip_s`, `labels`, `normalization`,
        `frontend` {name, options}, `encoder` {name, options, in_frames}, `head` {name, options}
        (default: the classifier); further entries (scores, protocol, digest) are kept.
    model : the trained Model

    Raises
    ------
    BundleError
        When what the description builds is not what the weights belong to.
    """
    description = {"format": FORMAT, **json.loads(json.dumps(description))}
    description.setdefault("head", dict(_UNNAMED_HEAD))
    weights = {
        f"{name}.{key}": value.detach().cpu().contiguous().clone()
        for name, part in model.parts.items()
        for key, value in part.state_dict().items()
    }
    _load_weights(_build(description), weights, "the description")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / WEIGHTS) as part:
        save_file(weights, part)
    write_json(folder / DESCRIPTION, description)
    write_text(folder / SPEECHBRAIN, hyperparams_text(description))
    return folder


def amend(folder: str | os.PathLike, **entries) -> None:
    """Add entries to the description of a bundle that is there already."""
    path = Path(folder, DESCRIPTION)
    write_json(path, read_json(path) | entries)


def load(folder: str | os.PathLike) -> Bundle:
    """Open a bundle without running any code that it brings.

    Returns
    -------
    Bundle, in evaluation mode on the CPU.

    Raises
    ------
    BundleError
        Not a bundle; a lobe or an option that this installation does not know (a lobe of
        somebody's own: load its file with `load_plugin` first, if you trust it); weights that do
        not fit, are of another kind of number, or are NaN or infinite.
    """
    folder = Path(folder)
    missing = [name for name in (DESCRIPTION, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise BundleError(
            f"{folder} is no bundle: {' and '.join(missing)} missing. A run writes one as "
            "<output_folder>/bundle"
        )
    try:
        description = read_json(folder / DESCRIPTION)
        if description["format"] != FORMAT:
            raise BundleError(
                f"{folder} has bundle format {description['format']}, this auricle reads {FORMAT}"
            )
        description.setdefault("head", dict(_UNNAMED_HEAD))
        bundle = _build(description)
    except LobeError as error:
        raise BundleError(
            f"{folder} cannot be built here: {error}\nIf the lobe is somebody's own, load its "
            f"file first: {LOAD_PLUGIN} (this runs that file)"
        ) from None
    except (KeyError, TypeError, TextError) as error:
        raise BundleError(f"{folder / DESCRIPTION} is damaged: {error!r}") from None
    try:
        weights = load_file(folder / WEIGHTS)
    except Exception as error:  # safetensors raises its own classes
        raise BundleError(f"{folder / WEIGHTS} is damaged: {error}") from None
    _load_weights(bundle, weights, str(folder))
    _check_finite(bundle, str(folder / WEIGHTS))
    return bundle.eval()


def _load_weights(bundle: Bundle, weights: dict[str, torch.Tensor], owner: str) -> None:
    expected = bundle.state_dict()
    wrong = [
        f"{key}: {tuple(weights[key].shape) if key in weights else 'missing'} in the weights, "
        f"{tuple(expected[key].shape) if key in expected else 'unknown'} in {owner}"
        for key in sorted({*expected, *weights})
        if key not in expected or key not in weights or expected[key].shape != weights[key].shape
    ]
    if wrong:
        raise BundleError("weights do not fit the model:\n  " + "\n  ".join(wrong[:10]))
    for key, held in expected.items():
        given = weights[key]
        if (given.is_floating_point(), given.is_complex()) != (
            held.is_floating_point(),
            held.is_complex(),
        ):
            raise BundleError(f"{owner}: the weight {key} is {given.dtype}, not {held.dtype}")
    bundle.load_state_dict(weights)


def _check_finite(bundle: Bundle, owner: str) -> None:
    """Refuse weights that are NaN or infinite: everything computed with them would be."""
    damaged = [
        key
        for key, value in bundle.state_dict().items()
        if value.is_floating_point() and not torch.isfinite(value).all()
    ]
    if damaged:
        raise BundleError(
            f"{owner}: {len(damaged)} weights hold NaN or infinity, such as {damaged[0]}: the "
            "training diverged, or the file is damaged; train again, or take a whole copy"
        )
