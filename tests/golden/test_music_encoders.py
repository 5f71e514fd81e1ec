"""The encoders for music: memory of a training step, single frames, inputs and options refused."""

import pytest
import torch
from every_encoder import MUSIC, WAVEFORM, build, features_of, kept_bytes, published
from refusals import refused

from auricle.lobes.registry import LobeError


@pytest.mark.parametrize("name", MUSIC)
def test_a_batch_of_one_clip_of_one_frame_can_be_trained_on(name):
    encoder = build(name).train()
    out = encoder(torch.randn(1, 1, features_of(name)))
    assert out.shape == (1, 1, encoder.out_features) and out.isfinite().all()
    out.sum().backward()


@pytest.mark.parametrize("name", MUSIC)
def test_full_lengths_keep_no_more_for_the_backward_pass_than_none(name):
    """A mask where nothing is masked would keep every activation twice."""
    feats = torch.randn(2, 300, features_of(name))
    none = kept_bytes(build(name).train(), feats)
    assert kept_bytes(build(name).train(), feats, torch.ones(2)) == none > 1000


@pytest.mark.parametrize("name", MUSIC)
def test_shapes_without_memory(name):
    encoder = published(name, features_of(name)).train()
    feats = torch.empty(2, 661_500 if name in WAVEFORM else 3001, features_of(name), device="meta")
    assert encoder(feats).shape == (2, 1, encoder.out_features)
    assert encoder(feats, torch.ones(2, device="meta")).device.type == "meta"


@pytest.mark.parametrize("name", MUSIC)
def test_what_does_not_fit_is_refused_before_it_is_built(name):
    if name in WAVEFORM:
        refused("waveform.*Encoders that fit", build, name, 40, error=LobeError)
        refused("in_features must be 1.* got 40", type(build(name)), in_features=40)
    else:
        refused("frontend: mel.*Encoders that fit", build, name, 1, error=LobeError)
