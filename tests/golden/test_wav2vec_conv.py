"""The wav2vec 2.0 encoder against torchaudio's and transformers', and what lengths change."""

import copy

import pytest
import torch
from torchaudio.models.wav2vec2.components import _get_feature_extractor
from transformers import Wav2Vec2Config
from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2FeatureEncoder

from auricle.lobes import build_frontend
from auricle.lobes.contracts import project_after, valid_lengths

NORMS = ("group", "layer")
CHANNELS = 24
#: float32 rounding through seven layers; the outputs are about 0.1 to 3.
CLOSE = {"atol": 2e-5, "rtol": 1e-5}


def build(norm, channels=CHANNELS, sample_rate=16000, perturbed=False):
    torch.manual_seed(0)
    options = {"wav2vec_conv": {"channels": channels, "norm": norm}}
    frontend = build_frontend("wav2vec_conv", sample_rate, options)
    if perturbed:
        with torch.no_grad():
            for p in frontend.parameters():
                p.add_(0.3 * (p.std() if p.std() > 0 else 1.0) * torch.randn_like(p))
    return frontend.eval()


def torchaudio_of(frontend, norm):
    shapes = [(CHANNELS, 10, 5)] + [(CHANNELS, 3, 2)] * 4 + [(CHANNELS, 2, 2)] * 2
    theirs = _get_feature_extractor(f"{norm}_norm", shapes, bias=norm == "layer")
    theirs.load_state_dict(frontend.state_dict())  # strict: the same names and shapes
    return lambda wavs: theirs.eval()(wavs, None)[0]


def transformers_of(frontend, norm):
    config = Wav2Vec2Config(
        conv_dim=(CHANNELS,) * 7, feat_extract_norm=norm, conv_bias=norm == "layer"
    )
    theirs = Wav2Vec2FeatureEncoder(config)
    theirs.load_state_dict(frontend.state_dict())
    return lambda wavs: theirs.eval()(wavs).transpose(1, 2)


def signals(size=8000):
    """Noise, a chirp, and pulses at 110 Hz through two resonances, as in voiced speech."""
    generator = torch.Generator().manual_seed(1)
    time_s = torch.arange(size) / 16000
    pulses = (torch.arange(size) % 145 == 0).float()
    decay = torch.exp(-60 * time_s[:400])
    vowel = decay * (torch.sin(4400 * time_s[:400]) + 0.5 * torch.sin(7500 * time_s[:400]))
    speech = torch.nn.functional.conv1d(pulses[None, None], vowel.flip(0)[None, None], padding=399)
    return torch.stack(
        [
            0.1 * torch.randn(size, generator=generator),
            0.5 * torch.sin(2 * torch.pi * (100 + 6000 * time_s) * time_s),
            0.3 * speech[0, 0, :size],
        ]
    )


@pytest.mark.parametrize("perturbed", [False, True], ids=["initial", "perturbed"])
@pytest.mark.parametrize("oracle_of", [torchaudio_of, transformers_of])
@pytest.mark.parametrize("norm", NORMS)
@torch.no_grad()
def test_equals_the_other_libraries(norm, oracle_of, perturbed):
    frontend = build(norm, perturbed=perturbed)
    want = oracle_of(frontend, norm)(signals())
    assert want.std() > 0.01
    torch.testing.assert_close(frontend(signals()), want, **CLOSE)


@pytest.mark.parametrize("norm", NORMS)
@torch.no_grad()
def test_a_clip_in_a_padded_batch_equals_the_oracle_on_the_clip_alone(norm):
    frontend = build(norm, perturbed=True)
    theirs = torchaudio_of(frontend, norm)
    wavs, sizes = signals(), [8000, 5123, 400]
    lengths = torch.tensor(sizes) / 8000
    wavs[1, 5123:] = 5.0
    wavs[2, 400:] = float("nan")
    out = frontend(wavs, lengths)
    for item, size in enumerate(sizes):
        alone = theirs(wavs[item : item + 1, :size])[0]
        torch.testing.assert_close(out[item, : len(alone)], alone, **CLOSE)
        assert not out[item, len(alone) :].any()
    assert valid_lengths(frontend.frame_lengths(lengths, 8000), out.shape[1]).tolist() == [
        24,
        15,
        1,
    ]


@torch.no_grad()
def test_deviation_torchaudio_counts_padding_in_the_group_norm():
    """Half a clip of zeros changes what torchaudio gives for the other half."""
    frontend = build("group")
    wavs = signals()
    wavs[:, 4000:] = 0
    lengths = torch.full((3,), 0.5)
    padded = torchaudio_of(frontend, "group")(wavs)[:, :12]
    alone = torchaudio_of(frontend, "group")(wavs[:, :4000])
    assert (padded - alone).abs().max() > 0.05
    torch.testing.assert_close(frontend(wavs, lengths)[:, :12], alone, **CLOSE)


@pytest.mark.parametrize("norm", NORMS)
@torch.no_grad()
def test_gradients_do_not_come_from_the_padding(norm):
    frontend = build(norm)
    wavs = signals(2000).requires_grad_()
    with torch.enable_grad():
        frontend(wavs, torch.tensor([1.0, 0.6, 0.3])).square().sum().backward()
    assert not wavs.grad[1, 1200:].any() and not wavs.grad[2, 600:].any()
    assert wavs.grad[1, :1000].abs().sum() > 0


@torch.no_grad()
def test_number_of_frames_is_that_of_valid_convolutions():
    frontend = build("layer", channels=2)
    sizes = [400, 401, 719, 720, 721, 1039, 1040, 8000, 16000, 16079, 16080]
    expected = [1, 1, 1, 2, 2, 2, 3, 24, 49, 49, 50]
    assert [frontend.num_frames(size) for size in sizes] == expected
    assert [frontend(torch.zeros(1, size)).shape[1] for size in sizes] == expected


@pytest.mark.parametrize("norm", NORMS)
@torch.no_grad()
def test_a_clip_shorter_than_a_window_is_padded_with_zeros_to_one(norm):
    frontend = build(norm)
    short = signals()[:, :150]
    want = frontend(torch.nn.functional.pad(short, (0, 250)))
    assert want.shape[1] == frontend.num_frames(150) == 1
    assert torch.equal(frontend(short), want)
    # In company, and with what is padded there in the way.
    wavs = signals()
    out = frontend(wavs, torch.tensor([1.0, 150 / 8000, 150 / 8000]))
    torch.testing.assert_close(out[1:, :1], want[1:], **CLOSE)
    assert not out[1:, 1:].any()


@pytest.mark.parametrize("sample_rate, hop, window", [(8000, 160, 210), (16000, 320, 400)])
@torch.no_grad()
def test_a_frame_reads_its_window_and_no_more(sample_rate, hop, window):
    frontend = build("layer", sample_rate=sample_rate)
    assert (frontend.hop, frontend.window) == (hop, window)
    wavs = signals(3000)[:1]
    before = frontend(wavs)[0, 4]
    for sample, inside in {
        4 * hop - 1: False,
        4 * hop: True,
        4 * hop + window - 1: True,
        4 * hop + window: False,
    }.items():
        changed = wavs.clone()
        changed[0, sample] += 1.0
        assert torch.equal(frontend(changed)[0, 4], before) != inside, sample


@torch.no_grad()
def test_one_hop_later_is_one_frame_later():
    frontend = build("layer")
    wavs = signals()
    torch.testing.assert_close(frontend(wavs[:, 320:]), frontend(wavs)[:, 1:], **CLOSE)


@torch.no_grad()
def test_the_group_norm_takes_the_level_out():
    frontend = build("group")
    # 1e-5 is added to a variance that is about 1e-2 here.
    torch.testing.assert_close(frontend(8 * signals()), frontend(4 * signals()), atol=5e-3, rtol=0)


@pytest.mark.parametrize(
    "sample_rate, hop, window",
    [
        (8000, 160, 210),
        (11025, 224, 294),
        (22050, 448, 560),
        (44100, 896, 1120),
        (48000, 960, 1200),
    ],
)
def test_hop_is_near_20_ms_at_any_rate(sample_rate, hop, window):
    frontend = build("group", 2, sample_rate)
    assert (frontend.hop, frontend.window) == (hop, window)
    assert frontend(torch.zeros(1, sample_rate)).shape[1] == 1 + (sample_rate - window) // hop


@pytest.mark.parametrize("norm", NORMS)
def test_projection_leaves_initial_values_alone_and_revives_dead_filters(norm):
    frontend = build(norm)
    before = copy.deepcopy(frontend.state_dict())
    for layer in frontend.conv_layers:
        layer.project_()
    assert all(torch.equal(value, before[name]) for name, value in frontend.state_dict().items())

    dead = "conv_layers.3.conv.weight" if norm == "group" else "conv_layers.3.layer_norm.bias"
    parameter = dict(frontend.named_parameters())[dead]
    with torch.no_grad():
        parameter.sub_(100.0)
    frontend(signals()).square().sum().backward()
    assert not parameter.grad.any()  # for ever, without the projection
    parameter.grad = None
    frontend.conv_layers[3].project_()
    frontend(signals()).square().sum().backward()
    assert parameter.grad.abs().max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("norm", NORMS)
def test_200_steps_at_a_high_rate_stay_within_bounds_and_finite(norm):
    frontend = build(norm, channels=8).train()
    optimizer = torch.optim.SGD(frontend.parameters(), lr=1e4)
    project_after(optimizer, frontend)
    wavs = signals(1600)
    for _ in range(200):
        optimizer.zero_grad()
        frontend(wavs).mean().backward()
        optimizer.step()
    assert frontend(wavs).isfinite().all()
    if norm == "layer":
        assert max(layer.layer_norm.bias.abs().max() for layer in frontend.conv_layers) == 3.0
    else:
        norms = [layer.conv.weight.flatten(1).norm(dim=1) for layer in frontend.conv_layers[1:]]
        assert 15 < torch.cat(norms).max() < 16.1


def test_filters_are_those_of_the_first_layer():
    frontend = build("group", channels=3)
    with torch.no_grad():
        for number, freq_hz in enumerate((3000.0, 4000.0, 5000.0)):
            tone = torch.cos(2 * torch.pi * freq_hz / 16000 * torch.arange(10))
            frontend.conv_layers[0].conv.weight[number, 0] = tone * torch.hann_window(10)
    found = frontend.filters(2049)
    assert found.centre_hz == pytest.approx([3000.0, 4000.0, 5000.0], abs=200.0)
    assert len(found) == 3 and found.freqs_hz[-1] == pytest.approx(8000.0)
