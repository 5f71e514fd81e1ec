"""ResNet-50 against timm's."""

import pytest
import timm
import torch
from picture_encoders import alone_and_together, build, close, perturbed, saved
from spectrogram_signals import signals

from auricle.lobes.encoders import resnet50 as resnet50_file


def timms_resnet(width, in_chans=1):
    resnet = timm.models.resnet
    channels = tuple(width * factor for factor in (1, 2, 4, 8))
    torch.manual_seed(2)
    return perturbed(
        resnet.ResNet(
            resnet.Bottleneck,
            (3, 4, 6, 3),
            num_classes=5,
            in_chans=in_chans,
            stem_width=width,
            channels=channels,
        )
    )


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("frames", [101, 64, 1])
@torch.no_grad()
def test_resnet50_is_timms(frames, training):
    other, encoder = timms_resnet(4), build("resnet50", width=4)
    state = {k: v for k, v in other.state_dict().items() if not k.startswith("fc.")}
    encoder.net.load_state_dict(state)
    feats = signals(frames)
    want = other.train(training).forward_features(feats.transpose(1, 2)[:, None]).mean((2, 3))
    close(encoder.train(training)(feats)[:, 0], want, 1e-4)
    for name, value in encoder.net.named_buffers():
        torch.testing.assert_close(value, other.get_buffer(name))


@torch.no_grad()
def test_resnet50_reads_an_items_own_frames():
    encoder = perturbed(build("resnet50", width=4))
    alone_and_together(encoder)
    # In training the statistics are those of the valid frames.
    feats, lengths = signals(96), torch.tensor([1.0, 0.5, 0.25])
    means = []
    for filling in (0.0, 9.0):
        encoder = perturbed(build("resnet50", width=4)).train()
        for item, size in enumerate((96, 48, 24)):
            feats[item, size:] = filling
        encoder(feats, lengths)
        means.append(encoder.net.layer3[1].bn2.running_mean)
    assert torch.equal(*means)


@torch.no_grad()
def test_resnet50_sums_the_channels_of_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(resnet50_file, "PUBLISHED_WIDTH", 4)
    other = timms_resnet(4, in_chans=3).eval()
    encoder = build("resnet50", width=4, path=saved(tmp_path, other)).eval()
    feats = signals(75)
    want = other.forward_features(feats.transpose(1, 2)[:, None].expand(-1, 3, -1, -1))
    close(encoder(feats)[:, 0], want.mean((2, 3)), 1e-4)
