"""The estimate of a training step's memory: published sizes, and what autograd really keeps."""

import pytest
import torch
from torch import nn

from auricle.lobes import build_encoder
from auricle.lobes.memory.memory_estimate import (
    BYTES_PER_TRAINED,
    activation_bytes,
    training_memory,
)

MIB = 2**20


def build(name, features=40, in_frames=101, device="meta", **options):
    torch.manual_seed(0)
    with torch.device(device):
        return build_encoder(name, features, in_frames, options={name: options})


@pytest.mark.parametrize(
    ("name", "features", "frames", "options", "attention", "want_mib"),
    [
        ("vit", 224, 224, {}, "fused", 1351),
        ("vit", 224, 224, {}, "math", 1607),
        ("vit", 224, 224, {"freeze_blocks": 4}, "math", 1071),
        ("vit", 224, 224, {"freeze_blocks": 6}, "fused", 679),
        ("vit", 224, 224, {"freeze_blocks": 6}, "math", 807),
        ("vit", 128, 1280, {}, "math", 7089),
        ("ast", 128, 1024, {}, "fused", 8246),
        ("ast", 128, 1024, {}, "math", 17961),
        ("ast", 128, 1292, {}, "math", 26039),
        ("ast", 128, 3000, {}, "fused", 24384),
        ("ast", 128, 3000, {}, "math", 109340),
    ],
)
def test_transformers_of_base_size_keep_what_was_measured(
    name, features, frames, options, attention, want_mib
):
    """A batch of 12, against sums of saved tensors that were taken of timm's and transformers'."""
    encoder = build(name, features, frames, size="base", frames=frames, **options)
    got = activation_bytes(encoder, features, frames, 12, attention) / MIB
    assert got == pytest.approx(want_mib, rel=0.01)


def really_kept(encoder, feats):
    """Bytes of the distinct memory that a forward pass on the CPU saves, parameters left out."""
    own = {p.untyped_storage().data_ptr() for p in [*encoder.parameters(), *encoder.buffers()]}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage  # held: no address comes twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = encoder.train()(feats)
    assert output.requires_grad
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("learns_before", [False, True])
@pytest.mark.parametrize(
    ("name", "features", "options"),
    [
        ("vit", 40, {"depth": 3}),
        ("ast", 40, {"depth": 3, "freeze_blocks": 2}),
        ("cnn14", 40, {"channels": (4, 8, 8), "dropout": 0.0, "embedding_dropout": 0.0}),
        ("resnet50", 40, {"width": 4}),
        ("transformer", 40, {"layers": 2, "dropout": 0.0}),
        ("bcresnet", 40, {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_estimate_is_what_autograd_keeps(name, features, options, learns_before):
    encoder = build(name, features, 200, "cpu", **options)
    for part in encoder.modules():
        if isinstance(part, (nn.Dropout, nn.Dropout2d)):
            part.p = 0.0  # masks are bytes there and floats here
    feats = torch.randn(3, 200, features, requires_grad=learns_before)
    want = really_kept(encoder, feats)
    got = activation_bytes(encoder, features, 200, 3, learns_before=learns_before)
    assert got == pytest.approx(want, rel=0.02)


def test_estimate_by_hand_and_in_proportion():
    net = nn.Sequential(nn.Linear(40, 8), nn.ReLU(), nn.Linear(8, 1))
    assert activation_bytes(net, 40, 100, 2) == 4 * 2 * 100 * (40 + 8)
    net[0].requires_grad_(False)
    assert activation_bytes(net, 40, 100, 2) == 4 * 2 * 100 * 8
    assert activation_bytes(net, 40, 100, 2, learns_before=True) == 4 * 2 * 100 * 8
    encoder = build("vit", depth=2)
    one, four = (activation_bytes(encoder, 40, 160, batch) for batch in (1, 4))
    assert four == pytest.approx(4 * one, rel=0.01)
    matrices = 4 * 3 * (encoder.tokens(160) ** 2) * 2 * 4
    assert activation_bytes(encoder, 40, 160, 4, "math") - four == matrices


def test_estimate_leaves_the_encoder_as_it_is():
    encoder = build("vit", device="cpu", depth=2).eval()
    encoder.blocks[0].train()
    state = {name: value.clone() for name, value in encoder.state_dict().items()}
    activation_bytes(encoder, 40, 101, 2)
    assert not encoder.training and encoder.blocks[0].training and not encoder.blocks[1].training
    assert all(p.device.type == "cpu" and p.requires_grad for p in encoder.parameters())
    assert all(torch.equal(value, state[name]) for name, value in encoder.state_dict().items())


def test_parameters_count_with_gradients_and_adam():
    encoder = build("vit", depth=3, freeze_blocks=2)
    learned = sum(p.numel() for p in encoder.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in encoder.parameters()) - learned
    memory = training_memory(encoder, 40, 101, 2)
    assert memory.parameters == BYTES_PER_TRAINED * learned + 4 * frozen
    assert memory.total == memory.parameters + activation_bytes(encoder, 40, 101, 2)
    assert str(memory).endswith("parameters with gradients and Adam 11 MiB)")


class ReadsValues(nn.Module):
    def forward(self, feats):
        return feats[: int(feats.abs().max())]


def test_what_cannot_be_estimated_is_said():
    with pytest.raises(ValueError, match="ReadsValues cannot be estimated without values"):
        activation_bytes(ReadsValues(), 4, 10, 1)
    net = nn.Linear(4, 1)
    with pytest.raises(ValueError, match="batch must be .* got 0"):
        activation_bytes(net, 4, 10, 0)
    with pytest.raises(ValueError, match="attention must be one of"):
        activation_bytes(net, 4, 10, 1, attention="flash")
