"""Picture of tagging scores: average precision of every tag, and how often it occurs."""

from collections.abc import Mapping

from .common import BLUE, GREY, new_figure


def tag_bars(per_tag: Mapping[str, Mapping], title: str = "Tags"):
    """Draw a bar per tag, the best at the top; a tag without a score has none.

    Arguments
    ---------
    per_tag : {"average_precision", "support"} by tag.
    title : what was scored.

    Returns
    -------
    The figure, for `save_figure`.
    """
    ordered = sorted(per_tag.items(), key=lambda item: item[1]["average_precision"] or 0.0)
    figure = new_figure(7.2, 1.6 + 0.26 * len(ordered))
    axes = figure.add_subplot()
    places = range(len(ordered))
    axes.barh(places, [row["average_precision"] or 0.0 for _, row in ordered], color=BLUE)
    axes.set_yticks(places, [name for name, _ in ordered])
    for place, (_, row) in zip(places, ordered, strict=True):
        score = row["average_precision"]
        text = "not defined" if score is None else f"{score:.2f}"
        axes.text(1.01, place, f"{text}, {row['support']} items", va="center", color=GREY)
    axes.set_xlim(0.0, 1.3)
    axes.set_xlabel("average precision")
    axes.set_title(title)
    return figure
