"""Every option of every frontend refuses nonsense by name when built; every clip has a rule."""

import inspect
import math

import pytest
import torch
from refusals import refused

from auricle.lobes import FRONTENDS, build_frontend
from auricle.lobes.contracts import check_batch
from auricle.lobes.options import choice, flag, frequency_range, number, whole

#: For speed, and so that an option can be changed alone.
OPTIONS = {
    "cqt": {"num_features": 24, "min_freq_hz": 200.0},
    "wav2vec_conv": {"channels": 8},
}
#: Of no type that any option has.
NONSENSE = ("nonsense", [], {"a": 1}, float("nan"), -math.inf)
#: Options of another frontend by name: {} is none of them.
NESTED = {"mel"}


def options_of(name):
    parameters = inspect.signature(FRONTENDS.get(name).__init__).parameters
    return {key: value.default for key, value in parameters.items() if key != "self"}


CASES = [(name, option) for name in FRONTENDS.names() for option in options_of(name)]


@pytest.mark.parametrize(("name", "option"), CASES, ids=[f"{n}-{o}" for n, o in CASES])
def test_nonsense_is_refused_by_name(name, option):
    default = options_of(name)[option]
    values = [value for value in NONSENSE if not (option in NESTED and value == {"a": 1})]
    if default is not None:
        values.append(None)
        values += [] if isinstance(default, bool) else [True]
    if isinstance(default, bool):
        values += ["no", 1, 0]
    for value in values:
        if name == "mel" and value is None:  # the convention's
            continue
        if (name, option, value) == ("fastaudio", "top_db", None):
            continue
        if option == "n_fft" and value is None:
            continue
        given = {"sample_rate": 16000, **OPTIONS.get(name, {}), option: value}
        refused(option, FRONTENDS.get(name), **given)


@pytest.mark.parametrize("sample_rate", [0, -16000, 16000.5, "16000", None, math.nan])
@pytest.mark.parametrize("name", FRONTENDS.names())
def test_a_wrong_sample_rate_is_named(name, sample_rate):
    refused("sample_rate", build_frontend, name, sample_rate, {name: OPTIONS.get(name, {})})


@pytest.mark.slow
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("num_samples", [1, 100])
@pytest.mark.parametrize("name", FRONTENDS.names())
def test_clips_shorter_than_a_window_and_items_without_samples(name, num_samples, train):
    torch.manual_seed(0)
    lobe = build_frontend(name, options={name: OPTIONS.get(name, {})}).train(train)
    before = {key: value.clone() for key, value in lobe.named_buffers()}
    wavs = 0.1 * torch.randn(2, num_samples)
    for lengths in (None, torch.tensor([1.0, 0.0]), torch.zeros(2)):
        out = lobe(wavs, lengths)
        assert out.shape == (2, lobe.num_frames(num_samples), lobe.num_features)
        assert out.isfinite().all()
    for key, value in lobe.named_buffers():
        assert value.isfinite().all()
        if not train:
            assert value.equal(before[key])


@pytest.mark.parametrize("name", FRONTENDS.names())
def test_what_is_no_batch_of_clips_is_refused(name):
    lobe = build_frontend(name, options={name: OPTIONS.get(name, {})})
    refused(r"wavs must be \(B, T\).*\(800,\)", lobe, torch.zeros(800))
    refused(r"at least one sample.*\(2, 0\)", lobe, torch.zeros(2, 0), torch.zeros(2))
    refused(r"lengths .*\(2,\).*\(3,\)", lobe, torch.zeros(2, 800), torch.ones(3))


@pytest.mark.parametrize(
    "check, says",
    [
        (lambda: number("x_hz", 5, above=5), "x_hz must be a finite number above 5, got 5"),
        (lambda: number("x", 2, 0, 1), "at least 0 and at most 1, got 2"),
        (lambda: number("x", "1e-6"), "x must be a finite number, got '1e-6'"),
        (lambda: number("x", 3, below=3), "below 3"),
        (lambda: whole("x", 2.0), "whole number of at least 1, got 2.0"),
        (lambda: whole("x", 9, 1, 8), "from 1 to 8, got 9"),
        (lambda: choice("x", True, (1, 2)), "one of .1, 2., got True"),
        (lambda: flag("x", "no"), "True or False, got 'no'"),
        (lambda: frequency_range(16000, 100, 100), "min_freq_hz < max_freq_hz <= 8000"),
        (lambda: check_batch(torch.zeros(1, 1, 5)), "wavs must be"),
    ],
)
def test_checks_say_what_they_got(check, says):
    refused(says, check)
