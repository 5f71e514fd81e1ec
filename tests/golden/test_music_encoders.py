"""What all encoders for music share: padding, finite numbers, memory, any input that fits."""

import math

import pytest
import torch
from music_encoders import (
    DEFAULT_FRAMES,
    FRAMES,
    SEQUENCE,
    SMALL,
    TRAINING_FRAMES,
    WAVEFORM,
    build,
    close,
    features_of,
    kept_bytes,
    perturbed,
    published,
)

from auricle.lobes.registry import LobeError


@pytest.mark.parametrize("behind", [1e3, math.nan])
@pytest.mark.parametrize("name", SMALL)
@torch.no_grad()
def test_what_stands_behind_the_end_changes_nothing(name, behind):
    encoder = perturbed(build(name))
    frames = FRAMES.get(name, DEFAULT_FRAMES)
    # Longer than the longest item, as a batch of a distributed run may be.
    feats = torch.randn(len(frames), frames[0] + 37, features_of(name))
    for item, size in enumerate(frames):
        feats[item, size:] = behind
    got = encoder(feats, torch.tensor(frames) / feats.shape[1])
    alone = [encoder(feats[i : i + 1, :size]) for i, size in enumerate(frames)]
    close(got, torch.cat(alone))


@pytest.mark.parametrize("behind", [1e3, math.nan])
@pytest.mark.parametrize("name", SEQUENCE)
@torch.no_grad()
def test_nor_does_it_change_a_sequence_which_is_zero_there(name, behind):
    encoder = perturbed(build(name, output="frames"))
    frames = FRAMES.get(name, DEFAULT_FRAMES)
    feats = torch.randn(len(frames), frames[0] + 137, features_of(name))
    for item, size in enumerate(frames):
        feats[item, size:] = behind
    got = encoder(feats, torch.tensor(frames) / feats.shape[1])
    steps = encoder.num_frames(feats.shape[1])
    assert got.shape == (len(frames), steps, encoder.out_features)
    assert steps == -(-feats.shape[1] // encoder.stride)
    for item, size in enumerate(frames):
        alone = encoder(feats[item : item + 1, :size])[0]
        assert len(alone) == encoder.num_frames(size) > 0
        torch.testing.assert_close(got[item, : len(alone)], alone, rtol=1e-4, atol=1e-5)
        assert not got[item, len(alone) :].any()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "output"),
    [(name, "utterance") for name in SMALL] + [(name, "frames") for name in SEQUENCE],
)
def test_padding_changes_nothing_in_training_either(name, output, monkeypatch):
    """Neither output nor running statistics nor a gradient; also where it is not cut off."""
    options = {"output": output} if name in SEQUENCE else {}
    if name not in ("m5", "vggish", "wavenet_dilated"):
        options["dropout"] = 0.0
    frames = torch.tensor(TRAINING_FRAMES.get(name, (150, 91, 20)))
    longest = int(frames[0])
    feats = torch.randn(3, longest, features_of(name))
    results = []
    for size, traced in ((longest, False), (longest + 14, False), (longest + 14, True)):
        monkeypatch.setattr(torch.jit, "is_tracing", lambda traced=traced: traced)
        encoder = build(name, **options).train()
        padded = torch.full((3, size, features_of(name)), 1e3)
        for item, valid in enumerate(frames):
            padded[item, :valid] = feats[item, :valid]
        out = encoder(padded, frames / size)[:, : encoder.num_frames(longest)]
        (out * torch.linspace(-1, 1, out.numel()).view(out.shape)).sum().backward()
        norms = [m for m in encoder.modules() if hasattr(m, "running_mean")]
        grads = [p.grad for p in encoder.parameters()]
        results.append((out.detach(), grads, [(m.running_mean, m.running_var) for m in norms]))
    (out, grads, running), *others = results
    assert bool(running) == (name not in ("vggish", "wavenet_dilated"))
    largest = max(float(grad.abs().max()) for grad in grads)
    for other_out, other_grads, other_running in others:
        torch.testing.assert_close(other_out, out, rtol=0, atol=1e-3 * float(out.abs().max()))
        for grad, other in zip(grads, other_grads, strict=True):
            torch.testing.assert_close(other, grad, rtol=0, atol=1e-3 * largest)
        torch.testing.assert_close(other_running, running, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", SMALL)
@torch.no_grad()
def test_an_item_without_a_frame_is_finite(name):
    feats = torch.randn(2, 60, features_of(name))
    assert perturbed(build(name))(feats, torch.tensor([0.0, 1.0])).isfinite().all()


@pytest.mark.parametrize("value", [0.0, -13.8, 1e3])
@pytest.mark.parametrize("frames", [1, 300])
@pytest.mark.parametrize("name", SMALL)
def test_constant_frames_have_finite_gradients(name, frames, value):
    encoder = build(name)
    feats = torch.full((2, frames, features_of(name)), value, requires_grad=True)
    encoder(feats, torch.tensor([1.0, 0.5])).square().sum().backward()
    grads = [feats.grad, *[p.grad for p in encoder.parameters()]]
    assert all(grad.isfinite().all() for grad in grads)


@pytest.mark.parametrize("name", SMALL)
def test_a_batch_of_one_clip_of_one_frame_can_be_trained_on(name):
    encoder = build(name).train()
    out = encoder(torch.randn(1, 1, features_of(name)))
    assert out.shape == (1, 1, encoder.out_features) and out.isfinite().all()
    out.sum().backward()


@pytest.mark.parametrize("name", SMALL)
def test_full_lengths_keep_no_more_for_the_backward_pass_than_none(name):
    """A mask where nothing is masked would keep every activation twice."""
    feats = torch.randn(2, 300, features_of(name))
    none = kept_bytes(build(name).train(), feats)
    assert kept_bytes(build(name).train(), feats, torch.ones(2)) == none > 1000


@pytest.mark.parametrize("name", SMALL)
def test_shapes_without_memory(name):
    encoder = published(name, features_of(name)).train()
    feats = torch.empty(2, 661_500 if name in WAVEFORM else 3001, features_of(name), device="meta")
    assert encoder(feats).shape == (2, 1, encoder.out_features)
    assert encoder(feats, torch.ones(2, device="meta")).device.type == "meta"


@pytest.mark.parametrize("name", SMALL)
def test_what_does_not_fit_is_refused_before_it_is_built(name):
    if name in WAVEFORM:
        with pytest.raises(LobeError, match="waveform.*Encoders that fit"):
            build(name, 40)
        with pytest.raises(ValueError, match="in_features must be 1.* got 40"):
            type(build(name))(in_features=40)
    else:
        with pytest.raises(LobeError, match="frontend: mel.*Encoders that fit"):
            build(name, 1)


@pytest.mark.parametrize("in_features", [2, 20, 64, 80, 96, 97, 128, 229])
@pytest.mark.parametrize("name", ["vggish", "crnn", "musicnn"])
def test_any_number_of_features(name, in_features):
    encoder = build(name, in_features)
    feats = torch.randn(3, 110, in_features, requires_grad=True)
    out = encoder(feats)
    (out * torch.randn_like(out)).sum().backward()
    assert all(p.grad.any() for p in encoder.parameters())
    feats.grad = None
    perturbed(encoder)(feats).sum().backward()  # without batch statistics, which see everything
    assert feats.grad.any(1).any(0).all(), "a feature that changes nothing"


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("sample_cnn", "channels", (8,)),
        ("sample_cnn", "channels", (8, 0)),
        ("sample_cnn", "last_kernel", 2),
        ("sample_cnn", "dropout", 1.0),
        ("m5", "channels", (8, 8)),
        ("m5", "stride", 81),
        ("wavenet_dilated", "stride", 0),
        ("wavenet_dilated", "layers", 17),
        ("wavenet_dilated", "output", "steps"),
        ("envnet", "dense", 0),
        ("envnet", "dropout", -0.1),
        ("vggish", "channels", (4, 4, 4, 4, 4, 4)),
        ("vggish", "patch_frames", 0.96),
        ("crnn", "time_pools", (2, 2)),
        ("crnn", "output", "clip"),
        ("musicnn", "output", None),
        ("musicnn", "vertical", 0),
    ],
)
def test_bad_options(name, option, value):
    with pytest.raises(ValueError, match=f"(?s){option}.*got "):
        build(name, **{option: value})
