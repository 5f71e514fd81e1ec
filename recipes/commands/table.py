"""Parser of `auricle table`: Markdown tables of results files."""

from __future__ import annotations

from .common import add_command

__all__ = ["add_parser", "run"]


def add_parser(commands) -> None:
    """Add the command."""
    table = add_command(
        commands, "table", run, "tables of results.json files, one per protocol and data set"
    )
    table.add_argument("paths", nargs="+", metavar="PATH", help="results.json files or folders")
    table.add_argument("--readme", help="write the tables between the markers of this file")
    table.add_argument(
        "--check", action="store_true", help="with --readme: fail if it would change"
    )
    table.add_argument(
        "--columns",
        help="comma-separated: scores, centre_shift_hz, centre_shift_erb, bandwidth_shift_hz, "
        "divergence, forward, forward_backward, embeddings_per_s_1, embeddings_per_s_2, interval, "
        "seeds, frontend_parameters, parameters, epochs, wall_s, epoch_s, songs_per_s, "
        "peak_memory (empty columns are left out)",
    )
    table.add_argument(
        "--bench", metavar="FILE.json", help="speeds, by tests/bench/frontends.py and its like"
    )


def run(arguments) -> int:
    """Print the tables, or write them between the markers of a README."""
    from ..reports import columns as known
    from ..reports import tables

    if arguments.check and not arguments.readme:
        raise ValueError("--check compares the tables with a file: give --readme FILE too")
    columns = known.COLUMNS
    if arguments.columns is not None:
        columns = [name.strip() for name in arguments.columns.split(",") if name.strip()]
    bench = known.load_bench(arguments.bench) if arguments.bench else None
    if arguments.readme:
        changed = tables.update_readme(
            arguments.readme, arguments.paths, check=arguments.check, columns=columns, bench=bench
        )
        print(f"{arguments.readme}: {'updated' if changed else 'up to date'}")
        return 0
    from ..reports.results import load_results

    print(tables.markdown_tables(load_results(arguments.paths), columns, bench=bench))
    return 0
