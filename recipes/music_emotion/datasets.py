"""Read whichever data set of music emotion a folder holds."""

from ..training.preparation import PreparationError
from . import deam, emomusic, pmemo
from .corpus import Tree
from .protocols import PROTOCOLS

_READERS = {"DEAM": deam, "EmoMusic": emomusic, "PMEmo": pmemo}


def read_corpus(data_folder, dataset=None):
    """Read the tables of a data folder, and list its audio; nothing is decoded.

    Arguments
    ---------
    data_folder : str or Path
        A folder somewhere above the tables.
    dataset : "DEAM", "EmoMusic" or "PMEmo", optional
        What it must hold; None takes whichever it holds.

    Returns
    -------
    Corpus

    Raises
    ------
    PreparationError
        The folder holds none of them, another one, several, or tables without their columns.
    """
    tree = Tree(data_folder)
    held = [name for name, module in _READERS.items() if module.holds(tree)]
    if len(held) > 1:
        raise PreparationError(f"{data_folder} holds {' and '.join(held)}; name the folder of one")
    if held and dataset not in (None, held[0]):
        fitting = [name for name, known in PROTOCOLS.items() if known.dataset == held[0]]
        raise PreparationError(
            f"data folder {data_folder} holds {held[0]}, not {dataset}: choose --protocol "
            + " or ".join(fitting)
        )
    if not held:
        raise PreparationError(
            f"data folder {data_folder} holds none of the data sets"
            + (f", not {dataset}" if dataset else "")
            + ". DEAM is known by static_annotations_averaged_songs_1_2000.csv, EmoMusic by "
            "songs_info.csv and static_annotations.csv, PMEmo by metadata.csv and "
            "static_annotations.csv, in any folder below it."
        )
    return _READERS[held[0]].read(tree)
