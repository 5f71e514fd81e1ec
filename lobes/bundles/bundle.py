"""Write and open bundles: weights in safetensors beside a description that runs no code.

A bundle is opened in two ways. `load` reads `bundle.json`, which names registered lobes, and
`model.safetensors`: nothing in it can run code. SpeechBrain's `EncoderClassifier.from_hparams`
reads `hyperparams.yaml`, and HyperPyYAML constructs what such a file asks for, so that way is for
bundles from people you trust.
"""

import functools
import json
import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ...processing.system.files import (
    TextError,
    file_digest,
    read_json,
    replacing,
    write_json,
    write_text,
)
from ..build import build_model
from ..model import Model
from ..registry import ENCODERS, FRONTENDS, LOAD_PLUGIN, LobeError
from .description import FORMAT, MAX_BYTES, UNNAMED_HEAD, BundleError, problems
from .folder import file_in
from .shipped import find_bundle, shipped_names
from .speechbrain import hyperparams_text
from .trained import Trained
from .weights import built_in_bounds, compare, compare_sketch, shapes_in

DESCRIPTION, WEIGHTS, SPEECHBRAIN = "bundle.json", "model.safetensors", "hyperparams.yaml"


class Bundle(Trained, Model):
    """A trained model and what it needs to be used.

    Shape
    -----
    As `Model`.
    """

    def __init__(self, description: dict, model: Model):
        Model.__init__(self, *model.parts.values())
        self.describe(description)


def build_described(description: dict) -> Bundle:
    """The model that a checked description describes, with weights of its beginning."""
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
    description.setdefault("head", dict(UNNAMED_HEAD))
    if wrong := problems(description):
        raise BundleError(f"{folder} would be no bundle:\n  " + "\n  ".join(wrong[:10]))
    weights = {
        f"{name}.{key}": value.detach().cpu().contiguous().clone()
        for name, part in model.parts.items()
        for key, value in part.state_dict().items()
    }
    shapes = {key: (value.dtype, tuple(value.shape)) for key, value in weights.items()}
    compare(build_described(description).state_dict(), shapes, "the description")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / WEIGHTS) as part:
        save_file(weights, part)
        description["weights_sha256"] = file_digest(part)
    write_json(folder / DESCRIPTION, description)
    write_text(folder / SPEECHBRAIN, hyperparams_text(description))
    return folder


def amend(folder: str | os.PathLike, **entries) -> None:
    """Add entries to the description of a bundle that is there already."""
    path = Path(folder, DESCRIPTION)
    write_json(path, read_json(path) | entries)


def load(folder: str | os.PathLike) -> Bundle:
    """Open a bundle without running any code that it brings, and without reading beside it.

    Arguments
    ---------
    folder : its folder, or a name as `auricle.lobes.bundles.find_bundle` takes it.

    The description is checked, and the model it describes is compared with the header of the
    weights, before memory is taken for either.

    Returns
    -------
    Bundle, in evaluation mode on the CPU.

    Raises
    ------
    BundleError
        Not a bundle; a description with an entry of another type or out of range; a lobe or an
        option that this installation does not know (a lobe of somebody's own: load its file with
        `load_plugin` first, if you trust it); weights that do not fit, are of another kind of
        number, are NaN or infinite, or are not those it was saved with; a file that is a link out
        of the folder.
    """
    named, folder = str(folder), find_bundle(folder)
    missing = [name for name in (DESCRIPTION, WEIGHTS) if file_in(folder, name) is None]
    if missing:
        raise BundleError(
            f"{folder} is no bundle: {' and '.join(missing)} missing. A run writes one as "
            "<output_folder>/bundle" + ("" if folder.exists() else f"; {shipped_names(named)}")
        )
    description = _read_description(folder)
    shapes = shapes_in(folder / WEIGHTS)
    try:
        build = functools.partial(build_described, description)
        if all(
            _has_sketch(registry.get(description[registry.kind]["name"]))
            for registry in (FRONTENDS, ENCODERS)
        ):
            compare_sketch(build, shapes, str(folder))
        _check_digest(folder, description.get("weights_sha256"))
        bundle = built_in_bounds(build, shapes, str(folder))
    except BundleError:
        raise
    except LobeError as error:
        raise BundleError(
            f"{folder} cannot be built here: {error}\nIf the lobe is somebody's own, load its "
            f"file first: {LOAD_PLUGIN} (this runs that file)"
        ) from None
    except Exception as error:  # of options that fit each other as little as a lobe foresees
        raise BundleError(f"{folder} cannot be built: {error or repr(error)}") from None
    try:
        weights = load_file(folder / WEIGHTS)
    except Exception as error:  # safetensors raises its own classes
        raise BundleError(f"{folder / WEIGHTS} is damaged: {error}") from None
    bundle.load_state_dict(weights)
    _check_finite(bundle, str(folder / WEIGHTS))
    return bundle.eval()


def _read_description(folder: Path) -> dict:
    try:
        description = read_json(folder / DESCRIPTION, MAX_BYTES)
    except TextError as error:
        raise BundleError(f"{folder / DESCRIPTION} is damaged: {error}") from None
    if isinstance(description, dict):
        if (got := description.get("format")) != FORMAT:
            raise BundleError(
                f"{folder} has bundle format {got!r:.80}, this auricle reads {FORMAT}"
            )
        description.setdefault("head", dict(UNNAMED_HEAD))
    if wrong := problems(description):
        raise BundleError(f"{folder / DESCRIPTION} is damaged:\n  " + "\n  ".join(wrong[:10]))
    return description


def _has_sketch(lobe: type) -> bool:
    """Whether a lobe builds without memory; one of somebody's own need not."""
    own = lobe.__module__.startswith(f"{__package__.partition('.')[0]}.")
    return own and not getattr(lobe, "computes_when_built", False)


def _check_digest(folder: Path, expected: str | None) -> None:
    """Refuse weights other than those that a bundle was saved with; older bundles do not say."""
    if expected is not None and file_digest(folder / WEIGHTS) != expected:
        raise BundleError(
            f"{folder / WEIGHTS} holds other weights than the bundle was saved with: copy the "
            "whole folder again from where it is from"
        )


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
