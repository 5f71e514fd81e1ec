"""`auricle embed`: embeddings of recordings, in a file."""

import time

from ..reports.printing import show
from ..training.command_line import UsageError


def run(
    bundle: str,
    files: list[str] = (),
    /,
    *,
    data_folder: str,
    trials: str | None = None,
    list_: str | None = None,
    out: str,
    crops: int = 0,
    crop_s: float = 4.0,
    json: bool = False,
) -> None:
    """Write the embeddings of recordings to a file.

    Arguments
    ---------
    bundle : BUNDLE
        Trained for speaker verification; or an .onnx file that one was exported to.
    files : NAME
        Recordings, as in --data-folder.
    data_folder : FOLDER
        Where the audio is.
    trials : FILE
        Embed the recordings of this trial list.
    list_ : FILE
        Embed those named here, one to a line.
    out : FILE
        .safetensors or .npz; has names and vectors.
    crops : N
        Average N evenly spaced crops of every recording; 0: the whole recording.
    crop_s : S
        Length of a crop in s.
    json
        Print JSON.
    """
    from ...processing.scoring.verification.embedding_files import SUFFIXES, write_embeddings
    from ...processing.scoring.verification.trials import read_trials
    from ..inference.input_files import read_names
    from ..inference.trial_scoring import embedder

    if sum(map(bool, (files, trials, list_))) != 1:
        raise UsageError(
            "say what to embed by one of: names of recordings, --trials FILE, --list FILE"
        )
    if not out.endswith(SUFFIXES):
        raise UsageError(f"--out {out}: the file ends in {' or '.join(SUFFIXES)}")
    if trials:
        files = list(read_trials(trials).names)
    elif list_:
        files = read_names(list_)
    begin = time.perf_counter()
    embeddings, about = embedder(bundle, data_folder, crops, crop_s, progress=True)(files)
    seconds = time.perf_counter() - begin
    path = write_embeddings(out, embeddings, about)
    count, dimensions = len(embeddings), embeddings.vectors.shape[1]
    record = {"file": str(path), "recordings": count, "dimensions": dimensions}
    line = (
        f"{count:,} embeddings of {dimensions} dimensions in {path} "
        f"({count / seconds:.1f} recordings/s, reading included)"
    )
    show({**record, "wall_s": seconds, **about}, [line], json)
