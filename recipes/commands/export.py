"""`auricle export`: a bundle as one file of ONNX, TorchScript or torch.export."""

from typing import Literal

from ..reports.printing import show
from ..training.command_line import UsageError
from ..training.messages import RecipeError


def run(
    bundle: str,
    out: str,
    /,
    *,
    format: Literal["onnx", "torchscript", "pt2"] | None = None,
    output: Literal["scores", "embedding", "frames"] | None = None,
    int8: bool = False,
    calibration: str | None = None,
    check: str | None = None,
    max_loss: float = 0.01,
    json: bool = False,
) -> None:
    """Write a bundle as one file for other runtimes: waveforms (batch, time) and relative lengths
    (batch) in, of any batch and any time. It is written only where it gives what the bundle gives, on
    noise, speech, silence and short clips.

    Arguments
    ---------
    bundle : BUNDLE
        A run's <output_folder>/bundle.
    out : OUT
        The file, .onnx, .ts (TorchScript) or .pt2 (torch.export). An earlier export there is
        replaced, and nothing else.
    format
        Default: that of OUT's suffix.
    output
        What the head gives, what the encoder gives, or the normalised frames. Default: what
        predictions of the bundle's task need.
    int8
        Round the products of encoder and head to 8 bits (.onnx), where the task's score bears it.
    calibration : DATA
        Recordings whose activations set the ranges of 8 bits, as `auricle evaluate` takes them.
    check : DATA
        Recordings on which the task is scored before and after.
    max_loss : LOSS
        The most that the task's first score may lose; above it nothing is written. Default: 0.01.
    json
        Print JSON.
    """
    if len({int8, bool(calibration), bool(check)}) > 1:
        raise UsageError("--int8, --calibration DATA and --check DATA belong together")
    if not max_loss >= 0:
        raise UsageError(f"--max-loss {max_loss}: give 0 or more, in the unit of the task's score")
    from ..inference.export import Int8, export, format_of

    format = format_of(out, format)
    if int8 and format != "onnx":
        raise UsageError(f"--int8 is for .onnx files, got {format}")
    rounding = Int8(calibration, check, max_loss, _labelled) if int8 else None
    record = export(bundle, out, format, output, rounding)
    record["file"] = out
    longest = record["longest_samples"]
    opset = f", opset {record['opset']}" if record["opset"] else ""
    lines = [
        f"{out}: {record['format']}{opset}, {record['bytes']:,} bytes, {record['output']}",
        f"takes clips from {record['shortest_samples']:,} "
        + (f"to {longest:,} samples" if longest else "samples on, of any length")
        + f" at {record['description']['sample_rate']:,} Hz",
        f"differs from the bundle by {record['deviation']:.1e} of the range of its values at most",
    ]
    if checked := record.get("checked"):
        lines[-1] += " before it was rounded"
        lines.append("in 8 bits: {score} {before:.4f} before, {after:.4f} after".format(**checked))
    show(record, lines, json)


def _labelled(data: str, model):
    from ..own_sounds.labelled import find_labelled

    try:
        return find_labelled(data, model.task.name, model.labels)
    except RecipeError as error:
        raise ValueError(error) from error
