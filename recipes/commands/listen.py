"""`auricle listen`: keywords in a long recording, a pipe, or a microphone, as they are said."""

import sys
from typing import Literal

from ..inference.options import Listening
from ..training.command_line import UsageError


def run(
    bundle: str,
    source: str | None = None,
    /,
    *,
    listening: Listening,
    format: Literal["s16le", "f32le"] = "s16le",
    rate: int | None = None,
    json: bool = False,
) -> None:
    """Print keywords as they are detected, with time (s) and score, in bounded memory.

    Arguments
    ---------
    bundle
        A folder that a run wrote: <output_folder>/bundle, of a model of classes or tags; or an .onnx file
        that one was exported to.
    source : FILE
        An audio file of any length; - for raw mono PCM from standard input, such as
        `arecord -t raw -f S16_LE -r 16000 -c 1 | auricle listen BUNDLE -`. Default: the microphone
        (needs auricle[microphone]).
    format
        Of the PCM.
    rate : HZ
        Of the PCM. Default: the model's.
    json
        Print a JSON object per line.
    """
    if rate is not None and source != "-":
        raise UsageError("--rate is for PCM from standard input (-): a file says its own")
    from ...lobes.export import open_model
    from ...processing.data.audio_blocks import file_blocks, microphone_blocks, pcm_blocks
    from ..inference.listen import Listener, written

    model = open_model(bundle)
    listener = Listener(model, listening)
    stream = listener.stream
    if source is None:
        blocks = microphone_blocks(model.sample_rate)
    elif source == "-":
        if sys.stdin is None:
            raise ValueError("there is no standard input to listen to: pipe PCM into it")
        blocks = pcm_blocks(sys.stdin.buffer, format, rate or model.sample_rate, model.sample_rate)
    else:
        blocks = file_blocks(source, model.sample_rate)
    print(
        f"listening for {', '.join(listener.keywords)} in windows of {stream.form}, "
        f"{stream.window_s:g} s every {1000 * stream.chunk_samples / stream.sample_rate:g} ms",
        file=sys.stderr,
    )
    for detection in listener.detect(blocks):
        print(written(detection, json), flush=True)
