"""`auricle embed`: embeddings of recordings, in a file."""

from __future__ import annotations

import json
import time

from .common import add_command, spellings
from .trial_options import add_crop_options

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
    embed.add_argument(
        *spellings("--data-folder"), required=True, metavar="FOLDER", help="where the audio is"
    )
    embed.add_argument("--trials", metavar="FILE", help="embed the recordings of this trial list")
    embed.add_argument("--list", metavar="FILE", help="embed those named here, one to a line")
    embed.add_argument(
        "--out", required=True, metavar="FILE", help=".safetensors or .npz; has names and vectors"
    )
    add_crop_options(embed)
    embed.add_argument("--json", action="store_true", help="print JSON")


def run(arguments) -> int:
    """Embed, write, say how many and how fast."""
    from ...processing.scoring.verification.embedding_files import SUFFIXES, write_embeddings
    from ...processing.scoring.verification.trials import read_trials
    from ..inference.name_lists import read_names
    from ..inference.trial_scoring import embed_names

    given = [bool(arguments.files), bool(arguments.trials), bool(arguments.list)]
    if sum(given) != 1:
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
    embeddings, about = embed_names(
        arguments.bundle,
        arguments.data_folder,
        names,
        crops=arguments.crops,
        crop_s=arguments.crop_s,
    )
    seconds = time.perf_counter() - begin
    path = write_embeddings(arguments.out, embeddings, about)
    dimensions = embeddings.vectors.shape[1]
    if arguments.json:
        facts = {"recordings": len(embeddings), "dimensions": dimensions, "wall_s": seconds}
        print(json.dumps({"file": str(path), **facts, **about}, indent=2))
        return 0
    print(
        f"{len(embeddings):,} embeddings of {dimensions} dimensions in {path} "
        f"({len(embeddings) / seconds:.1f} recordings/s, reading included)"
    )
    return 0
