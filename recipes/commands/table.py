"""`auricle table`: Markdown tables of results files."""


def run(
    paths: list[str],
    /,
    *,
    readme: str | None = None,
    check: bool = False,
    columns: list[str] | None = None,
    bench: str | None = None,
) -> None:
    """Make tables of results.json files, one per protocol and data set.

    Arguments
    ---------
    paths : PATH
        results.json files or folders.
    readme : FILE
        Write the tables between the markers of this file.
    check
        With --readme: fail if it would change.
    columns : NAME,NAME
        scores, centre_shift_hz, centre_shift_erb, bandwidth_shift_hz, divergence, forward,
        forward_backward, embeddings_per_s_1, embeddings_per_s_2, interval, seeds,
        frontend_parameters, parameters, epochs, wall_s, epoch_s, songs_per_s, peak_memory (empty
        columns are left out).
    bench : FILE.json
        Speeds, by tests/bench/frontends.py and its like.
    """
    from ..reports import columns as known
    from ..reports import tables
    from ..reports.results import load_results

    if check and not readme:
        raise ValueError("--check compares the tables with a file: give --readme FILE too")
    names = known.COLUMNS if columns is None else [c.strip() for c in columns if c.strip()]
    speeds = known.load_bench(bench) if bench else None
    if readme:
        changed = tables.update_readme(readme, paths, check=check, columns=names, bench=speeds)
        print(f"{readme}: {'updated' if changed else 'up to date'}")
    else:
        print(tables.markdown_tables(load_results(paths), names, bench=speeds))
