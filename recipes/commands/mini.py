"""`auricle mini`: a small synthetic corpus in a data set's own layout."""

from pathlib import Path

from ...processing.data.mini import write_mini


def run(corpus: str, folder: str, /, *, size: str = "tiny", seed: int = 0) -> None:
    """Write a small synthetic corpus in a data set's own layout.

    Arguments
    ---------
    corpus
        speech_commands, voxceleb, timit, music_emotion, own_sounds, or keyword_recordings: long
        recordings with keywords at known times (events.csv), for `auricle evaluate --events`.
    folder
        Where to; must not hold anything yet.
    size
        tiny or small.
    seed
        Of the generator.
    """
    written = write_mini(corpus, Path(folder), size=size, seed=seed)
    print(f"mini {corpus} ({size}) is in {written}")
