"""Builders: the name of a lobe and its options in, the lobe or a whole model out.

HyperPyYAML can neither swap a class by an override nor interpolate a tag, so a name selects the
lobe and the options are keyed by lobe name: those of one lobe cannot leak into another.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from ..processing.system.names import nearest
from .registry import ENCODERS, FRONTENDS, LobeError, Registry

if TYPE_CHECKING:
    from .model import Model

#: Arguments that a builder sets; a user does not give them as options.
RESERVED = {"frontend": ("sample_rate",), "encoder": ("in_features", "in_frames")}


def options_of(registry: Registry, name: str) -> dict[str, inspect.Parameter]:
    """The options a lobe takes, by name, with their defaults."""
    parameters = inspect.signature(registry.get(name).__init__).parameters
    hidden = ("self", *RESERVED[registry.kind])
    return {
        key: value
        for key, value in parameters.items()
        if key not in hidden and value.kind in (value.KEYWORD_ONLY, value.POSITIONAL_OR_KEYWORD)
    }


def option_problems(registry: Registry, name: str, options: dict | None) -> list[str]:
    """Everything that is wrong with a lobe's name and its keyed options, all at once.

    Options of lobes that are not selected are checked too: a typo in one of them would
    otherwise wait, silently, for the day the lobe is selected.
    """
    problems = []
    try:
        registry.get(name)
    except LobeError as error:
        problems.append(str(error))
    if options is None:
        return problems
    if not isinstance(options, dict):
        return [
            *problems,
            f"{registry.kind}_options must map lobe names to their options, got {options!r}",
        ]
    for lobe, given in options.items():
        where = f"{registry.kind}_options.{lobe}"
        if lobe not in registry.lobes:
            problems.append(
                f"{where}: no {registry.kind} is called {lobe!r}{nearest(lobe, registry.lobes)} "
                f"Options are keyed by lobe: {registry.kind}_options: {{{name}: {{...}}}}"
            )
            continue
        if not isinstance(given, (dict, type(None))):
            problems.append(f"{where} must map option names to values, got {given!r}")
            continue
        try:
            allowed = options_of(registry, lobe)
        except LobeError as error:
            problems.append(str(error))
            continue
        for key in given or {}:
            if key in RESERVED[registry.kind]:
                problems.append(f"{where}.{key}: {key} is set by the YAML as a whole")
            elif key not in allowed:
                problems.append(
                    f"{where}.{key}: {lobe} has no option {key!r}{nearest(key, allowed)} "
                    f"Options of {lobe}: {', '.join(allowed) or 'none'}"
                )
    return problems


def _checked_options(registry: Registry, name: str, options: dict | None) -> dict:
    problems = option_problems(registry, name, options)
    if problems:
        raise LobeError("\n".join(problems))
    return dict((options or {}).get(name) or {})


def build_frontend(name: str, sample_rate: int = 16000, options: dict | None = None):
    """Build the frontend `name`.

    Arguments
    ---------
    name : str
        Any of `list_frontends()`.
    sample_rate : int
        Rate of the waveforms, in Hz.
    options : dict or None
        Options keyed by lobe name, e.g. `{"leaf": {"num_features": 64}}`.

    Raises
    ------
    LobeError
        Unknown name or options (all of them in one message), with the nearest known ones.

    Example
    -------
    >>> build_frontend("mel", options={"mel": {"num_features": 64}}).num_features
    64
    """
    own = _checked_options(FRONTENDS, name, options)
    return FRONTENDS.get(name)(sample_rate=sample_rate, **own)


def build_encoder(
    name: str, in_features: int, in_frames: int | None = None, options: dict | None = None
):
    """Build the encoder `name` for frames of `in_features` values.

    Arguments
    ---------
    name : str
        Any of `list_encoders()`.
    in_features : int
        F of the frontend.
    in_frames : int or None
        Frames of a training clip, for encoders that are built for one length.
    options : dict or None
        Options keyed by lobe name.

    Raises
    ------
    LobeError
        Unknown name or options; or the encoder declares that it cannot take such frames, and
        the message names those that can.

    Example
    -------
    >>> build_encoder("bcresnet", in_features=40).output
    'utterance'
    """
    own = _checked_options(ENCODERS, name, options)
    encoder = ENCODERS.get(name)
    why = _unfit(encoder, in_features, in_frames, own)
    if why:
        fit = [
            other
            for other in ENCODERS.names()
            if other != name and not _unfit_or_broken(other, in_features, in_frames)
        ]
        raise LobeError(
            f"encoder {name!r} does not fit {in_features} features"
            + (f" x {in_frames} frames" if in_frames else "")
            + f": {why} Encoders that fit: {', '.join(fit) or 'none'}"
        )
    if encoder.needs_in_frames:
        own["in_frames"] = in_frames
    return encoder(in_features=in_features, **own)


def _unfit(encoder: type, in_features: int, in_frames: int | None, options: dict) -> str | None:
    if encoder.needs_in_frames and not in_frames:
        return "it is built for clips of one length; set clip_s (in_frames) above 0."
    return encoder.unfit(in_features, in_frames, **options)


def _unfit_or_broken(name: str, in_features: int, in_frames: int | None) -> bool:
    try:
        return bool(_unfit(ENCODERS.get(name), in_features, in_frames, {}))
    except LobeError:
        return True


def count_frames(frontend, clip_s: float | None) -> int | None:
    """Frames that a clip of `clip_s` seconds gives; None when clips have no fixed length."""
    if not clip_s:
        return None
    return frontend.num_frames(round(clip_s * frontend.sample_rate))


def build_normalization(kind: str, frontend=None):
    """What stands between frontend and encoder, chosen when the YAML is built.

    Arguments
    ---------
    kind : str
        "none"; "sentence": mean and variance of each feature over the utterance's valid frames;
        "sentence_mean": mean alone, as published models of speakers have it; "global": running
        mean and variance over the training set; "auto": what the frontend recommends
        (`frontend.normalization`).
    frontend : Frontend
        Asked for its recommendation by "auto" and for its number of features by "global".

    Returns
    -------
    A module `(feats (B, N, F), lengths) -> (B, N, F)`.
    """
    from .layers.normalization import KINDS

    if kind == "auto":
        if frontend is None:
            raise LobeError('normalization "auto" asks the frontend: give build_normalization one')
        kind = frontend.normalization
    if kind not in KINDS:
        raise LobeError(
            f"normalization must be one of auto, {', '.join(KINDS)}, got {kind!r}"
            f"{nearest(kind, (*KINDS, 'auto'))}"
        )
    if kind == "global":
        if frontend is None:
            raise LobeError('normalization "global" needs to know the number of features')
        return KINDS[kind](frontend.num_features)
    return KINDS[kind]()


def build_model(
    frontend: str,
    encoder: str,
    sample_rate: int = 16000,
    normalization: str = "auto",
    frontend_options: dict | None = None,
    encoder_options: dict | None = None,
    clip_s: float | None = None,
    in_frames: int | None = None,
    head: str | None = None,
    num_outputs: int = 0,
    head_options: dict | None = None,
) -> Model:
    """Build a model from the names of its parts, as YAML files and bundles give them.

    Arguments
    ---------
    frontend, encoder : str
        Names of lobes.
    sample_rate : int
        Of the waveforms, in Hz.
    normalization : str
        As for `build_normalization`.
    frontend_options, encoder_options : dict or None
        Options keyed by lobe name, e.g. `{"leaf": {"num_features": 64}}`.
    clip_s : float or None
        Length of the clips in s where all have one, for encoders that are built for one length.
    in_frames : int or None
        The same in frames of the frontend; None: from `clip_s`.
    head : str or None
        Name of a head (`auricle.lobes.heads.HEADS`); None: the model ends with the embedding.
    num_outputs : int
        Classes or values that the head gives.
    head_options : dict or None

    Raises
    ------
    LobeError, ValueError
        Names and options that do not exist or do not fit each other.

    Example
    -------
    >>> build_model("mel", "linear", clip_s=1.0, head="classifier", num_outputs=3).sample_rate
    16000
    """
    from .heads import build_head
    from .model import Model

    features = build_frontend(frontend, sample_rate, frontend_options)
    normalized = build_normalization(normalization, features)
    frames = in_frames or count_frames(features, clip_s)
    encoded = build_encoder(encoder, features.num_features, frames, encoder_options)
    model = Model(features, normalized, encoded)
    if head is not None:
        model.classifier = build_head(head, encoded.out_features, num_outputs, head_options)
    return model


def create_model(
    frontend: str = "leaf",
    encoder: str = "bcresnet",
    num_classes: int = 0,
    sample_rate: int = 16000,
    clip_s: float | None = None,
    normalization: str = "auto",
    frontend_options: dict | None = None,
    encoder_options: dict | None = None,
) -> Model:
    """A model for a training loop of one's own: waveforms in, log-probabilities of classes out.

    Arguments
    ---------
    frontend, encoder : str
        See `list_frontends()` and `list_encoders()`.
    num_classes : int
        0: no head, the model gives embeddings.
    sample_rate : int
        Of the waveforms, in Hz.
    clip_s : float or None
        Length of the clips in s, for encoders that are built for one length.
    normalization : str
        "auto" (what the frontend recommends), "none", "sentence" or "global".
    frontend_options, encoder_options : dict or None
        Options of the lobe, e.g. `{"num_features": 64}`; or keyed by its name, as in a YAML.

    Returns
    -------
    Model: (B, T) and relative lengths (B,) or None -> (B, C), or (B, N', C) with an encoder of
    frames. After each optimiser step the frontend's parameters are to be projected into their
    range: `project_after(optimizer, model)` of `auricle.lobes.contracts` does it.

    Raises
    ------
    LobeError, ValueError
        Names and options that do not exist or do not fit each other.

    Example
    -------
    >>> import torch
    >>> model = create_model("leaf", "bcresnet", num_classes=12, frontend_options={"num_features": 64})
    >>> model(torch.zeros(1, 16000)).exp().sum().round().item()
    1.0
    """
    return build_model(
        frontend,
        encoder,
        sample_rate,
        normalization,
        _keyed(FRONTENDS, frontend, frontend_options),
        _keyed(ENCODERS, encoder, encoder_options),
        clip_s,
        head="classifier" if num_classes else None,
        num_outputs=num_classes,
    )


def _keyed(registry: Registry, name: str, options: dict | None) -> dict:
    """Options keyed by lobe name, also where they were given for the one lobe without its name."""
    options = options or {}
    keyed = all(
        lobe in registry.lobes and isinstance(value, (dict, type(None)))
        for lobe, value in options.items()
    )
    return options if keyed else {name: options}
