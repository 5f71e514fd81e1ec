"""The mini keyword recordings have each command where their table says, and repeat their bytes."""

import numpy as np
import pytest
import soundfile

from auricle.processing.data import mini
from auricle.processing.data.mini import keyword_recordings, speech_commands
from auricle.recipes.inference.listen import read_events

FEW = keyword_recordings.Size(6, 6.0)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keywords")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(keyword_recordings.SIZES, "tiny", FEW)
        patch.setattr(keyword_recordings, "_BABBLE_S", 3)
        patch.setattr(keyword_recordings, "_SNR_DB", (30.0, 30.0))
        for name in ("first", "again"):
            mini.write_mini("keyword_recordings", folder / name, "tiny", seed=1)
    return folder


@pytest.mark.slow
def test_commands_are_where_the_table_says(corpus):
    folder = corpus / "first"
    events = read_events(folder / "events.csv", speech_commands.COMMANDS)
    assert len(events) == 6 and events["recording_005.wav"] == []
    assert sum(map(len, events.values())) == mini.mini_info(folder)["events"] > 3
    for name, of_file in events.items():
        wav, rate = soundfile.read(folder / name)
        assert len(wav) == 6 * rate and rate == 16000 and np.abs(wav).max() < 1
        for start_s, end_s, _ in of_file:
            said = wav[round(rate * start_s) : round(rate * end_s)]
            before = wav[round(rate * (start_s - 0.3)) : round(rate * (start_s - 0.05))]
            assert 0.1 < end_s - start_s < 1.0
            assert np.std(said) > 4 * np.std(before)
    silent = soundfile.read(folder / "recording_005.wav")[0]
    assert 1e-4 < np.std(silent) < 0.1


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(corpus):
    first, again = (
        {p.name: p.read_bytes() for p in (corpus / n).iterdir()} for n in ("first", "again")
    )
    assert first == again
