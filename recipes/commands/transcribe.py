"""Parser of `auricle transcribe`: what is said in audio files."""

from __future__ import annotations

import json

from ..reports.printing import print_error
from .common import add_command, spellings

__all__ = ["add_parser", "run"]


def add_parser(commands) -> None:
    """Add the command."""
    transcribe = add_command(
        commands, "transcribe", run, "print what is said in audio files: phones, characters, words"
    )
    transcribe.add_argument("bundle", metavar="BUNDLE", help="trained by the TIMIT recipe")
    transcribe.add_argument("files", nargs="+", metavar="FILE")
    transcribe.add_argument(
        "--decoding", choices=["greedy", "beam"], default="greedy", help="default: greedy"
    )
    transcribe.add_argument(
        *spellings("--beam-size"), type=int, metavar="N", help="prefixes kept; default: 16"
    )
    transcribe.add_argument(
        *spellings("--lm-weight"),
        type=float,
        metavar="W",
        help="weight of the bigram in the bundle, with --decoding beam; default: 0",
    )
    transcribe.add_argument(
        "--format",
        choices=["kaldi", "json"],
        default="kaldi",
        help="kaldi (default): 'NAME TOKEN ...', as `auricle score --hyp` reads; json: an object "
        "per line",
    )
    transcribe.add_argument(
        "--names",
        choices=["stem", "path"],
        default="stem",
        help="what NAME is: the file's name without folder and suffix (default), or its path",
    )


def run(arguments) -> int:
    """Print a line per file; 2 where one could not be read."""
    if arguments.decoding == "greedy":
        for option in ("beam_size", "lm_weight"):
            if getattr(arguments, option) is not None:
                name = "--" + option.replace("_", "-")
                arguments.usage_error(f"{name} belongs to --decoding beam")
    from ..inference.transcribe import (
        decoder_of,
        names_of,
        open_recogniser,
        transcribe_file,
        written,
    )

    as_json = arguments.format == "json"
    names = arguments.files if as_json else names_of(arguments.files, arguments.names)
    bundle, units = open_recogniser(arguments.bundle)
    decode = decoder_of(
        arguments.bundle,
        units,
        arguments.decoding,
        16 if arguments.beam_size is None else arguments.beam_size,
        arguments.lm_weight or 0.0,
    )
    status = 0
    for file, name in zip(arguments.files, names, strict=True):
        try:
            tokens = transcribe_file(bundle, units, decode, file)
        except ValueError as error:
            # One bad file must not keep the others from being transcribed.
            print_error(error)
            status = 2
            continue
        if as_json:
            found = {"file": file, "unit": units.scored_as, "tokens": tokens}
            print(json.dumps(found, ensure_ascii=False))
        else:
            print(" ".join([name, *written(units, tokens).split()]))
    return status
