"""Nets that know no lengths: an item in a padded batch gives what it gives alone."""

import pytest
import torch
from refusals import refused
from torch import nn

from auricle.lobes.layers.foreign import masked_inside, per_item

SIZE, COUNTS = 60, torch.tensor([60, 41, 23])


class Residual(nn.Module):
    """Every kind of layer that is masked, and two branches."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv1d(4, 6, 5, stride=2, padding=2), nn.BatchNorm1d(6), nn.AvgPool1d(2, padding=1)
        )
        self.body = nn.Conv1d(6, 6, 3, padding="same", dilation=2)
        self.last = nn.Sequential(
            nn.MaxPool1d(3, stride=2, padding=1), nn.Conv1d(6, 5, 2, dilation=2)
        )
        nn.init.normal_(self.first[1].running_mean)

    def forward(self, x):
        x = self.first(x)
        return self.last(x - 3 + self.body(x))


def padded(channels=4):
    torch.manual_seed(0)
    x = torch.randn(3, channels, SIZE)
    for item, count in zip(x, COUNTS.tolist(), strict=True):
        item[:, count:] = float("inf")
    return x


def alone(net, x):
    return [net(item[None, :, :n])[0] for item, n in zip(x, COUNTS.tolist(), strict=True)]


def test_layers_read_what_an_item_alone_would_give_them():
    net, x = Residual().eval(), padded()
    with masked_inside(net, COUNTS, SIZE) as valid:
        batch = net(x)
    for item, steps, want in zip(
        batch, valid[batch.shape[-1]].tolist(), alone(net, x), strict=True
    ):
        assert steps == want.shape[-1]
        torch.testing.assert_close(item[:, :steps], want, rtol=1e-5, atol=1e-5)
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in net.modules())


def test_pictures_have_their_frames_on_an_axis_of_choice():
    net = nn.Sequential(nn.Conv2d(1, 3, 3, (2, 1), 1), nn.BatchNorm2d(3), nn.MaxPool2d(2)).eval()
    x = padded(7).transpose(1, 2)[:, None]
    with masked_inside(net, COUNTS, SIZE, axis=2) as valid:
        batch = net(x)
    steps = valid[batch.shape[2]].tolist()
    for item, n, count in zip(range(3), steps, COUNTS.tolist(), strict=True):
        want = net(x[item : item + 1, :, :count])[0]
        torch.testing.assert_close(batch[item, :, :n], want)


def test_batch_norms_learn_from_valid_frames_only():
    norm, x = nn.BatchNorm1d(4), padded()
    with masked_inside(norm, COUNTS, SIZE):
        batch = norm(x)
    frames = torch.cat([item[:, :n] for item, n in zip(x, COUNTS.tolist(), strict=True)], 1)
    want = nn.BatchNorm1d(4)
    torch.testing.assert_close(batch[1, :, :41], want(frames.T)[60:101].T)
    torch.testing.assert_close(norm.running_var, want.running_var)


def test_without_counts_nothing_is_masked():
    net, x = Residual().eval(), torch.ones(2, 4, SIZE)
    with masked_inside(net, None, SIZE):
        assert net(x).equal(Residual.forward(net, x))


class Squeezed(nn.Module):
    def __init__(self):
        super().__init__()
        self.squeeze = nn.Conv1d(4, 4, 1)

    def forward(self, x):
        return x * self.squeeze(x.mean(-1, keepdim=True))


@pytest.mark.parametrize(
    ("net", "says"),
    [
        (nn.Sequential(nn.GroupNorm(2, 4)), "0, GroupNorm .*over all frames.*per_item"),
        (nn.Sequential(nn.AdaptiveAvgPool1d(1)), "AdaptiveAvgPool1d.*over all frames.*per_item"),
        (Squeezed(), "squeeze, Conv1d .*no layer gave 1 frames.*per_item"),
    ],
)
def test_what_cannot_be_masked_is_named_with_the_remedy(net, says):
    with pytest.raises(ValueError, match=says), masked_inside(net, COUNTS, SIZE):
        net(padded().nan_to_num(posinf=0))
    assert not any(layer._forward_pre_hooks for layer in net.modules())


def test_items_run_alone_give_frames_or_vectors():
    feats, lengths = padded().transpose(1, 2), COUNTS / SIZE
    frames = per_item(lambda x: x.flip(1)[:, ::2], feats, lengths, steps=32)
    assert frames.shape == (3, 32, 4)
    assert frames[1, :21].equal(feats[1, :41].flip(0)[::2]) and not frames[1, 21:].any()
    assert per_item(lambda x: x, feats, lengths / 2).shape == (3, 30, 4)
    means = per_item(lambda x: x.mean(1), feats, lengths)
    torch.testing.assert_close(means[2], feats[2, :23].mean(0))
    assert per_item(lambda x: x[:, :1], feats, None).equal(feats[:, :1])
    refused("", per_item, lambda x: x[:1].expand(2, -1, -1), feats, lengths)
