"""The WaveNet stack against its counts, and against its equations step by step."""

import torch
from every_encoder import build, close, count, perturbed, published, signals
from torch.nn import functional as F


def test_wavenet_sizes():
    encoder = published("wavenet_dilated", 1)
    assert encoder.receptive_steps == 3070
    layers = count(encoder.gates) + count(encoder.mixes)
    # 64 -> 2 x 64 over two steps, 64 -> 128 + 64 over one; the last has nothing to add to.
    assert layers == 30 * (2 * 64 * 128 + 128 + 64 * 192 + 192) - (64 * 64 + 64) == 865_600


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
