"""A folded frontend: the same output, in any pieces, exported."""

import io

import numpy as np
import onnxruntime
import pytest
import torch
from sounds import noise

from auricle.lobes import build_frontend
from auricle.processing.filterbank.folded import FoldedFilterbank


def build(**options):
    return build_frontend("leaf", options={"leaf": {"num_features": 4, **options}}).eval()


@pytest.fixture(scope="module")
def leaf():
    return build()


@pytest.fixture(scope="module")
def folded(leaf):
    return leaf.fold()


@pytest.mark.parametrize("num_samples", [1, 100, 401, 1601, 16000, 20037])
@torch.no_grad()
def test_folded_equals_the_frontend(leaf, folded, num_samples):
    wavs = noise(2, num_samples)
    torch.testing.assert_close(folded(wavs), leaf(wavs), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@torch.no_grad()
def test_logarithm_instead_of_pcen():
    leaf, wavs = build(compression="log"), noise(2, 5000)
    torch.testing.assert_close(leaf.fold()(wavs), leaf(wavs), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@torch.no_grad()
def test_a_looser_tolerance_needs_fewer_taps(leaf, folded):
    loose = leaf.fold(tolerance=1e-2)
    assert loose.rank < folded.rank
    wavs = noise(2, 8000)
    difference = (loose(wavs) - leaf(wavs)).abs().max()
    assert 1e-7 < difference < 1e-2


@pytest.mark.parametrize("sizes", [(160,), (1, 1000, 0, 401), (5000,), (99999,)])
@pytest.mark.parametrize("num_samples", [50, 399, 4800, 16077])
@torch.no_grad()
def test_a_stream_equals_the_whole(folded, sizes, num_samples):
    wavs = noise(2, num_samples, seed=1)
    state, out, first, turn = None, [], 0, 0
    while first < num_samples:
        size = sizes[turn % len(sizes)]
        piece, first, turn = wavs[:, first : first + size], first + size, turn + 1
        frames, state = folded.stream(piece, state, last=first >= num_samples)
        out.append(frames)
    torch.testing.assert_close(torch.cat(out, 1), folded(wavs), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_stream_gives_frames_as_soon_as_it_can(folded):
    """Frame k is there once sample 160 k + 400 is."""
    out, state = folded.stream(noise(1, 400))
    assert out.shape[1] == 0
    out, state = folded.stream(noise(1, 1), state)
    assert out.shape[1] == 1


@torch.no_grad()
def test_a_trace_takes_other_lengths(folded):
    traced = torch.jit.trace(folded, noise(1, 16000))
    wavs = noise(3, 12345)
    torch.testing.assert_close(traced(wavs), folded(wavs))


@pytest.mark.slow
@torch.no_grad()
def test_onnx(folded):
    buffer = io.BytesIO()
    torch.onnx.export(
        folded,
        (noise(1, 16000),),
        buffer,
        input_names=["wavs"],
        output_names=["feats"],
        dynamic_axes={"wavs": {0: "batch", 1: "samples"}},
        dynamo=False,
    )
    session = onnxruntime.InferenceSession(buffer.getvalue())
    wavs = noise(3, 12345)
    (found,) = session.run(None, {"wavs": wavs.numpy()})
    np.testing.assert_allclose(found, folded(wavs).numpy(), rtol=1e-4, atol=1e-5)


def test_nothing_in_it_is_complex_or_trained(folded):
    assert not list(folded.parameters())
    assert all(not buffer.is_complex() for buffer in folded.buffers())


def test_only_fixed_frames_can_be_folded():
    with pytest.raises(ValueError, match="centered"):
        build(frame_centre="tf_same").fold()


def test_a_folded_bank_takes_real_filters():
    taps, pool = noise(3, 1, 41).double(), torch.rand(3, 33).double()
    folded = FoldedFilterbank(taps, pool, 12, 1e-9, None, tolerance=1e-6)
    wavs = noise(2, 500)
    from auricle.processing.filterbank.engine.direct import direct_energy

    expected = direct_energy(wavs, taps.float(), pool.float(), 12, 16).clamp(min=1e-9).log()
    torch.testing.assert_close(folded(wavs), expected, rtol=1e-4, atol=1e-3)
