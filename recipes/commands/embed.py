"""Parser of `auricle embed`: embeddings of recordings, in a file."""

from __future__ import annotations

import time

from .common import add_command, add_shared

__all__ = ["add_parser", "run"]


def add_parser(commands) -> None:
    """Add the command."""
    embed = add_command(commands, "embed", run, "write the embeddings of recordings to a file")
    embed.add_argument("bundle", metavar="BUNDLE", help="trained for speaker verification")
    # With "*", argparse would take it for given, and empty, as soon as it has seen the bundle.
    files = embed.add_argument(
        "files", nargs="+", metavar="NAME", default=[], help="recordings, as in --data-folder"
    )
    files.required = False
    trials = {"help": "embed the recordings of this trial list"}
    add_shared(embed, "data_folder", "trials", trials=trials)
    embed.add_argument("--list", metavar="FILE", help="embed those named here, one to a line")
    embed.add_argument(
        "--out", required=True, metavar="FILE", help=".safetensors or .npz; has names and vectors"
    )
    add_shared(embed, "crops", "crop_s", "json")


def run(arguments) -> int:
    """Embed, write, say how many and how fast."""
    from ...processing.scoring.verification.embedding_files import SUFFIXES, write_embeddings
    from ...processing.scoring.verification.trials import read_trials
    from ..inference.input_files import read_names
    from ..inference.trial_scoring import embedder
    from ..reports.printing import show

    forms = [bool(arguments.files), bool(arguments.trials), bool(arguments.list)]
    if sum(forms) != 1:
        arguments.usage_error(
            "say what to embed by one of: names of recordings, --trials FILE, --list FILE"
        )
    if not arguments.out.endswith(SUFFIXES):
        arguments.usage_error(f"--out {arguments.out}: the file ends in {' or '.join(SUFFIXES)}")
    names = arguments.files
    if arguments.trials:
        names = list(read_trials(arguments.trials).names)
    elif arguments.list:
        names = read_names(arguments.list)
    begin = time.perf_counter()
    embed = embedder(
        arguments.bundle, arguments.data_folder, arguments.crops, arguments.crop_s, progress=True
    )
    embeddings, about = embed(names)
    seconds = time.perf_counter() - begin
    path = write_embeddings(arguments.out, embeddings, about)
    count, dimensions = len(embeddings), embeddings.vectors.shape[1]
    record = {"file": str(path), "recordings": count, "dimensions": dimensions}
    line = (
        f"{count:,} embeddings of {dimensions} dimensions in {path} "
        f"({count / seconds:.1f} recordings/s, reading included)"
    )
    show({**record, "wall_s": seconds, **about}, [line], arguments.json)
    return 0
