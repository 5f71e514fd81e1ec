"""Spectrogram images: size, scaling, normalisation, and three channels folded into one."""

import math

import numpy as np
import pytest
import torch
import torchaudio
from sounds import noise
from torch.nn import functional

from auricle.lobes import build_frontend
from auricle.lobes.frontends.spectrogram_image import fold_channels, resize

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def build(**options):
    return build_frontend("spectrogram_image", options={"spectrogram_image": options})


def test_equals_the_input_of_ast():
    """Kaldi's fbank with a Hann window, minus the mean, over twice the standard deviation."""
    ours = build(
        scaling="none",
        mean=-4.2677393,
        std=2 * 4.5689974,
        mel={"convention": "kaldi", "window_shape": "hann_symmetric", "allow_empty": True},
    )
    wavs = noise(2, 16000)
    expected = torch.stack(
        [
            torchaudio.compliance.kaldi.fbank(
                wav[None], htk_compat=True, window_type="hanning", num_mel_bins=128
            )
            for wav in wavs
        ]
    )
    expected = (expected + 4.2677393) / (2 * 4.5689974)
    assert expected.shape[1] == ours.num_frames(16000) == 98
    torch.testing.assert_close(ours(wavs), expected, atol=5e-5, rtol=0)


def matrix(size_in, size_out, antialias):
    """Bilinear interpolation as a matrix, from its definition: a triangle around each output
    pixel's centre, as wide as the coarser of the two grids (antialias) or as the input's."""
    scale = size_in / size_out
    centre = (np.arange(size_out)[:, None] + 0.5) * scale - 0.5
    width = max(scale, 1.0) if antialias else 1.0
    if antialias:
        weights = np.maximum(0, 1 - np.abs(np.arange(size_in) - centre) / width)
        return weights / weights.sum(1, keepdims=True)
    centre = np.clip(centre, 0, size_in - 1)
    return np.maximum(0, 1 - np.abs(np.arange(size_in) - centre))


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", [(224, 224), (30, 64), (101, 128), (500, 40)])
def test_resize_equals_its_definition(size, antialias):
    image = noise(2, 101, 128, scale=1.0)
    left, right = matrix(101, size[0], antialias), matrix(128, size[1], antialias)
    expected = left @ image.double().numpy() @ right.T
    got = resize(image, *size, antialias=antialias)
    # torch places the pixels in float32: 1e-5 of a pixel at 224, times slopes of up to 6.
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-4)


def test_antialiasing_removes_what_the_smaller_image_cannot_hold():
    """1292 frames of 30 s shrunk to 224, 7.5 columns per second: a modulation of 8 Hz cannot be
    shown. Without a low-pass 89% of it comes out as a slower one, with it about 1%."""
    time = torch.arange(1292) / 1292 * 30
    left = {}
    for rate_hz in (1.0, 8.0):
        image = torch.sin(2 * math.pi * rate_hz * time)[None, :, None].expand(1, -1, 4)
        for antialias in (True, False):
            out = resize(image, 224, 4, antialias)[0, 10:-10, 0]
            left[rate_hz, antialias] = math.sqrt(2) * out.std().item()
    assert left[8.0, False] == pytest.approx(0.89, abs=0.02)
    assert left[8.0, True] < 0.02
    assert left[1.0, True] > 0.9 and left[1.0, False] > 0.95


def test_each_items_own_frames_are_resized():
    ours, wavs = build(num_features=64, image_frames=50, num_mels=80), noise(3, 8000)
    for num_valid in (1, 700, 4321):
        padded = wavs.clone()
        padded[1, num_valid:] = 3.0
        lengths = torch.tensor([1.0, num_valid / 8000, 1.0])
        out = ours(padded, lengths)
        assert out.shape == (3, ours.num_frames(8000), 64) == (3, 50, 64)
        torch.testing.assert_close(out[1:2], ours(wavs[1:2, :num_valid]), atol=1e-4, rtol=0)
        torch.testing.assert_close(out[[0, 2]], ours(wavs[[0, 2]]), atol=1e-4, rtol=0)
        assert ours.frame_lengths(lengths, 8000).tolist() == [1.0, 1.0, 1.0]


def test_scaling_by_item_spans_zero_to_one_whatever_the_level():
    ours = build(mean=0.0, std=1.0)
    wavs = noise(1, 16000)
    out = ours(torch.cat([wavs, 0.1 * wavs]))
    assert out.amin((1, 2)).tolist() == [0.0, 0.0]
    assert out.amax((1, 2)).tolist() == [1.0, 1.0]
    torch.testing.assert_close(out[0], out[1], atol=1e-4, rtol=0)
    normalised = build()(wavs)
    torch.testing.assert_close(normalised, (out[:1] - 0.5) / 0.5, atol=1e-6, rtol=0)


def test_scaling_by_range_clips():
    ours = build(mean=0.0, std=1.0, scaling="range", value_range=[-20.0, 10.0])
    level = torch.tensor([-80.0, -20.0, -5.0, 10.0, 30.0]).view(1, 5, 1)
    assert ours.scale(level).flatten().tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
    wavs = noise(1, 8000)
    expected = ((ours.mel(wavs) + 20) / 30).clamp(0, 1)
    torch.testing.assert_close(ours(wavs), expected)


def test_silence_is_black():
    assert build(mean=0.0, std=1.0)(torch.zeros(1, 8000)).abs().max() == 0


def test_filters_are_those_of_the_mel():
    filters = build(num_features=224, num_mels=128).filters()
    assert len(filters) == 128 and (filters.responses.max(1) > 0).all()


# -- three channels folded into one --------------------------------------------------------------


@pytest.mark.parametrize("reduce", ["sum", "mean"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("stride", [16, 10])
def test_folding_is_exact(stride, normalised, bias, reduce):
    """In float64, so that what differs is the formula and not the rounding."""
    embed = torch.nn.Conv2d(3, 24, 16, stride, bias=bias).double()
    image = build(num_features=64, image_frames=96, num_mels=64, **IMAGENET)
    plain = build(num_features=64, image_frames=96, num_mels=64, mean=0.0, std=1.0)
    wavs = noise(2, 16000)
    grey = plain(wavs)[:, None].double()
    mean = torch.tensor(IMAGENET["mean"], dtype=torch.float64).view(3, 1, 1)
    std = torch.tensor(IMAGENET["std"], dtype=torch.float64).view(3, 1, 1)
    three = (grey.expand(-1, 3, -1, -1) - mean) / std
    with torch.no_grad():
        expected = functional.conv2d(three, embed.weight, stride=stride)
        if reduce == "mean":
            expected = expected / 3
        if bias:
            expected = expected + embed.bias[:, None, None]
        given = (image.mean, image.std) if normalised else (0.0, 1.0)
        weight, shift = fold_channels(embed.weight, embed.bias, *IMAGENET.values(), *given, reduce)
        one = (grey - given[0]) / given[1]
        got = functional.conv2d(one, weight, shift, stride)
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=1e-12)
    if normalised:  # what the frontend itself hands out, in float32
        theirs = functional.conv2d(image(wavs)[:, None], weight.float(), shift.float(), stride)
        torch.testing.assert_close(theirs.double(), expected, atol=1e-5, rtol=1e-5)


def test_one_normalisation_for_all_channels_needs_no_bias():
    weight = noise(8, 3, 16, 16)
    folded, bias = fold_channels(weight, None, 0.5, 0.5, image_mean=0.5, image_std=0.5)
    torch.testing.assert_close(folded[:, 0], weight.sum(1))
    assert folded.dtype == weight.dtype and bias.abs().max() == 0


@pytest.mark.parametrize(
    "arguments, says",
    [
        ((torch.ones(8, 1, 4, 4), None, 0.5, 0.5), r"\(D, 3, P, Q\)"),
        ((torch.ones(8, 3, 4, 4), None, 0.5, 0.0), "std .*0.0"),
        ((torch.ones(8, 3, 4, 4), None, 0.5, 0.5, 0.0, 1.0, "max"), "reduce .*'max'"),
    ],
)
def test_bad_folds_are_named(arguments, says):
    with pytest.raises(ValueError, match=says):
        fold_channels(*arguments)
