"""A name and keyed options in, a lobe or one complete error out."""

import pytest
import torch
from refusals import refused

from auricle.lobes import (
    ENCODERS,
    FRONTENDS,
    build_encoder,
    build_frontend,
    build_normalization,
    count_frames,
)
from auricle.lobes.build import option_problems, options_of
from auricle.lobes.contracts import Encoder, Frontend
from auricle.lobes.layers.normalization import KINDS
from auricle.lobes.registry import LobeError


class Probe(Frontend):
    """A frontend that shows what it was given."""

    normalization = "none"

    def __init__(self, sample_rate=16000, num_features=3, *, window_ms=25.0):
        super().__init__(sample_rate, hop=160, window=401, num_features=num_features)
        self.window_ms = window_ms


class OtherProbe(Probe):
    """Another one, with other options."""

    def __init__(self, sample_rate=16000, order=2):
        super().__init__(sample_rate)
        self.order = order


class Grid(Encoder):
    """An encoder for one clip length and multiples of eight features."""

    needs_in_frames = True

    def __init__(self, in_features, in_frames, patch=8):
        super().__init__(in_features, 4, "utterance")
        self.in_frames, self.patch = in_frames, patch

    @classmethod
    def unfit(cls, in_features, in_frames, patch=8):
        if in_features % patch:
            return f"it cuts patches of {patch} features."
        return None


class Anything(Encoder):
    """An encoder that takes everything."""

    def __init__(self, in_features, width=4):
        super().__init__(in_features, width, "frames")


@pytest.fixture(autouse=True)
def probes():
    lobes = {
        FRONTENDS: {"probe": Probe, "other_probe": OtherProbe},
        ENCODERS: {"grid": Grid, "anything": Anything},
    }
    for registry, classes in lobes.items():
        for name, cls in classes.items():
            registry.register(name, cls)
    yield
    for registry, classes in lobes.items():
        for name in classes:
            registry.forget(name)


def test_options_are_keyed_by_lobe_and_reach_only_theirs():
    options = {"probe": {"num_features": 7, "window_ms": 10.0}, "other_probe": {"order": 5}}
    built = build_frontend("probe", 8000, options)
    assert (built.sample_rate, built.num_features, built.window_ms) == (8000, 7, 10.0)
    assert build_frontend("other_probe", options=options).order == 5
    assert options == {"probe": {"num_features": 7, "window_ms": 10.0}, "other_probe": {"order": 5}}


@pytest.mark.parametrize("options", [None, {}, {"probe": None}, {"probe": {}}])
def test_no_options_are_the_defaults(options):
    assert build_frontend("probe", options=options).num_features == 3


def test_options_of_hides_what_the_builder_sets():
    assert list(options_of(FRONTENDS, "probe")) == ["num_features", "window_ms"]
    assert options_of(FRONTENDS, "probe")["window_ms"].default == 25.0
    assert list(options_of(ENCODERS, "grid")) == ["patch"]


def test_every_option_error_comes_at_once_with_the_nearest_name():
    options = {
        "probe": {"num_feature": 3, "window": 1},
        "other_probe": {"ordr": 1},
        "prbe": {"x": 1},
    }
    with pytest.raises(LobeError) as caught:
        build_frontend("probe", options=options)
    lines = str(caught.value).split("\n")
    assert len(lines) == 4
    text = str(caught.value)
    assert "frontend_options.probe.num_feature: probe has no option" in text
    assert "did you mean 'num_features'?" in text and "did you mean 'window_ms'?" in text
    assert "frontend_options.other_probe.ordr" in text and "did you mean 'order'?" in text
    assert "no frontend is called 'prbe'; did you mean 'probe'?" in text


@pytest.mark.parametrize("kind", ["frontend", "encoder"])
def test_an_unknown_name_does_not_hide_the_option_errors(kind):
    build = (
        build_frontend if kind == "frontend" else lambda n, options: build_encoder(n, 8, 8, options)
    )
    known = "probe" if kind == "frontend" else "grid"
    with pytest.raises(LobeError) as caught:
        build(known + "x", options={known: {"no_such": 1}})
    assert f"did you mean {known!r}" in str(caught.value)
    assert f"{kind}_options.{known}.no_such" in str(caught.value)


@pytest.mark.parametrize(
    ("registry", "lobe", "key"),
    [
        (FRONTENDS, "probe", "sample_rate"),
        (ENCODERS, "grid", "in_features"),
        (ENCODERS, "grid", "in_frames"),
    ],
)
def test_reserved_options_are_refused(registry, lobe, key):
    (problem,) = option_problems(registry, lobe, {lobe: {key: 1}})
    assert problem.startswith(f"{registry.kind}_options.{lobe}.{key}: ")
    assert "set by the YAML as a whole" in problem


@pytest.mark.parametrize(
    "options", [["probe"], "probe", 3, {"probe": ["num_features"]}, {"probe": "x"}, {"probe": 64}]
)
def test_options_of_the_wrong_shape_are_one_clear_error(options):
    refused("must map .* got", build_frontend, "probe", options=options, error=LobeError)


def test_flat_options_say_that_options_are_keyed():
    with pytest.raises(LobeError, match=r"keyed by lobe: frontend_options: \{probe: \{\.\.\.\}\}"):
        build_frontend("probe", options={"num_features": 64})


def test_unknown_names():
    refused("did you mean 'probe'", build_frontend, "prob", error=LobeError)
    refused("did you mean 'grid'", build_encoder, "gird", 8, error=LobeError)


def test_encoder_gets_in_frames_only_if_it_needs_them():
    grid = build_encoder("grid", 16, 101, {"grid": {"patch": 4}})
    assert (grid.in_features, grid.in_frames, grid.patch) == (16, 101, 4)
    assert build_encoder("anything", 16, 101, {"anything": {"width": 9}}).out_features == 9


def test_misfit_names_the_size_the_reason_and_the_encoders_that_fit():
    with pytest.raises(LobeError) as caught:
        build_encoder("grid", 41, 101)
    text = str(caught.value)
    assert "encoder 'grid' does not fit 41 features x 101 frames" in text
    assert "it cuts patches of 8 features." in text
    fit = text.split("Encoders that fit: ")[1].split(", ")
    assert "anything" in fit and "grid" not in fit and "linear" in fit


def test_misfit_asks_with_the_given_options():
    assert build_encoder("grid", 41, 101, {"grid": {"patch": 41}}).patch == 41
    with pytest.raises(LobeError, match="patches of 3") as caught:
        build_encoder("grid", 40, 101, {"grid": {"patch": 3}})
    assert "grid" not in str(caught.value).split("Encoders that fit: ")[1].split(", ")


@pytest.mark.parametrize("in_frames", [None, 0])
def test_encoder_for_one_length_refuses_clips_of_any_length(in_frames):
    with pytest.raises(LobeError, match="clip_s.*Encoders that fit: .*anything"):
        build_encoder("grid", 40, in_frames)


def test_count_frames():
    assert count_frames(Probe(16000), 1.0) == 100
    assert count_frames(Probe(16000), 1.001) == 101
    assert count_frames(Probe(16000), None) is None
    assert count_frames(Probe(16000), 0) is None


def test_normalization_kinds_and_the_recommendation():
    for kind, cls in KINDS.items():
        assert type(build_normalization(kind, Probe())) is cls
    assert type(build_normalization("auto", Probe())) is KINDS["none"]
    assert build_normalization("global", Probe(num_features=6)).mean.shape == (6,)
    assert type(build_normalization("sentence")) is KINDS["sentence"]


def test_normalization_errors():
    with pytest.raises(LobeError, match="one of auto, none, .*'sentense'.*mean 'sentence'"):
        build_normalization("sentense")
    refused("give build_normalization one", build_normalization, "auto", error=LobeError)
    refused("number of features", build_normalization, "global", error=LobeError)


@pytest.mark.parametrize("name", FRONTENDS.names())
def test_every_frontend_recommends_a_normalization_that_can_be_built(name):
    frontend = build_frontend(name)
    feats = torch.randn(2, 9, frontend.num_features)
    assert (
        build_normalization("auto", frontend)(feats, torch.tensor([1.0, 0.5])).shape == feats.shape
    )
