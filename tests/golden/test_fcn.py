"""The FCN against its layers with torch's own poolings, for one length and for several at once."""

import torch
from every_encoder import build, close, perturbed
from torch.nn import functional as F

POOLS = [(2, 4), (2, 4), (2, 4), (3, 5), (4, 4)]


def fcn(**options):
    return perturbed(build("fcn", 96, time_pools=(4, 4, 4, 5, 4), **options))


def written_out(encoder, feats):
    """Before the mean: (B, C, 1, N')."""
    x = encoder.input_norm(feats.transpose(1, 2)[:, None])
    for layer, norm, pool in zip(encoder.convolutions, encoder.norms, POOLS, strict=True):
        x = F.max_pool2d(norm(layer(x)).relu(), pool)
    return x


@torch.no_grad()
def test_fcn_is_the_source_s_layers():
    encoder = fcn(partial_pools=False)
    feats = torch.randn(3, 1813, 96, generator=torch.Generator().manual_seed(5))
    feats = feats * torch.tensor([1.0, 0.5, 2.0])[:, None, None]
    expected = written_out(encoder, feats)
    assert expected.shape == (3, 8, 1, 1)
    close(encoder(feats), expected[..., 0].transpose(1, 2))
    # An item of another length beside it is pooled by itself, even one shorter than a pooling.
    lengths = torch.tensor([1.0, 1300 / 1813, 3 / 1813])
    got = encoder(feats, lengths)
    torch.testing.assert_close(got[1:2], encoder(feats[1:2, :1300]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(got[2:], encoder(feats[2:, :3]), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_steps_are_averaged():
    encoder = fcn()
    feats = torch.randn(2, 2560, 96, generator=torch.Generator().manual_seed(6))
    steps = written_out(encoder, feats * torch.tensor([1.0, 2.0])[:, None, None])
    assert steps.shape[3] == 2
    feats = feats * torch.tensor([1.0, 2.0])[:, None, None]
    close(encoder(feats), steps[:, :, 0].mean(2)[:, None])
