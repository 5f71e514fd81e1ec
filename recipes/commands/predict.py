"""`auricle predict`: what a bundle answers for files, as its task has it."""

from pathlib import Path

from ..training.command_line import UsageError
from .common import for_each


def run(
    bundle: str,
    files: list[str],
    /,
    *,
    json: bool = False,
    curve: bool = False,
    window: str | None = None,
    out: str = ".",
) -> int:
    """Print what a pretrained bundle answers for audio files, as its task has it:
    a label and its probability; valence and arousal on the scale of the labels; phones; or an
    embedding, written to a file.

    Arguments
    ---------
    bundle
        A folder that a run wrote: <output_folder>/bundle; or an .onnx file that one was exported to.
    files : FILE
        Where a model was trained on clips, a longer file is cut into overlapping ones of their
        length, and what is found in them is averaged.
    json
        Print one JSON object per file.
    curve
        Of a bundle that learned labels over time (target dynamic): print CSV with a row per 0.5 s,
        time_s,valence,arousal, where a row's time is the beginning of its 0.5 s; several files need
        --json.
    window : START,END
        Hear only the part START,END of a file, in s; or 'test': what the bundle's test heard of a
        song. Default: all of it.
    out : DIR
        Folder for embeddings, FILE's name with .npy.

    Returns
    -------
    2 where a file could not be read.
    """
    if curve and len(files) > 1 and not json:
        raise UsageError(
            f"--curve prints the table of one file, got {len(files)}: give one, or --json"
        )
    if curve and window:
        raise UsageError("--window is for one value per file: a curve has the times of all of it")
    from ...lobes.export import open_model
    from ..inference.predict import keep_arrays, predict_file, window_of, written

    model = open_model(bundle)
    about = model.description
    if curve and about.get("target") != "dynamic":
        raise ValueError(
            f"--curve needs a bundle that learned labels over time (target dynamic), and {bundle} "
            f"was trained for {about.get('task')} (target {about.get('target')})"
        )

    window_s = window_of(model, window) if window else None

    def answer(file: str) -> None:
        prediction = predict_file(model, file, window_s, **({"curve": True} if curve else {}))
        print(written(keep_arrays(prediction, file, Path(out)), file, json))

    return for_each(files, answer)
