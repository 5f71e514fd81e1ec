"""The CRNN against its published count, and against its layers and equations."""

import torch
from every_encoder import build, close, perturbed, published
from torch.nn import functional as F


def test_crnn_steps():
    assert published("crnn", 96, output="frames").num_frames(1366) == 15  # as in the Keras model
    dynamic = published("crnn", 96, output="frames", time_pools=(2, 3, 4, 2))
    assert dynamic.stride == 48  # 2.08 per second at a hop of 10 ms


@torch.no_grad()
def test_crnn_is_the_source_s_layers_and_the_equations_of_the_units():
    encoder = perturbed(build("crnn", 96))
    generator = torch.Generator().manual_seed(5)
    feats = (
        torch.randn(3, 288, 96, generator=generator) * torch.tensor([1.0, 0.5, 2.0])[:, None, None]
    )
    x = encoder.input_norm(feats.transpose(1, 2)[:, None])
    pools = [(2, 2), (3, 3), (4, 4), (4, 4)]
    for layer, norm, pool in zip(encoder.convolutions, encoder.norms, pools, strict=True):
        x = F.max_pool2d(norm(F.conv2d(x, layer.weight, layer.bias, padding=1)).relu(), pool)
    assert x.shape == (3, 8, 1, 3)
    steps = [x[:, :, 0, t] for t in range(3)]
    for level in range(2):
        given, own, given_bias, own_bias = encoder.recurrent.all_weights[level]
        state, states = torch.zeros(3, 6), []
        for step in steps:
            reset, update, new = (step @ given.T + given_bias).chunk(3, 1)
            own_reset, own_update, own_new = (state @ own.T + own_bias).chunk(3, 1)
            update = (update + own_update).sigmoid()
            new = (new + (reset + own_reset).sigmoid() * own_new).tanh()
            state = (1 - update) * new + update * state
            states.append(state)
        steps = states
    close(encoder(feats), steps[-1][:, None])
    close(perturbed(build("crnn", 96, output="frames"))(feats), torch.stack(steps, 1))


@torch.no_grad()
def test_crnn_without_the_incomplete_part_of_a_pooling():
    """torch's own poolings leave it out, one after the other: 205 frames give 2 steps and not 3."""
    encoder = perturbed(build("crnn", 96, partial_pools=False))
    feats = torch.randn(2, 205, 96, generator=torch.Generator().manual_seed(5))
    feats = feats * torch.tensor([1.0, 3.0])[:, None, None]
    x = encoder.input_norm(feats.transpose(1, 2)[:, None])
    pools = [(2, 2), (3, 3), (4, 4), (4, 4)]
    for layer, norm, pool in zip(encoder.convolutions, encoder.norms, pools, strict=True):
        x = F.max_pool2d(norm(layer(x)).relu(), pool)
    assert x.shape[2:] == (1, 2)
    expected = encoder.recurrent(x[:, :, 0].transpose(1, 2))[0][:, -1:]
    torch.testing.assert_close(encoder(feats), expected, rtol=0, atol=1e-6)
    whole = build("crnn", 96).eval()
    whole.load_state_dict(encoder.state_dict())
    assert (whole(feats) - expected).abs().max() > 1e-4
