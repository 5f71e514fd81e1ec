"""Every encoder in a small form, its input, and how outputs are compared, for tests of encoders."""

import torch

from auricle.lobes import build_encoder
from auricle.lobes.encoders.redimnet import SIZES

#: Few blocks of two kinds: the published sizes have 12 and more.
SIZES["few"] = (4, "residual", 1, [(1, 1, 1, 8), (2, 1, 2, 8), (2, 1, 1, 4)])
SIZES["few_convnext"] = (8, "convnext", 8, [(1, 1, 1, None), (2, 1, 1, 8), (3, 1, 1, 8)])
#: Each encoder, small where the published one is slow on a CPU: the code is that of the wide one.
SMALL = {
    "bcresnet": {},
    "bcresnet_blstm": {"hidden": 6, "layers": 2},
    "blstm": {"hidden": 6, "layers": 2},
    "cnn14": {"channels": (4, 8, 8, 16, 16, 32)},
    "conformer": {"layers": 2, "d_model": 16, "heads": 2, "ff": 24},
    "crdnn": {"channels": (4, 6), "rnn_units": 8, "dnn_units": 10},
    "crnn": {"channels": (6, 8, 8, 8), "hidden": 6},
    "ds_cnn": {"channels": 8, "blocks": 2},
    "ecapa": {"channels": 32, "embedding_size": 24, "attention_channels": 8, "se_channels": 8},
    "envnet": {"dense": 16},
    "fcn": {"channels": (4, 6, 6, 6, 8), "time_pools": (2, 2, 2, 2, 2)},
    "kwt": {},
    "linear": {},
    "m5": {"channels": (8, 8, 12, 16)},
    "musicnn": {"vertical": 6, "horizontal": 4, "channels": 5, "dense": 12},
    "redimnet": {"size": "few", "embedding_size": 24},
    "resnet34": {"channels": (4, 6, 8, 8), "block_sizes": (1, 2, 1, 1), "embedding_size": 24},
    "rvector": {"channels": 4, "block_sizes": (1, 2, 1, 1), "embedding_size": 24},
    "sample_cnn": {"channels": (4, 6, 8)},  # windows of 27 samples
    "small_cnn": {},
    "transformer": {"layers": 2, "d_model": 32, "heads": 4, "ff": 64},
    "vggish": {"channels": (4, 6, 8, 8), "dense": 16, "embedding_size": 12, "patch_frames": 32},
    "wavenet_dilated": {"stride": 16, "stacks": 2, "layers": 3, "channels": 6, "skip_channels": 8},
    "xvector": {"channels": (16, 16, 16, 16, 24), "lin_neurons": 8},
}
MUSIC = ("crnn", "envnet", "fcn", "m5", "musicnn", "sample_cnn", "vggish", "wavenet_dilated")
WAVEFORM = ("sample_cnn", "m5", "wavenet_dilated", "envnet")
WINDOWED = {"sample_cnn": 27, "envnet": 24_014, "vggish": 32}
SEQUENCE = ("wavenet_dilated", "crnn", "musicnn")
#: Frames of the items of one padded batch: several windows, less than one, and a single frame.
FRAMES = {"envnet": (60_000, 24_015, 24_014, 9000, 1), "crnn": (250, 193, 96, 31, 1)}
MUSIC_FRAMES = (200, 160, 81, 27, 7, 1)
DEFAULT_FRAMES = (101, 100, 64, 33, 7, 2, 1)


def features_of(name):
    return 1 if name in WAVEFORM else 40


def frames_of(name):
    return FRAMES.get(name, MUSIC_FRAMES if name in MUSIC else DEFAULT_FRAMES)


def build(name, in_features=None, **options):
    torch.manual_seed(0)
    in_features = features_of(name) if in_features is None else in_features
    return build_encoder(name, in_features, 101, {name: {**SMALL[name], **options}})


def perturbed(encoder, seed=1):
    """In eval mode, with running statistics and parameters that are not those of the beginning."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in encoder.modules():
            if hasattr(module, "running_mean"):
                size = module.running_mean.shape
                module.running_mean.copy_(torch.randn(size, generator=generator) / 10)
                module.running_var.copy_(torch.rand(size, generator=generator) + 0.5)
        for p in encoder.parameters():
            p.add_(torch.randn(p.shape, generator=generator) * (0.1 if p.dim() < 2 else 0.02))
    return encoder.eval()


def published(name, in_features, **options):
    """Of the published size, without memory for it."""
    with torch.device("meta"):
        return build_encoder(name, in_features, None, {name: options})


def count(module):
    return sum(p.numel() for p in module.parameters())


def close(got, expected, tolerance=1e-5):
    """Equal to a fraction of what tells the items apart, which is less than the values are."""
    spread = float((expected - expected.mean(0)).abs().max())
    assert spread > 0.01 * float(expected.abs().max())
    torch.testing.assert_close(got, expected, rtol=0, atol=tolerance * spread)


def kept_bytes(encoder, *given):
    """What the backward pass needs of one forward pass, without the parameters."""
    held = {}

    def hold(tensor):
        storage = tensor.untyped_storage()
        held[storage._cdata] = storage  # alive, so that no other takes its place
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
        encoder(*given)
    own = {p.untyped_storage()._cdata for p in encoder.parameters()}
    return sum(storage.nbytes() for key, storage in held.items() if key not in own)


def signals(name, frames, items=2):
    """Noise, a rising tone and pulses, in a batch; as samples or as rows of a spectrogram."""
    generator = torch.Generator().manual_seed(4)
    t = torch.arange(frames) / frames
    tone = torch.sin(0.3 * frames * t * t)
    pulses = torch.exp(-30 * (5 * t % 1)) * torch.sin(0.7 * frames * t)
    noise = torch.randn(items, frames, generator=generator)
    wavs = torch.cat([noise, tone[None], pulses[None]])[..., None]
    if name in WAVEFORM:
        return wavs
    rows = torch.linspace(-1, 1, features_of(name))
    return wavs * rows.cos() - (rows - wavs).square()
