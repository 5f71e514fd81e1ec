"""What must hold before a manifest of songs is written, and what is said if it does not."""

import math

from ...processing.data.manifest import SPLITS
from ...processing.scoring.regression.scales import LABEL_STEP_S
from ..training.preparation import PreparationError


def count_splits(rows):
    """{split: {"songs", "artists", "hours", "dynamic_labels"}}; an empty split is an error.

    Raises
    ------
    PreparationError
    """
    counts = {}
    for split in SPLITS:
        its = [row for row in rows if row["split"] == split]
        counts[split] = {
            "songs": len(its),
            "artists": len({row["speaker"] for row in its if row["speaker"]}),
            "hours": round(sum(row["duration_s"] for row in its) / 3600, 4),
            "dynamic_labels": sum(
                text != "nan" for row in its for text in row["dynamic_valence"].split()
            ),
        }
    empty = [split for split, numbers in counts.items() if not numbers["songs"]]
    if empty:
        raise PreparationError(
            f"no song is left for {' and '.join(empty)}: nothing can be trained and scored without"
        )
    return counts


def labels_in_window(song, start_s, end_s):
    """Dynamic labels of a song from start_s to before end_s, as columns of the manifest.

    The grid is 2 Hz from the first label that both dimensions have to the last; a gap is "nan".
    """
    series = [song.dynamic.get(name) or {} for name in ("valence", "arousal")]
    times = [t for t in series[0] if t in series[1] and start_s - 1e-6 <= t < end_s - 1e-6]
    columns = {"dynamic_valence": "", "dynamic_arousal": "", "dynamic_start_s": ""}
    if not times:
        return columns
    first = min(times)
    grid = [
        first + LABEL_STEP_S * i
        for i in range(math.floor((max(times) - first) / LABEL_STEP_S + 1.5))
    ]
    for name, values in zip(("valence", "arousal"), series, strict=True):
        columns[f"dynamic_{name}"] = " ".join(f"{values.get(t, math.nan):.6g}" for t in grid)
    return columns | {"dynamic_start_s": f"{max(0.0, first - start_s):.6g}"}
