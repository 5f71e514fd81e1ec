"""The memory estimate: by hand, against tensors that are alive in a step, against a process."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from auricle.lobes import build_encoder, build_frontend, build_normalization
from auricle.lobes.heads import build_head
from auricle.lobes.memory import estimate
from auricle.lobes.memory.estimate import SMALL_BYTES, WAVEFORM_COPIES, estimate_run
from auricle.lobes.model import Model
from auricle.processing.system.memory import peak_memory_bytes

MIB = 2**20


class Frames(nn.Module):
    """Waveform -> frames of 40 samples; keeps nothing."""

    def forward(self, wavs, lengths=None):
        return wavs.view(len(wavs), -1, 40)

    def frame_lengths(self, lengths, num_samples):
        return lengths


class Unchanged(nn.Module):
    def forward(self, feats, lengths=None):
        return feats


class Encoder(nn.Module):
    output = "frames"

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(40, 8), nn.Linear(8, 1)

    def forward(self, feats, lengths=None):
        return self.second(self.first(feats).relu())


class ReadsValues(Encoder):
    def forward(self, feats, lengths=None):
        assert float(feats.sum()) == float(feats.sum())
        return super().forward(feats)


def small_model(encoder=Encoder, head=None):
    return Model(Frames(), Unchanged(), encoder(), head)


def test_estimate_by_hand():
    model = small_model()
    got = estimate_run(model, 40 * 1000, 4, "sgd")
    # While relu runs its input is alive too; in backward the gradient takes that place.
    by_hand = 4 * 4 * 1000 * (8 + 8) + WAVEFORM_COPIES * 4 * 4 * 1000 * 40
    assert got.activations == pytest.approx(by_hand, rel=0.1)
    count = sum(p.numel() for p in model.parameters())
    assert got.parameters == 4 * count * 3
    assert estimate_run(model, 40 * 1000, 4, "adam").parameters == 4 * count * 4
    model.embedding_model.first.requires_grad_(False)
    assert estimate_run(model, 40 * 1000, 4).parameters == 4 * (count + 3 * 9)
    assert got.total == got.activations + got.parameters + got.process + got.kept
    assert estimate_run(model, 40 * 1000, 4, cache_bytes=2**30).cache == 2**30
    assert got.process > 50 * MIB
    assert estimate_run(model, 40 * 1000, 4, device="cuda").process == 0


@pytest.mark.parametrize("head", [None, nn.LazyLinear(3)], ids=["no head", "lazy head"])
@pytest.mark.parametrize("batch", [1, 2, 6])
def test_values_that_are_read_change_no_estimate(batch, head):
    first, second = (
        estimate_run(small_model(encoder, head), 40 * 1000, batch).activations
        for encoder in (Encoder, ReadsValues)
    )
    assert second == pytest.approx(first, rel=0.01)
    assert head is None or head.has_uninitialized_params()


def test_an_error_of_the_model_itself_is_raised():
    class Broken(Encoder):
        def forward(self, feats, lengths=None):
            raise ZeroDivisionError("no such layer")

    with pytest.raises(ZeroDivisionError, match="no such layer"):
        estimate_run(small_model(Broken), 400, 2)


def built(frontend, encoder, options=None, freeze=False):
    torch.manual_seed(0)
    first = build_frontend(frontend, 16000)
    net = build_encoder(encoder, first.num_features, 101, {encoder: options or {}})
    if freeze:
        for part in list(net.children())[: len(list(net.children())) // 2]:
            part.requires_grad_(False)
    head = build_head("classifier", net.out_features, 5)
    return Model(first, build_normalization("auto", first), net, head)


CASES = {
    "convolutions": ("mel", "cnn14", {"channels": (4, 8, 8)}),
    "waveform": ("waveform", "m5"),
    "learned frontend": ("leaf", "bcresnet"),
    "gru": ("mel", "crnn"),
    "lstm": ("stft_mel", "blstm", {"hidden": 16}),
    "attention": ("mel", "vit", {"depth": 3}),
    "fixed length": ("mel", "mlp_mixer"),
    "frozen part": ("mel", "bcresnet", {}, True),
}
WIDE = ("learned frontend", "fixed length", "frozen part")


def state_of(model):
    values = {name: value.clone() for name, value in model.state_dict().items()}
    training = [part.training for part in model.modules()]
    return values, training, torch.get_rng_state()


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.long] * (case in WIDE)) for case in CASES]
)
def test_estimate_is_what_is_alive_in_a_real_step_and_leaves_the_model_alone(case):
    model = built(*CASES[case]).eval()
    model.embedding_model.train()
    values, training, random = state_of(model)
    got = estimate_run(model, 16000, 4)
    assert estimate_run(model, 16000, 4).activations == got.activations
    after, training_after, random_after = state_of(model)
    assert torch.equal(random, random_after) and training == training_after
    assert all(torch.equal(after[name], value) for name, value in values.items())
    assert all(p.grad is None for p in model.parameters()) and "frames" not in vars(model)

    wavs, lengths = torch.randn(4, 16000), torch.ones(4)
    real = estimate._measure(lambda: model.train()(wavs, lengths))
    peak = max(real.forward, real.backward) - real.left
    if case == "attention":
        # The frames count as kept. ViT keeps nothing but its own copy of them, so that its estimate is
        # above the real peak by one batch of frames, a quarter of the memory of so small a net.
        peak += model.frames(wavs, lengths)[0].nbytes
    assert got.activations - WAVEFORM_COPIES * wavs.nbytes == pytest.approx(peak, rel=0.1)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_batch_beyond_all_memory_is_estimated_and_never_made():
    model = built("mel", "cnn14", {"channels": (4, 8, 8)})
    estimate_run(model, 16000, 4)  # what is loaded once
    before = peak_memory_bytes()
    got = estimate_run(model, 16000, 10_000_000)
    assert got.activations > 2**40 and peak_memory_bytes() - before < 200 * MIB


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="batch_items must be .* got 0"):
        estimate_run(small_model(), 400, 0)
    with pytest.raises(ValueError, match="optimizing must be one of .*'sgd'.* got 'lbfgs'"):
        estimate_run(small_model(), 400, 1, "lbfgs")


STEPS = """
import sys
from auricle.processing.system.memory import *
use_large_pages()
import torch
from auricle.lobes import build_encoder, build_frontend, build_normalization
from auricle.lobes.memory.estimate import estimate_run
from auricle.lobes.model import Model

keep_freed_memory()
frontend = build_frontend("waveform", 16000)
model = Model(frontend, build_normalization("none"), build_encoder("m5", 1, 16000))
batch = int(sys.argv[1])
memory = estimate_run(model, 16000, batch, "sgd")
if not memory.small:
    give_freed_memory_back()
print(memory.total, memory.activations)
for step in range(2):
    model(torch.randn(batch, 16000)).sum().backward()
    model.zero_grad(set_to_none=True)
print(peak_memory_bytes())
"""


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="about Linux and glibc")
@pytest.mark.parametrize("batch", [8, 80])
def test_a_process_stays_within_its_estimate(batch):
    words = [sys.executable, "-c", STEPS, str(batch)]
    settings = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(words, env=settings, capture_output=True, text=True, check=True)
    total, activations, peak = ended.stdout.split()
    assert (int(activations) > SMALL_BYTES) == (batch == 80)
    assert int(peak) <= 1.3 * int(total)
    assert int(total) <= 1.3 * int(peak)  # nor twice what is needed
