"""The encoders that give a step for every few frames, against other people's layers."""

import json
import math

import pytest
import torch
import transformers
from every_encoder import build, count, perturbed
from picture_encoders import close
from refusals import refused
from sounds import waveforms
from spectrogram_signals import signals
from speechbrain.lobes.models.CRDNN import CRDNN
from speechbrain.lobes.models.transformer.Conformer import ConformerEncoder
from speechbrain.nnet.attention import RelPosEncXL
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from auricle.lobes import build_encoder
from auricle.lobes.encoders import _transformers_folder
from auricle.lobes.encoders._transformers_folder import SMALL as SMALL_MODEL
from auricle.lobes.encoders.wav2vec2 import Wav2Vec2
from auricle.lobes.layers.masks import mask_padding

# -- all of them -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["blstm", "bcresnet_blstm", "crdnn", "conformer"])
@torch.no_grad()
def test_dropout_is_what_is_drawn_in_training(name):
    def runs(**options):
        encoder = build(name, **options).train()
        return encoder(signals(20)), encoder(signals(20))

    first, second = runs(dropout=0.5)
    assert (first - second).abs().max() > 1e-3
    torch.testing.assert_close(*runs(dropout=0.0))


# -- blstm -----------------------------------------------------------------------------------------


def torchs_lstm(ours):
    """`nn.LSTM` in both directions with the same parameters."""
    hidden, layers = ours.ahead[0].hidden_size, len(ours.ahead)
    lstm = nn.LSTM(ours.ahead[0].input_size, hidden, layers, batch_first=True, bidirectional=True)
    state = {}
    for direction, suffix in ((ours.ahead, ""), (ours.back, "_reverse")):
        for layer, one in enumerate(direction):
            for name, value in one.state_dict().items():
                state[name.replace("_l0", f"_l{layer}") + suffix] = value
    lstm.load_state_dict(state)
    return lstm


def packed(lstm, x, frames):
    sequences = pack_padded_sequence(x, frames, batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(lstm(sequences)[0], batch_first=True, total_length=x.shape[1])[0]


@pytest.mark.parametrize("change", [lambda module: module, perturbed], ids=["drawn", "perturbed"])
def test_blstm_is_torchs_on_packed_sequences(change):
    encoder = change(build("blstm"))
    lstm, frames = torchs_lstm(encoder.lstm), torch.tensor([50, 31, 1])
    ours, other = signals(50).requires_grad_(), signals(50).requires_grad_()
    want = packed(lstm, other, frames)
    got = encoder(ours, frames / 50)
    close(got, want)
    close(encoder(ours), lstm(other)[0])
    direction = torch.randn(got.shape)
    (got * direction).sum().backward()
    (want * direction).sum().backward()
    close(ours.grad, other.grad)


# -- bcresnet_blstm --------------------------------------------------------------------------------


@torch.no_grad()
def test_bcresnet_blstm_is_bcresnet_without_its_mean_and_an_lstm():
    encoder = perturbed(build("bcresnet_blstm")).eval()
    bcresnet = build("bcresnet").eval()
    bcresnet.load_state_dict(encoder.net.state_dict())
    seen = []
    encoder.lstm.register_forward_hook(lambda module, given, out: seen.append(given[0]))
    lengths, frames = torch.tensor([1.0, 0.7, 0.3]), torch.tensor([50, 35, 15])
    got = encoder(signals(50), lengths)
    means = mask_padding(seen[0], lengths).sum(1) / frames[:, None]
    close(means, bcresnet(signals(50), lengths)[:, 0])
    close(got, packed(torchs_lstm(encoder.lstm), seen[0], frames))


# -- crdnn -----------------------------------------------------------------------------------------


def speechbrains_crdnn(ours, time_pooling=2):
    other = CRDNN(
        input_size=40,
        dropout=0.0,
        cnn_channels=[4, 6],
        time_pooling=time_pooling > 1,
        time_pooling_size=time_pooling,
        rnn_layers=2,
        rnn_neurons=8,
        dnn_neurons=10,
    )
    missing = other.load_state_dict(ours.net.state_dict(), strict=False)
    assert {key.split(".")[-1] for key in missing.missing_keys} == {"drop_masks"}
    assert not missing.unexpected_keys
    return other


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("change", [lambda module: module, perturbed], ids=["drawn", "perturbed"])
def test_crdnn_is_speechbrains(change, training):
    encoder = change(build("crdnn", dropout=0.0))
    other = speechbrains_crdnn(encoder)
    got = encoder.train(training)(signals(60))
    close(got, other.train(training)(signals(60)), 1e-4)
    for name, value in encoder.net.named_buffers():
        torch.testing.assert_close(value, other.get_buffer(name))


@torch.no_grad()
def test_crdnn_gives_every_item_what_speechbrains_gives_it_alone():
    encoder = perturbed(build("crdnn")).eval()
    other = speechbrains_crdnn(encoder).eval()
    feats = signals(60)
    got, theirs = encoder(feats, torch.tensor([1.0, 0.5, 0.4])), other(feats)
    for item, frames in enumerate((60, 30, 24)):
        alone = other(feats[item : item + 1, :frames])[0]
        close(got[item, : frames // 2], alone)
        if frames < 60:
            assert (theirs[item, : frames // 2] - alone).abs().max() > 1e-2 * alone.abs().max()


@pytest.mark.parametrize("pooling", [1, 3])
@torch.no_grad()
def test_crdnn_pools_the_frames_that_are_left(pooling):
    encoder = perturbed(build("crdnn", time_pooling=pooling)).eval()
    other = speechbrains_crdnn(encoder, pooling).eval()
    close(encoder(signals(60)), other(signals(60)))
    for frames in (1, 2, 59, 61):
        steps = math.ceil(frames / pooling)
        assert encoder(signals(61)[:, :frames]).shape[1] == encoder.num_frames(frames) == steps


@torch.no_grad()
def test_crdnn_drops_recurrent_units_for_a_whole_clip():
    encoder = build("crdnn", rnn_units=64, dropout=0.5).train()
    seen = []
    encoder.net.DNN.block_0.linear.register_forward_pre_hook(lambda module, x: seen.append(x[0]))
    encoder(signals(60))
    silent = (seen[0] == 0).all(1).float()
    assert 0.3 < silent.mean() < 0.7
    assert not torch.equal(silent[0], silent[1])


def test_crdnn_and_conformer_as_they_come():
    encoder = build_encoder("crdnn", 40)
    assert count(encoder) == 285_424
    assert encoder.stride == build_encoder("conformer", 40).stride == 2
    means = [part.running_mean for part in encoder.modules() if isinstance(part, nn.BatchNorm1d)]
    assert len(means) == 4 and not any(mean.any() for mean in means)


@pytest.mark.slow
def test_crdnn_as_published():
    encoder = build("crdnn", channels=(128, 256), rnn_layers=4, rnn_units=512, dnn_units=512)
    assert count(encoder) == 9_737_088
    assert not any("drop_masks" in key for key in encoder.state_dict())


def test_crdnn_takes_four_features_or_more():
    refused("at least 4 features", build, "crdnn", 3)


# -- conformer -------------------------------------------------------------------------------------


def speechbrains_conformer(ours):
    other = ConformerEncoder(num_layers=2, d_model=16, d_ffn=24, nhead=2)
    other.load_state_dict(ours.net.state_dict())
    return other.eval()


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("change", [lambda module: module, perturbed], ids=["drawn", "perturbed"])
@torch.no_grad()
def test_conformer_is_speechbrains(change, stride):
    encoder = change(build("conformer", stride=stride)).eval()
    other, feats = speechbrains_conformer(encoder), signals(60)
    side_by_side = torch.stack([feats[:, k::stride] for k in range(stride)], dim=2).flatten(2)
    x = encoder.input(side_by_side)
    want, _ = other(x, pos_embs=RelPosEncXL(16)(x))
    close(encoder(feats), want)


@torch.no_grad()
def test_conformer_gives_every_item_what_speechbrains_gives_it_alone():
    encoder = perturbed(build("conformer", stride=1)).eval()
    other, feats = speechbrains_conformer(encoder), signals(60)
    frames = torch.tensor([60, 30, 20])
    x = encoder.input(feats)
    padding = torch.arange(60) >= frames[:, None]
    theirs, _ = other(x, pos_embs=RelPosEncXL(16)(x), src_key_padding_mask=padding)
    got = encoder(feats, frames / 60)
    for item, size in enumerate(frames.tolist()):
        alone, _ = other(x[item : item + 1, :size], pos_embs=RelPosEncXL(16)(x[:, :size]))
        close(got[item, :size], alone[0])
        if size < 60:
            assert (theirs[item, :size] - alone[0]).abs().max() > 1e-2 * alone.abs().max()


# -- wav2vec2 --------------------------------------------------------------------------------------

#: Base models normalise the first convolution over the clip, large ones every one over channels.
LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
MODELS = {
    "wav2vec2": (transformers.Wav2Vec2Config, transformers.Wav2Vec2Model, {}),
    "wav2vec2-large": (transformers.Wav2Vec2Config, transformers.Wav2Vec2Model, LARGE),
    "hubert": (transformers.HubertConfig, transformers.HubertModel, {}),
    "hubert-large": (transformers.HubertConfig, transformers.HubertModel, LARGE),
    "pre-trained": (transformers.Wav2Vec2Config, transformers.Wav2Vec2ForPreTraining, {}),
}


def saved(folder, kind, seed=0):
    """A model of random values in a folder, perturbed, and the model itself."""
    config, model, options = MODELS[kind]
    torch.manual_seed(seed)
    model = perturbed(model(config(**SMALL_MODEL, **options))).eval()
    model.save_pretrained(folder)
    return getattr(model, "wav2vec2", model)


def from_path(path, **options):
    return build_encoder("wav2vec2", 1, options={"wav2vec2": {"path": str(path), **options}})


@pytest.mark.parametrize("kind", MODELS)
@torch.no_grad()
def test_wav2vec2_is_transformers(tmp_path, kind):
    model, encoder = saved(tmp_path, kind), from_path(tmp_path).eval()
    wavs = waveforms()
    close(encoder(wavs[..., None]), model(wavs).last_hidden_state)
    frames = [5000, 2999, 400]
    for item, size in enumerate(frames):
        wavs[item, size:] = 9.0
    got = encoder(wavs[..., None], torch.tensor(frames) / 5000)
    for item, size in enumerate(frames):
        alone = model(wavs[item : item + 1, :size]).last_hidden_state[0]
        assert len(alone) == encoder.num_frames(size)
        torch.testing.assert_close(got[item, : len(alone)], alone, rtol=0, atol=1e-4)
        assert not got[item, len(alone) :].any()


def test_wav2vec2_steps(tmp_path):
    model, encoder = saved(tmp_path, "wav2vec2"), from_path(tmp_path)
    assert (encoder.stride, encoder.window, encoder.out_features) == (320, 400, 32)
    samples = torch.tensor([400, 401, 719, 720, 721, 16000, 48001])
    want = model._get_feat_extract_output_lengths(samples).tolist()
    assert [encoder.num_frames(n) for n in samples] == want
    assert [encoder.num_frames(n) for n in (0, 1, 399)] == [0, 1, 1]
    assert encoder(torch.randn(2, 3, 1), torch.tensor([1.0, 0.0])).isfinite().all()


def test_wav2vec2_freezes_what_is_asked(tmp_path):
    saved(tmp_path, "wav2vec2")
    learned = {}
    for freeze in ("none", "feature_encoder", "all"):
        encoder = from_path(tmp_path, freeze=freeze).train()
        learned[freeze] = {name for name, p in encoder.named_parameters() if p.requires_grad}
        outputs = [encoder(waveforms()[..., None]) for _ in range(2)]
        assert torch.equal(*outputs) == (freeze == "all")  # no dropout in what does not learn
    everything = {name for name, _ in encoder.named_parameters()}
    assert learned["none"] == everything and not learned["all"]
    convolutions = {name for name in everything if name.startswith("model.feature_extractor.")}
    assert learned["feature_encoder"] == everything - convolutions and convolutions
    assert from_path(tmp_path).freeze == "feature_encoder"


def test_wav2vec2_without_a_path_is_random_and_says_so():
    with pytest.warns(UserWarning, match=r"random values.*wav2vec2: \{path: FOLDER\}"):
        encoder = build_encoder("wav2vec2", 1)
    assert encoder.model.encoder.pos_conv_embed.conv.weight.std() > 0
    assert not encoder.model.config.layerdrop and not encoder.model.config.apply_spec_augment


def test_wav2vec2_refuses_pickles(tmp_path):
    model = saved(tmp_path, "wav2vec2")
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    refused(r"no \*\.safetensors.*not read.*save_pretrained", from_path, tmp_path)


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert"])
def test_a_config_reaches_transformers_by_an_allow_list(tmp_path, kind, monkeypatch):
    saved(tmp_path, kind)
    about = json.loads((tmp_path / "config.json").read_text())
    about |= {"_attn_implementation": "someone/kernel", "auto_map": {"AutoModel": "code.Model"}}
    about |= {"quantization_config": {"quant_method": "gptq"}, "_name_or_path": "someone/model"}
    (tmp_path / "config.json").write_text(json.dumps(about))
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "someone/model"}')
    config, model, _ = MODELS[kind]
    seen = []

    def spy(**settings):
        seen.append(settings)
        return config(**settings)

    monkeypatch.setattr(_transformers_folder, "classes_of", lambda *_: (spy, model))
    from_path(tmp_path)
    (settings,) = seen
    assert {"hidden_size", "layerdrop"} < {*settings}
    assert {*settings} <= {*_transformers_folder.NETWORK, *_transformers_folder.SETTINGS}


def test_wav2vec2_refuses_what_it_cannot_open(tmp_path):
    refused("'/nowhere', which is no folder; nothing is downloaded", from_path, "/nowhere")
    refused("has no config.json", from_path, tmp_path)
    saved(tmp_path, "wav2vec2")
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace('"wav2vec2"', '"bert"'))
    refused(r"\('wav2vec2', 'hubert'\), got model_type 'bert'", from_path, tmp_path)
    deeper = config.replace('"num_hidden_layers": 2', '"num_hidden_layers": 3')
    assert deeper != config
    (tmp_path / "config.json").write_text(deeper)
    refused(r"model_type wav2vec2: it lacks encoder\.layers\.2\.", from_path, tmp_path)
    refused("freeze must be one of .* got 'everything'", from_path, tmp_path, freeze="everything")
    refused("set frontend: waveform. Encoders that fit: ", build_encoder, "wav2vec2", 40)
    refused("in_features must be 1, the samples themselves, got 40", Wav2Vec2, 40)
