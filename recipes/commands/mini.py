"""`auricle mini`: a small synthetic corpus in a data set's own layout."""

from pathlib import Path

from ...processing.data.mini import write_mini


def run(corpus: str, folder: str, /, *, size: str = "tiny", seed: int = 0) -> None:
    """Write a small synthetic corpus in a data set's own layout.

    Arguments
    ---------
    corpus
        speech_commands, voxceleb, timit, music_emotion or own_sounds.
    folder
        Where to; must not hold anything yet.
    size
        tiny or small.
    seed
        Of the generator.
    """
    written = write_mini(corpus, Path(folder), size=size, seed=seed)
    print(f"mini {corpus} ({size}) is in {written}")
