"""TD-filterbanks against LEAF's reference output, and against asteroid-filterbanks, live.

`data/tdfbanks.npy` and `data/tdfbanks_chirp.npy` are the outputs (B, 98, 40) of the reference's
`TimeDomainFilterbanks()` for `x.npy` and `chirp.npy`, computed once as `data/README.md` says.
"""

import math

import pytest
import torch
from asteroid_filterbanks import Encoder, FreeFB
from sounds import golden, loud_and_quiet
from torch import nn

from auricle.lobes import build_frontend

#: LEAF's form, with its window that is off by one and its floor.
LEAF_FORM = {
    "pooling": "shared",
    "frame_centre": "valid",
    "window_off_by_one": True,
    "energy_floor": 1e-5,
}


def build(**options):
    return build_frontend("tdfbanks", options={"tdfbanks": options})


def test_equals_the_reference_on_noise():
    with torch.no_grad():
        out = build(**LEAF_FORM)(golden("x")[:, 0])
    torch.testing.assert_close(out, golden("tdfbanks"), atol=2e-5, rtol=0)


def test_equals_the_reference_on_a_chirp():
    """2e-5 down to 55 dB below the loudest energy. Below that float32 rounding of the loud part
    shows, in the reference too: this frontend in float64 is no closer to it."""
    with torch.no_grad():
        out, expected = build(**LEAF_FORM)(golden("chirp")[:, 0]), golden("tdfbanks_chirp")
    audible = expected > expected.max() - 5.5 * math.log(10)
    assert 400 < audible.sum() < audible.numel()
    torch.testing.assert_close(out[audible], expected[audible], atol=2e-5, rtol=0)
    torch.testing.assert_close(out, expected, atol=1e-4, rtol=0)


def test_the_references_window_is_one_sample_late():
    """What `window_off_by_one` reproduces, and why it is not the default."""
    late = build(**LEAF_FORM).pooling_weights[0]
    right = build(**{**LEAF_FORM, "window_off_by_one": False}).pooling_weights[0]
    assert late.argmin() == 1 and late.argmax() == 201 and late[0] > 0
    assert right.argmax() == 200 and right[0] == 0
    torch.testing.assert_close(right, right.flip(0))
    torch.testing.assert_close(right, torch.hann_window(401, periodic=False).square())
    with torch.no_grad():
        out = build(**{**LEAF_FORM, "window_off_by_one": False})(golden("x")[:, 0])
    assert (out - golden("tdfbanks")).abs().max() > 1e-3


class Original(nn.Module):
    """facebookresearch/tdfbanks' chain of layers, on asteroid-filterbanks' free filterbank."""

    def __init__(self, ours):
        super().__init__()
        filters = ours.num_features
        self.encoder = Encoder(FreeFB(2 * filters, 401, stride=1), padding=200)
        self.lowpass = nn.Conv1d(filters, filters, 401, 160, groups=filters, bias=False)
        with torch.no_grad():
            real, imaginary = ours.filter_taps[:, :1], ours.filter_taps[:, 1:]
            self.encoder.filterbank._filters.copy_(torch.cat([real, imaginary]))
            self.lowpass.weight.copy_(ours.pooling_weights.expand(filters, -1)[:, None])

    def forward(self, wavs):
        real, imaginary = self.encoder(wavs[:, None]).chunk(2, 1)
        return torch.log1p(self.lowpass(real**2 + imaginary**2).abs()).transpose(1, 2)


@pytest.mark.parametrize("perturbed", [False, True], ids=["default", "perturbed"])
@pytest.mark.parametrize("pooling", ["depthwise", "shared"])
@pytest.mark.parametrize("kind", ["noise", "chirp", "vowel"])
def test_equals_the_originals_layers(kind, pooling, perturbed):
    """Both are float32 sums of 401 x 401 products: 1e-5 of the loudest frame's energy."""
    options = {"num_features": 8, "pooling": pooling, "compression": "log1p"}
    ours = build(**options, frame_centre="valid", pooling_sign="free")
    if perturbed:
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for p in ours.parameters():
                p.add_(0.3 * p.std() * torch.randn(p.shape, generator=generator))
    original, wavs = Original(ours), loud_and_quiet(kind)
    out, expected = ours(wavs), original(wavs)
    scale = expected.detach().exp().max()
    torch.testing.assert_close(out, expected, atol=1e-5 * scale.item(), rtol=0)

    direction = torch.randn(out.shape, generator=torch.Generator().manual_seed(2))
    (out * direction).sum().backward()
    (expected * direction).sum().backward()
    filters = original.encoder.filterbank._filters.grad.unflatten(0, (2, 8))[:, :, 0]
    lowpass = original.lowpass.weight.grad[:, 0]
    if pooling == "shared":
        lowpass = lowpass.sum(0, keepdim=True)
    for got, want in (
        (ours.filter_taps.grad, filters.transpose(0, 1)),
        (ours.pooling_weights.grad, lowpass),
    ):
        torch.testing.assert_close(got, want, atol=1e-4 * want.abs().max().item(), rtol=0)
