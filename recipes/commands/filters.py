"""`auricle filters`: the filters of a frontend, and how far training moved them."""

from pathlib import Path

from ..reports.printing import show


def run(
    what: str,
    /,
    *,
    against: str | None = None,
    out: str = ".",
    options: dict | None = None,
    json: bool = False,
) -> None:
    """Show the filters of a frontend, and how far training moved them.

    Arguments
    ---------
    what : BUNDLE_OR_NAME
        A bundle, or a frontend's name.
    against : BUNDLE
        Compare with this one, not with its own beginning.
    out : FOLDER
        Where the picture goes.
    options
        A named frontend's options as JSON: {"window_ms": 30}.
    json
        Print JSON.
    """
    from ...processing.filterbank.displacement import displacement, per_filter
    from ...processing.plots.common import save_figure
    from ...processing.plots.filters import learned_filters
    from ..inference.filters import bank_record, compare, folder_name, summary, table

    banks = compare(what, against, options)
    before, after, names = banks.before, banks.after, banks.names
    moved = None if after is None else displacement(before, after)
    each = None if after is None else per_filter(before, after)
    called = folder_name(what) if banks.name != what else ""
    title = f"{banks.name}, {len(before)} filters at {banks.sample_rate:,} Hz"
    figure = learned_filters(before, after, f"{title} ({called})" if called else title, names)
    picture = save_figure(figure, Path(out) / f"filters_{banks.name}.png")
    record = {
        "frontend": banks.name,
        "sample_rate": banks.sample_rate,
        "remark": banks.remark,
        "before": bank_record(before, names[0]),
        "after": after and bank_record(after, names[1]),
        "displacement": moved,
        "per_filter": each and {key: value.tolist() for key, value in each.items()},
        "pictures": [str(picture)],
    }
    if after is not None:
        title += f"; before: {names[0]}, after: {names[1]}"
    lines = [title, *table(before, after, each), *summary(banks.remark, moved)]
    show(record, [*lines, f"Picture: {picture}"], json)
