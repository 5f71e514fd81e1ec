"""What all pictures share: figures that need no display, colours, writing as a PNG file.

matplotlib is imported when a picture is drawn, not when the package is; the figures belong to no
window system and to no global state, so they can be drawn from any process.
"""

import os
from pathlib import Path

from ..system.files import replacing

#: Colours that stay apart with colour-blindness and in grey (Okabe and Ito, 2008).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
BLUE, ORANGE, GREY = *COLOURS[:2], "#8A8A8A"
_DPI = 140


def new_figure(width_inches: float, height_inches: float):
    """An empty figure that needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_inches, height_inches), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def without_formulas(figure):
    """The figure, with its text as it is: a `$` in the name of a file or a class begins no formula."""
    from matplotlib.text import Text
    from matplotlib.ticker import FixedFormatter, FuncFormatter

    axes = [axis for plane in figure.axes for axis in (plane.xaxis, plane.yaxis)]
    numbers = {
        label  # powers of ten are formulas
        for axis in axes
        if not isinstance(axis.get_major_formatter(), (FixedFormatter, FuncFormatter))
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        for label in (tick.label1, tick.label2, axis.get_offset_text())
    }
    for text in set(figure.findobj(Text)) - numbers:
        text.set_parse_math(False)
    return figure


def save_figure(figure, path: str | os.PathLike) -> Path:
    """Write a PNG file, in a folder that is made where it is missing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        without_formulas(figure).savefig(part, format="png")
    return path
