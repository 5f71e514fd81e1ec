"""Check what every configuration has: its keys, its optimisation, its lobes and their options."""

from ...hparams.include import SHARED
from ...hparams.loader import shipped_defaults
from ...lobes.brains import optimization
from ...lobes.build import (
    build_encoder,
    build_frontend,
    build_normalization,
    count_frames,
    option_problems,
    options_of,
)
from ...lobes.registry import ENCODERS, FRONTENDS

#: Keys that every recipe has besides those of the shared training settings.
_EVERY_RECIPE = (
    *("data_folder", "output_folder", "sample_rate", "frontend", "encoder", "normalization"),
    *("frontend_options", "encoder_options", "model"),
)


def common_problems(plain: dict, output: str | None = None) -> list[str]:
    """What is wrong with the part of a configuration that every recipe has; as `lobe_problems`."""
    needed = (*_EVERY_RECIPE, *shipped_defaults(str(SHARED["training"])))
    if missing := [key for key in needed if key not in plain]:
        return [
            f"the YAML of this recipe lacks {', '.join(missing)}: give the keys, or take them with "
            "`include: [training, model]`"
        ]
    return lobe_problems(plain, output) + optimization.problems(plain)


def lobe_problems(plain: dict, output: str | None = None) -> list[str]:
    """What is wrong with the lobes and their options in a configuration.

    Arguments
    ---------
    plain : plain values of the YAML.
    output : what the recipe needs of an encoder, "utterance" or "frames"; None: either will do.
    """
    problems = option_problems(
        FRONTENDS, plain["frontend"], plain["frontend_options"]
    ) + option_problems(ENCODERS, plain["encoder"], plain["encoder_options"])
    if problems:
        return problems
    # Values are the lobes' own business: building them now tells before data is prepared.
    try:
        frontend = build_frontend(
            plain["frontend"], plain["sample_rate"], plain["frontend_options"]
        )
        build_normalization(plain["normalization"], frontend)
    except (TypeError, ValueError) as error:
        return [f"frontend {plain['frontend']}: {error}"]
    clip_s = plain.get("clip_s")
    try:
        encoder = _sketch(plain["encoder"], frontend, clip_s, plain["encoder_options"])
    except (TypeError, ValueError) as error:
        return [f"encoder {plain['encoder']}: {error}"]
    if output and encoder.output != output:
        fit = [
            name
            for name in ENCODERS.names()
            if _output_of(name, frontend, clip_s, plain["encoder_options"]) == output
        ]
        name, way = plain["encoder"], ""
        if "output" in options_of(ENCODERS, name):
            way = f"--encoder_options.{name}.output {output} makes it give them. "
        return [
            f"encoder {name} gives {_OUTPUTS[encoder.output]}, and {_OUTPUTS[output]} are needed. "
            f"{way}Encoders that give them: {', '.join(fit) or 'none'}"
        ]
    return []


_OUTPUTS = {"utterance": "vectors of whole utterances", "frames": "frames"}


def _sketch(name: str, frontend, clip_s, options: dict):
    """An encoder without memory or initial values, where its making allows that."""
    import torch

    frames = count_frames(frontend, clip_s)
    try:
        with torch.device("meta"):
            return build_encoder(name, frontend.num_features, frames, options)
    except (NotImplementedError, RuntimeError):  # some nets read a value while they are made
        return build_encoder(name, frontend.num_features, frames, options)


def _output_of(name: str, frontend, clip_s, options: dict) -> str:
    try:
        return _sketch(name, frontend, clip_s, options).output
    except (TypeError, ValueError):  # does not fit this frontend, or is broken
        return ""
