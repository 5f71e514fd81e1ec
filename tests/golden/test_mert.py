"""MERT against transformers' HuBERT, and folders that are refused."""

import json

import pytest
import torch
import transformers
from picture_encoders import build, close, perturbed
from refusals import refused
from safetensors.torch import save_file
from sounds import waveforms

from auricle.lobes.encoders._transformers_folder import SMALL as SMALL_MODEL

#: As MERT-v1-95M says of itself, and as 330M does.
BASE = {"attention_relax": -1.0}
LARGE = {
    "do_stable_layer_norm": True,
    "feat_extract_norm": "layer",
    "conv_bias": True,
    "attention_relax": 32.0,
}


def mert_folder(folder, **options):
    """A HuBERT of random values, in MERT's words, and the model itself."""
    torch.manual_seed(0)
    config = transformers.HubertConfig(**SMALL_MODEL, **options)
    model = perturbed(transformers.HubertModel(config)).eval()
    model.save_pretrained(folder)
    about = json.loads((folder / "config.json").read_text())
    about.update(
        model_type="mert_model",
        auto_map={"AutoModel": "modeling_MERT.MERTModel"},
        sample_rate=24000,
        feature_extractor_cqt=False,
        deepnorm=False,
        **{name: value for name, value in options.items() if name == "attention_relax"},
    )
    (folder / "config.json").write_text(json.dumps(about))
    (folder / "modeling_MERT.py").write_text("raise SystemExit('was run')")
    old = {"original0": "weight_g", "original1": "weight_v"}
    weights = {}
    for name, value in model.state_dict().items():
        for new, was in old.items():
            name = name.replace(f"parametrizations.weight.{new}", was)
        weights[name] = value.clone()
    save_file(weights, str(folder / "model.safetensors"))
    return model


def from_folder(folder, **options):
    return build("mert", 1, path=str(folder), **options)


@pytest.mark.parametrize("settings", [BASE, LARGE], ids=["base", "large"])
@torch.no_grad()
def test_mert_is_the_mean_of_a_huberts_hidden_state(tmp_path, settings):
    model, wavs = mert_folder(tmp_path, **settings), waveforms(24000)
    frames = [5000, 2999, 400]

    def states(wavs):
        given = model(wavs, output_hidden_states=True)
        return [*given.hidden_states[:-1], given.last_hidden_state]

    for layer in (0, 1, 2, -1, -3, "weighted"):
        encoder = from_folder(tmp_path, layer=layer).eval()
        assert (encoder.rate_hz, encoder.out_features, encoder.num_frames(5000)) == (24000, 32, 1)
        if layer == "weighted":
            encoder.layer_scores.copy_(torch.tensor([1.0, 2.0, 4.0]).log())
        shares = torch.tensor([1.0, 2.0, 4.0]) / 7

        def wanted(wavs, layer=layer, shares=shares):
            each = torch.stack([state.mean(1) for state in states(wavs)])
            return (shares[:, None, None] * each).sum(0) if layer == "weighted" else each[layer]

        close(encoder(wavs[..., None])[:, 0], wanted(wavs))
        padded = wavs.clone()
        for item, size in enumerate(frames):
            padded[item, size:] = 9.0
        got = encoder(padded[..., None], torch.tensor(frames) / 5000)
        for item, size in enumerate(frames):
            close(got[item], wanted(wavs[item : item + 1, :size]), 1e-4)


def test_mert_learns_up_to_its_layer(tmp_path):
    mert_folder(tmp_path, **LARGE)
    for layer, frozen in ((1, "none"), ("weighted", "feature_encoder"), ("weighted", "all")):
        encoder = from_folder(tmp_path, layer=layer, freeze=frozen).train()
        encoder(waveforms(24000)[..., None]).square().sum().backward()
        lacks = {n for n, p in encoder.named_parameters() if p.requires_grad and p.grad is None}
        assert lacks <= {"model.masked_spec_embed"}
        assert len(encoder.model.encoder.layers) == (1 if layer == 1 else 2)
        learned = {n for n, p in encoder.named_parameters() if p.requires_grad}
        if frozen == "all":
            assert learned == {"layer_scores"}
        convolutions = any(name.startswith("model.feature_extractor") for name in learned)
        assert convolutions == (frozen == "none")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"feature_extractor_cqt": True}, "HubertModel is not: .*feature_extractor_cqt True, exp"),
        ({"deepnorm": True}, "deepnorm True, expected False"),
        ({"model_type": "bert"}, r"one of \('mert_model', 'hubert', 'wav2vec2'\), got .* 'bert'"),
        (
            {"num_hidden_layers": 3},
            r"another architecture than model_type mert_model: it lacks enc",
        ),
        ({"num_hidden_layers": 1}, r"has, too many, encoder\.layers\.1\."),
        ({"hidden_size": 64}, r"where \(64,\) is expected"),
    ],
)
def test_mert_refuses_another_network_by_name(tmp_path, change, says):
    mert_folder(tmp_path, **BASE)
    about = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**about, **change}))
    refused(says, from_folder, tmp_path)


def test_mert_refuses_what_it_cannot_open(tmp_path):
    refused("'/nowhere', which is no folder; nothing is downloaded", from_folder, "/nowhere")
    mert_folder(tmp_path, **BASE)
    for layer in (3, -4, True, 0.5, "last"):
        with pytest.raises(
            ValueError, match='layer must be "weighted" or a whole number from -3 to 2'
        ):
            from_folder(tmp_path, layer=layer)
    refused("freeze must be one of .* got 'some'", from_folder, tmp_path, freeze="some")
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80")
    refused(r"no \*\.safetensors.*not read.*save_file", from_folder, tmp_path)
    refused("set frontend: waveform. Encoders that fit: ", build, "mert", 40)


def test_mert_without_a_path_is_random_and_says_so():
    with pytest.warns(UserWarning, match=r"random values.*mert: \{path: FOLDER\}"):
        encoder = build("mert", 1)
    assert encoder.rate_hz == 24000 and encoder.out_features == 32
