"""The encoders for music against published counts and sizes, and against their formulas, written
out with plain layers of torch as the sources have them."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from auricle.lobes import build_encoder
from auricle.lobes.encoders.sample_cnn import cut_windows, mean_of_windows
from auricle.lobes.registry import LobeError

#: Each encoder, small where the published one is slow on a CPU.
SMALL = {
    "sample_cnn": {"channels": (4, 6, 8)},  # windows of 27 samples
    "m5": {"channels": (8, 8, 12, 16)},
    "wavenet_dilated": {"stride": 16, "stacks": 2, "layers": 3, "channels": 6, "skip_channels": 8},
    "envnet": {"dense": 16},
    "vggish": {"channels": (4, 6, 8, 8), "dense": 16, "embedding_size": 12, "patch_frames": 32},
    "crnn": {"channels": (6, 8, 8, 8), "hidden": 6},
    "musicnn": {"vertical": 6, "horizontal": 4, "channels": 5, "dense": 12},
}
WAVEFORM = ("sample_cnn", "m5", "wavenet_dilated", "envnet")
WINDOWED = {"sample_cnn": 27, "envnet": 24_014, "vggish": 32}
SEQUENCE = ("wavenet_dilated", "crnn", "musicnn")
#: Of one padded batch: several windows and less than one, and a single frame.
FRAMES = {"envnet": (60_000, 24_015, 24_014, 9000, 1), "crnn": (250, 193, 96, 31, 1)}
DEFAULT_FRAMES = (200, 160, 81, 27, 7, 1)
#: Three recordings and what is behind them.
TRAINING_FRAMES = {"envnet": (50_000, 24_100, 500)}


def features_of(name):
    return 1 if name in WAVEFORM else 40


def build(name, in_features=None, **options):
    torch.manual_seed(0)
    in_features = features_of(name) if in_features is None else in_features
    return build_encoder(name, in_features, None, {name: {**SMALL[name], **options}})


def perturbed(encoder):
    """In eval mode, with running statistics and parameters that are not those of the beginning."""
    generator = torch.Generator().manual_seed(1)
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


def with_head(encoder, outputs):
    return count(encoder) + outputs * (encoder.out_features + 1)


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


# -- all of them -----------------------------------------------------------------------------------


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


# -- windows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 2, 9, 10, 11, 19, 20, 21, 100, 101, 109])
def test_windows_cover_a_clip_evenly_and_no_more_often_than_needed(frames):
    x, counts = cut_windows(torch.arange(float(frames)).view(1, -1, 1), None, 10)
    x = x[..., 0].long()
    assert counts == [max(1, math.ceil(frames / 10))] == [len(x)]
    assert set(x.flatten().tolist()) == set(range(frames))
    if frames < 10:
        assert x[0].tolist() == [i % frames for i in range(10)]
        return
    assert x[0, 0] == 0 and x[-1, -1] == frames - 1
    assert (x.diff(dim=1) == 1).all()
    steps = x[:, 0].diff()
    assert len(x) == 1 or (steps.max() <= 10 and steps.max() - steps.min() <= 1)


@pytest.mark.parametrize("name", WINDOWED)
@torch.no_grad()
def test_a_clip_is_the_mean_of_its_windows(name):
    encoder, size = perturbed(build(name)), WINDOWED[name]
    feats = torch.randn(2, 2 * size, features_of(name)) * torch.tensor([0.3, 2.0])[:, None, None]
    halves = [encoder(half) for half in feats.split(size, dim=1)]
    close(encoder(feats), sum(halves) / 2)
    overlapping = (encoder(feats[:, :size]) + encoder(feats[:, 5 : size + 5])) / 2
    close(encoder(feats[:, : size + 5]), overlapping)
    short = feats[:, : size // 3]
    close(encoder(short), encoder(short.repeat(1, 4, 1)[:, :size]))


def test_the_mean_is_of_each_clip_s_own_windows():
    x = torch.tensor([[1.0], [2.0], [6.0], [5.0]], dtype=torch.bfloat16)
    mean = mean_of_windows(x, [1, 3])
    torch.testing.assert_close(mean, torch.tensor([[1.0], [13 / 3]]))


def test_windows_side_by_side_are_the_input_itself():
    feats = torch.randn(2, 30, 1)
    x, counts = cut_windows(feats, torch.ones(2), 10)
    assert counts == [3, 3] and x.data_ptr() == feats.data_ptr()


# -- sample_cnn ------------------------------------------------------------------------------------


def test_sample_cnn_sizes():
    encoder = published("sample_cnn", 1)
    assert encoder.window == 59_049
    assert count(encoder) == 1_844_224 and with_head(encoder, 50) == 1_869_874
    assert count(published("sample_cnn", 1, last_kernel=3)) == 1_844_224 + 524_288


def test_sample_cnn_keeps_810_mib_for_twelve_windows():
    """As the source's layers do: nothing is held twice."""
    encoder = published("sample_cnn", 1).train()
    mib = kept_bytes(encoder, torch.empty(12, 59_049, 1, device="meta")) / 2**20
    assert mib == pytest.approx(810, abs=1)


@pytest.mark.parametrize("last_kernel", [1, 3])
@torch.no_grad()
def test_sample_cnn_is_the_source_s_layers(last_kernel):
    encoder = perturbed(build("sample_cnn", last_kernel=last_kernel))
    feats = signals("sample_cnn", 27)
    x = F.conv1d(
        feats.transpose(1, 2), encoder.convolutions[0].weight, encoder.convolutions[0].bias, 3
    )
    x = encoder.norms[0](x).relu()
    assert x.shape[2] == 9
    for convolution, norm in zip(encoder.convolutions[1:-1], encoder.norms[1:-1], strict=True):
        x = F.conv1d(x, convolution.weight, convolution.bias, padding=1)
        x = nn.MaxPool1d(3)(norm(x).relu())
    last = encoder.convolutions[-1]
    x = encoder.norms[-1](F.conv1d(x, last.weight, last.bias, padding=last_kernel // 2)).relu()
    assert x.shape == (4, 8, 1)
    close(encoder(feats), x.transpose(1, 2))


# -- m5 --------------------------------------------------------------------------------------------


def test_m5_sizes():
    assert with_head(published("m5", 1), 2) == 555_010
    tutorial = published("m5", 1, channels=(32, 32, 64, 64), stride=16)
    assert with_head(tutorial, 35) == 26_915


def test_m5_steps_of_the_paper_s_table():
    """8 kHz, 4 s: 32,000 samples, then 8,000, 2,000, 500, 125 and 32 steps."""
    encoder = published("m5", 1)
    given = []
    for convolution in encoder.convolutions:
        convolution.register_forward_hook(lambda layer, args, out: given.append(out.shape[2]))
    encoder(torch.empty(1, 32_000, 1, device="meta"))
    assert given == [8000, 2000, 500, 125] and math.ceil(125 / 4) == 32


@torch.no_grad()
def test_m5_is_its_layers():
    encoder = perturbed(build("m5"))
    feats = signals("m5", 1024)
    x = F.pad(feats.transpose(1, 2), (38, 41))
    for index, (convolution, norm) in enumerate(
        zip(encoder.convolutions, encoder.norms, strict=True)
    ):
        stride, padding = (1, 1) if index else (4, 0)
        x = F.conv1d(x, convolution.weight, convolution.bias, stride, padding)
        x = nn.MaxPool1d(4)(norm(x).relu())
    assert x.shape[2] == 1024 // 4**5
    close(encoder(feats), x.mean(2, keepdim=True).transpose(1, 2))


# -- wavenet_dilated -------------------------------------------------------------------------------


def test_wavenet_sizes():
    encoder = published("wavenet_dilated", 1)
    assert encoder.receptive_steps == 3070
    layers = count(encoder.gates) + count(encoder.mixes)
    # 64 -> 2 x 64 over two steps, 64 -> 128 + 64 over one; the last has nothing to add to.
    assert layers == 30 * (2 * 64 * 128 + 128 + 64 * 192 + 192) - (64 * 64 + 64) == 865_600
    assert count(encoder) == layers + 2 * 128 * 64 + 64 + 128 * 128 + 128 == 898_560


@torch.no_grad()
def test_wavenet_is_its_equations_step_by_step():
    """z = tanh(W_f * x) sigmoid(W_g * x), x + W_r z, sum of W_s z; zeros before the beginning."""
    encoder = perturbed(build("wavenet_dilated", output="frames"))
    feats = signals("wavenet_dilated", 16 * 20)
    wavs = F.pad(feats[..., 0], (16, 0))
    kernel, bias = encoder.front.weight[:, 0], encoder.front.bias
    x = [wavs[:, 16 * t : 16 * t + 32] @ kernel.T + bias for t in range(20)]
    total = [0.0] * 20
    for index, (gate, mix) in enumerate(zip(encoder.gates, encoder.mixes, strict=True)):
        apart = (1, 2, 4)[index % 3]
        before = [x[t - apart] if t >= apart else torch.zeros_like(x[0]) for t in range(20)]
        for t in range(20):
            both = before[t] @ gate.weight[..., 0].T + x[t] @ gate.weight[..., 1].T + gate.bias
            mixed = (both[:, :6].tanh() * both[:, 6:].sigmoid()) @ mix.weight[..., 0].T + mix.bias
            total[t] = total[t] + mixed[:, :8]
            if index < 5:
                x[t] = x[t] + mixed[:, 8:]
    after = torch.stack(total, 1).relu() @ encoder.after.weight[..., 0].T + encoder.after.bias
    close(encoder(feats), after.relu())
    mean = perturbed(build("wavenet_dilated"))(feats)
    close(mean, after.relu().mean(1, keepdim=True))


def test_wavenet_step_depends_on_exactly_its_past():
    encoder = perturbed(build("wavenet_dilated", output="frames"))
    assert encoder.receptive_steps == 1 + 2 * 7
    feats = torch.randn(1, 16 * 40, 1, requires_grad=True)
    encoder(feats)[0, 30].sum().backward()
    reached = feats.grad[0, :, 0].nonzero()[:, 0]
    # The step itself reads two strides of samples.
    assert reached.max() == 16 * 31 - 1 and reached.min() == 16 * (31 - 15 - 1)


# -- envnet ----------------------------------------------------------------------------------------


def test_envnet_sizes():
    encoder = published("envnet", 1)
    assert with_head(encoder, 50) == 48_560_638
    dense = 50 * 11 * 14 * 4096 + 4096 + 4096 * 4096 + 4096
    assert count(encoder.dense) == dense and count(encoder) - dense == 31_180


@torch.no_grad()
def test_envnet_is_the_source_s_pictures():
    """Its convolutions on the waveform are of pictures one row high, turned on their side."""
    encoder = perturbed(build("envnet"))
    feats = signals("envnet", 24_014)
    x = feats.transpose(1, 2)[:, :, None]  # (B, 1, 1, T)
    norms = []
    for norm in (*encoder.waveform_norms, *encoder.norms):
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        norms.append((scale[:, None, None], (norm.bias - norm.running_mean * scale)[:, None, None]))
    kernels = [layer.weight[:, :, None] for layer in encoder.waveform_convolutions]
    kernels += [layer.weight for layer in encoder.convolutions]
    shapes = []
    for kernel, (scale, shift), pool in zip(
        kernels, norms, (None, (1, 160), 3, (1, 3)), strict=True
    ):
        x = (F.conv2d(x, kernel) * scale + shift).relu()
        if pool:
            x = nn.MaxPool2d(pool, ceil_mode=True)(x)
        if pool == (1, 160):
            x = x.transpose(1, 2)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(40, 1, 24_007), (1, 40, 150), (50, 11, 46), (50, 11, 14)]
    x = x.flatten(1)
    for layer in encoder.dense:
        x = layer(x).relu()
    close(encoder(feats), x[:, None])


# -- vggish ----------------------------------------------------------------------------------------


def test_vggish_sizes_and_names():
    encoder = published("vggish", 64)
    assert count(encoder) == 72_141_184 and count(encoder.embeddings) == 67_641_472
    layers = [f"features.{i}" for i in (0, 3, 6, 8, 11, 13)] + [
        f"embeddings.{i}" for i in (0, 2, 4)
    ]
    assert list(encoder.state_dict()) == [
        f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")
    ]


@torch.no_grad()
def test_vggish_is_the_source_s_layers():
    """Channels last in front of the dense layers, as TensorFlow has them; no activation behind."""
    encoder = perturbed(build("vggish", patch_frames=96))
    feats = signals("vggish", 96)
    x = feats[:, None]
    layers = [layer for layer in encoder.features if isinstance(layer, nn.Conv2d)]
    for index, layer in enumerate(layers):
        x = F.conv2d(x, layer.weight, layer.bias, padding=1).relu()
        if index in (0, 1, 3, 5):
            x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2), value=-math.inf)
            x = F.max_pool2d(x, 2)
    assert x.shape[1:] == (8, 6, 3)
    x = x.permute(0, 2, 3, 1).reshape(len(x), -1)
    first, second, last = encoder.embeddings[0], encoder.embeddings[2], encoder.embeddings[4]
    x = last(second(first(x).relu()).relu())
    assert (x < 0).any()
    close(encoder(feats), x[:, None])


def test_vggish_starts_with_outputs_of_the_size_of_its_inputs():
    """With the published standard deviation of 0.01 they would be 1e-6 of it."""
    torch.manual_seed(0)
    encoder = build_encoder("vggish", 64, None, {"vggish": {"dense": 256}})
    with torch.no_grad():
        out = encoder(torch.randn(4, 96, 64))
    assert 0.1 < float(out.std()) < 10 and float((out - out.mean(0)).std()) > 0.01


# -- crnn ------------------------------------------------------------------------------------------


def test_crnn_sizes():
    assert with_head(published("crnn", 96), 50) == 394_100
    assert count(published("crnn", 40)) == count(published("crnn", 229)) == 392_450
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


# -- musicnn ---------------------------------------------------------------------------------------


def test_musicnn_sizes():
    small = published("musicnn", 96)
    assert small.convolutions[0].in_channels == 561
    assert with_head(small, 50) == 784_300
    # The authors' own: 787 thousand. It normalises the pooled values once more, and its filters of
    # 128, 64 and 32 frames are one shorter.
    assert with_head(small, 50) + 2 * 2 * (561 + 3 * 64) - 3 * 51 == 787_159
    assert with_head(published("musicnn", 96, channels=512, dense=500), 50) == 7_972_000
    heights = [layer.kernel_size for layer in small.vertical]
    assert heights == [(67, 7), (38, 7)]


@torch.no_grad()
def test_musicnn_is_the_source_s_layers():
    encoder = perturbed(build("musicnn"))
    feats = signals("musicnn", 90)
    x = encoder.input_norm(feats.transpose(1, 2)[:, None])
    parts = []
    for layer, norm in zip(encoder.vertical, encoder.vertical_norms, strict=True):
        y = norm(F.conv2d(x, layer.weight, layer.bias, padding=(0, 3))).relu()
        parts.append(nn.MaxPool2d((y.shape[2], 1))(y).squeeze(2))
    mean = nn.AvgPool2d((40, 1))(x).squeeze(2)
    for layer, norm, long in zip(
        encoder.horizontal, encoder.horizontal_norms, (129, 65, 33), strict=True
    ):
        parts.append(norm(F.conv1d(mean, layer.weight, layer.bias, padding=long // 2)).relu())
    front = torch.cat(parts, 1)
    layers = [
        lambda x, i=i: encoder.norms[i](
            F.conv1d(x, encoder.convolutions[i].weight, encoder.convolutions[i].bias, padding=3)
        ).relu()
        for i in range(3)
    ]
    first = layers[0](front)
    second = layers[1](first) + first
    third = layers[2](second) + second
    every = torch.cat([front, first, second, third], 1)
    pooled = torch.cat([nn.MaxPool1d(90)(every), nn.AvgPool1d(90)(every)], 1).squeeze(2)
    norm = encoder.dense_norm
    dense = F.linear(pooled, encoder.dense.weight, encoder.dense.bias) - norm.running_mean
    dense = dense / (norm.running_var + 1e-5).sqrt() * norm.weight + norm.bias
    close(encoder(feats), dense.relu()[:, None])
