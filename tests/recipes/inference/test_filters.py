"""`auricle filters`: the table and the picture say what training did to the filters."""

import math

import pytest
import torch
from random_bundle import random_bundle

from auricle.lobes import FRONTENDS, build_frontend
from auricle.lobes.bundles import bundle as pretrained
from auricle.processing.filterbank.displacement import displacement
from auricle.recipes.inference import filters

PNG = b"\x89PNG\r\n\x1a\n"
RANDOM = '''
import torch
from auricle.lobes import register_frontend
from auricle.lobes.contracts import Frontend
from auricle.processing.filterbank.responses import from_responses

@register_frontend("dice")
class Dice(Frontend):
    """Filters wherever chance puts them."""
    def __init__(self, sample_rate=16000):
        super().__init__(sample_rate, 160, 160, 2)
        self.basis = torch.nn.Parameter(torch.rand(2, 9))
    def filters(self):
        return from_responses(self.basis, torch.linspace(0, self.sample_rate / 2, 9))
    def forward(self, wavs, lengths=None):
        return wavs.new_zeros(wavs.shape[0], self.num_frames(wavs.shape[1]), 2)
'''


@pytest.fixture
def auricle(auricle, tmp_path, monkeypatch):
    """The command `filters` in an empty folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    auricle.first = ("filters",)
    return auricle


def save(folder, frontend, name, options, rate=16000):
    """A bundle with this frontend, and the least that goes with it."""
    return random_bundle(
        folder,
        name,
        sample_rate=rate,
        frontend_options=options,
        change=lambda model: model.compute_features.load_state_dict(frontend.state_dict()),
    )


def leaf(shift_hz=0.0, rate=8000, **options):
    frontend = build_frontend("leaf", rate, {"leaf": options})
    with torch.no_grad():
        frontend.centre += shift_hz * 2 * math.pi / rate
    return frontend


@pytest.fixture
def trained(tmp_path):
    """A LEAF of 12 filters at 8 kHz, each 5 Hz above where it began, in a run's folder."""
    options = {"num_features": 12}
    return save(tmp_path / "run" / "bundle", leaf(5, **options), "leaf", options, 8000)


@pytest.mark.slow
def test_a_bundle_is_compared_with_its_own_beginning(auricle, trained, tmp_path):
    """Its options and its rate are its own: 12 filters at 8 kHz."""
    found = auricle.json(trained, "--out", tmp_path / "pictures")
    assert (found["frontend"], found["sample_rate"]) == ("leaf", 8000)
    begin = build_frontend("leaf", 8000, {"leaf": {"num_features": 12}}).filters()
    assert found["before"]["centre_hz"] == begin.centre_hz.tolist()
    shifts = torch.tensor(found["after"]["centre_hz"]) - torch.tensor(found["before"]["centre_hz"])
    torch.testing.assert_close(shifts, torch.full((12,), 5.0), rtol=1e-4, atol=0)
    moved = found["displacement"]
    after = pretrained.load(trained).compute_features.filters()
    assert moved == displacement(begin, after)
    assert moved["count"] == 12 and moved["centre_shift_hz"] == pytest.approx(5, rel=1e-4)
    assert found["per_filter"]["bandwidth_shift_hz"] == [0.0] * 12
    (picture,) = found["pictures"]
    assert picture == str(tmp_path / "pictures" / "filters_leaf.png")
    assert (tmp_path / "pictures" / "filters_leaf.png").read_bytes().startswith(PNG)


@pytest.mark.slow
def test_the_table_has_a_line_per_filter_and_the_means(auricle, trained, tmp_path):
    status, text, _ = auricle(trained.parent)  # a run's folder will do
    lines = text.splitlines()
    assert status == 0 and lines[0].startswith(
        "leaf, 12 filters at 8,000 Hz; before: before training"
    )
    rows = [line.split() for line in lines if line.strip()[:1].isdigit()]
    assert [row[0] for row in rows] == [str(k) for k in range(1, 13)]
    for row in rows:
        assert float(row[2]) - float(row[1]) == pytest.approx(5, abs=0.11)
        assert row[3] == row[4] and row[5] == "+5.0" and 0 < float(row[7]) < 1
    assert "  centre      5.00 Hz (5.00), 0." in text and "  bandwidth   0.00 Hz (0.00)" in text
    assert lines[-1] == "Picture: filters_leaf.png"
    assert (tmp_path / "here" / "filters_leaf.png").read_bytes().startswith(PNG)


@pytest.mark.slow
def test_two_bundles_are_compared_with_each_other(auricle, trained, tmp_path):
    other = save(tmp_path / "b", leaf(-2, num_features=12), "leaf", {"num_features": 12}, 8000)
    found = auricle.json(trained, "--against", other)
    assert found["displacement"]["centre_shift_hz"] == pytest.approx(7, rel=1e-4)
    assert found["before"]["what"] == f"of {other}" and found["after"]["what"] == f"of {trained}"
    assert found["per_filter"]["centre_shift_hz"][0] > 0


@pytest.mark.slow
def test_a_bundle_that_did_not_learn_says_so(auricle, tmp_path):
    folder = save(tmp_path / "same", leaf(num_features=12), "leaf", {"num_features": 12}, 8000)
    assert "No filter moved at all." in auricle.output(folder)
    little = leaf(1e-3, num_features=12)
    folder = save(tmp_path / "little", little, "leaf", {"num_features": 12}, 8000)
    assert "where they were" in auricle(folder)[1]


@pytest.mark.slow
def test_a_name_shows_its_initial_filters(auricle):
    found = auricle.json("leaf", "--options", '{"num_features": 9}')
    assert len(found["before"]["centre_hz"]) == 9
    assert found["after"] is found["displacement"] is found["per_filter"] is None
    assert "initial filters" in found["remark"]
    text = auricle.output("leaf")
    assert "initial filters" in text and "moved" not in text
    assert sum(line.strip()[:1].isdigit() for line in text.splitlines()) == 40


@pytest.mark.slow
def test_a_fixed_frontend_says_that_it_is(auricle, tmp_path):
    folder = save(tmp_path / "mel", build_frontend("mel"), "mel", {})
    for what in ("mel", folder):
        assert "mel is a fixed" in auricle.output(what)


@pytest.mark.slow
def test_filters_that_were_drawn_at_random_are_not_passed_off_as_the_runs_own(auricle, tmp_path):
    plugin = tmp_path / "dice.py"
    plugin.write_text(RANDOM)
    try:
        assert auricle("dice", "--plugin", plugin)[0] == 0
        folder = save(tmp_path / "random", build_frontend("dice"), "dice", {})
        text = auricle.output(folder)
        assert "drawn at random" in text and "results.json" in text
    finally:
        FRONTENDS.forget("dice")
    assert "--plugin FILE.py" in auricle.refusal(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["waveform"], "waveform"),
        (["lef"], "did you mean 'leaf'?"),
        (["leaf", "--against", "nowhere"], "nowhere"),
        (["leaf", "--options", '{"num_feature": 9}'], "num_features"),
        (["leaf", "--options", '{"num_features": 9}', "--against", "leaf"], "40 filters cannot"),
        (["BUNDLE", "--options", "{}", "--against", "leaf"], "8000 Hz, leaf for 16000 Hz"),
        (["BUNDLE", "--options", '{"num_features": 9}'], "--options"),
        (["."], "bundle.json"),
    ],
)
def test_wrong_input_ends_with_status_2_and_no_picture(auricle, trained, tmp_path, words, said):
    words = [str(trained) if word == "BUNDLE" else word for word in words]
    assert said in auricle.refusal(*words)
    assert not list((tmp_path / "here").iterdir())


@pytest.mark.slow
def test_every_frontend_with_filters_can_be_shown():
    shown = [name for name in FRONTENDS.names() if hasattr(FRONTENDS.get(name), "filters")]
    assert {"leaf", "mel"} <= set(shown)
    for name in shown:
        found = filters.compare(name)
        assert len(found.before) > 0 and found.after is None
