"""Check the lobes of a configuration: names, options, and whether the encoder fits the task."""

from ...lobes.build import (
    build_encoder,
    build_frontend,
    build_normalization,
    count_frames,
    option_problems,
    options_of,
)
from ...lobes.registry import ENCODERS, FRONTENDS


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
