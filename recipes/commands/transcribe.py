"""`auricle transcribe`: what is said in audio files."""

import json
from typing import Literal

from ..training.command_line import UsageError
from .common import for_each


def run(
    bundle: str,
    files: list[str],
    /,
    *,
    decoding: Literal["greedy", "beam"] = "greedy",
    beam_size: int | None = None,
    lm_weight: float | None = None,
    format: Literal["kaldi", "json"] = "kaldi",
    names: Literal["stem", "path"] = "stem",
) -> int:
    """Print what is said in audio files: phones, characters, words.

    Arguments
    ---------
    bundle : BUNDLE
        Trained by the TIMIT recipe; or an .onnx file that one was exported to.
    files : FILE
        Recordings, a line each.
    decoding
        The best unit of every step, or prefix beam search.
    beam_size : N
        Prefixes kept, with --decoding beam. Default: 16.
    lm_weight : W
        Weight of the bigram in the bundle, with --decoding beam. Default: 0.
    format
        kaldi: 'NAME TOKEN ...', as `auricle score --hyp` reads; json: an object per line.
    names
        What NAME is: the file's name without folder and suffix, or its path.

    Returns
    -------
    2 where a file could not be read.
    """
    for option, value in (("--beam-size", beam_size), ("--lm-weight", lm_weight)):
        if decoding == "greedy" and value is not None:
            raise UsageError(f"{option} belongs to --decoding beam")
    from ..inference import transcribe

    as_json = format == "json"
    called = dict(zip(files, files if as_json else transcribe.names_of(files, names), strict=True))
    model, units = transcribe.open_recogniser(bundle)
    size, weight = 16 if beam_size is None else beam_size, lm_weight or 0.0
    decode = transcribe.decoder_of(bundle, units, decoding, size, weight)

    def answer(file: str) -> None:
        tokens = transcribe.transcribe_file(model, units, decode, file)
        if as_json:
            record = {"file": file, "unit": units.scored_as, "tokens": tokens}
            print(json.dumps(record, ensure_ascii=False))
        else:
            print(" ".join([called[file], *units.text(tokens).split()]))

    return for_each(files, answer)
