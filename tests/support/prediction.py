"""`auricle predict` of any task on good and bad recordings at once."""

import numpy as np
import soundfile


def predicts_past_bad_files(auricle, bundle, good):
    """Good recordings get their line each, and what is no recording a complaint each."""
    folder = good[0].parent
    text, empty, nan = (folder / name for name in ("text.mp3", "empty.wav", "nan.wav"))
    text.write_text("no audio")
    empty.touch()
    soundfile.write(nan, np.full(8000, np.nan), 16000, subtype="FLOAT")
    bad = [folder / "missing.mp3", text, empty, nan, folder]
    status, printed, errors = auricle("predict", bundle, good[0], *bad, *good[1:])
    assert status == 2
    assert [line.split("\t")[0] for line in printed.splitlines()] == [str(file) for file in good]
    for file, line in zip(bad, errors.splitlines(), strict=True):
        assert line.startswith("auricle: ") and str(file) in line
