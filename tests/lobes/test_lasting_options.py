"""A bundle of an encoder that began with pretrained weights opens without them, bit-equal."""

import json
import shutil
import warnings
from types import SimpleNamespace

import pytest
import timm
import torch
import transformers
from hyperpyyaml import load_hyperpyyaml
from picture_encoders import perturbed, picture_net, saved, transformers_ast, transformers_vit
from refusals import refused
from safetensors.torch import load_file

from auricle.lobes import build_encoder, build_model
from auricle.lobes.bundles import bundle as pretrained
from auricle.lobes.encoders import resnet50
from auricle.lobes.encoders._transformers_folder import SMALL
from auricle.recipes.training.finish import _describe

EPSILON = 0.02
#: Of the large models, and other numbers than those of `SMALL`.
LARGE = {
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "conv_bias": True,
    "hidden_act": "relu",
    "feat_extract_activation": "silu",
    "conv_kernel": [10, 3, 3, 3, 3, 2, 3],
    "conv_stride": [4, 2, 2, 2, 2, 2, 1],
    "attention_dropout": 0.3,
    "activation_dropout": 0.05,
    "hidden_dropout": 0.2,
    "feat_proj_dropout": 0.4,
}


def amended(folder, **settings):
    """A folder whose config says otherwise, as a user's own training may leave it."""
    about = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**about, **settings}))


def vit(folder):
    transformers_vit(folder, layer_norm_eps=EPSILON)
    return {"depth": 2, "freeze_blocks": 1, "frames": 120, "mean": [0.4, 0.5, 0.6], "std": 0.3}


def vit_without_config(folder):
    saved(folder, picture_net())
    return {"depth": 2, "pooling": "mean"}


def ast(folder):
    transformers_ast(folder, (10, 12))
    amended(folder, layer_norm_eps=EPSILON)
    return {"depth": 2, "stride_frames": 12, "frames": 150, "freeze_blocks": 2}


def resnet(folder):
    block = timm.models.resnet.Bottleneck
    narrow = {"stem_width": 4, "channels": (4, 8, 16, 32), "num_classes": 5}
    saved(folder, perturbed(timm.models.resnet.ResNet(block, (3, 4, 6, 3), **narrow)))
    return {"width": 4, "dropout": 0.2}


def waveform_folder(folder, family, **settings):
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**{**SMALL, **settings})
    perturbed(getattr(transformers, f"{family}Model")(config)).save_pretrained(folder)
    amended(folder, layer_norm_eps=EPSILON, _name_or_path=str(folder))


def wav2vec2(folder):
    waveform_folder(folder, "Wav2Vec2", adapter_attn_dim=4, **LARGE)
    return {"freeze": "none"}


def hubert(folder):
    waveform_folder(folder, "Hubert", feat_proj_layer_norm=False, conv_pos_batch_norm=True)
    return {"freeze": "feature_encoder"}


def mert(folder):
    waveform_folder(folder, "Hubert", **LARGE)
    amended(folder, model_type="mert_model", sample_rate=22050)
    return {"freeze": "all", "layer": "weighted"}


def mert_layer(folder):
    waveform_folder(folder, "Wav2Vec2")
    return {"layer": 1}


CASES = {
    "vit": ("vit", vit),
    "vit-without-config": ("vit", vit_without_config),
    "ast": ("ast", ast),
    "resnet50": ("resnet50", resnet),
    "wav2vec2": ("wav2vec2", wav2vec2),
    "wav2vec2-hubert": ("wav2vec2", hubert),
    "mert": ("mert", mert),
    "mert-layer": ("mert", mert_layer),
}


def trained(encoder, options):
    """A model whose encoder began with a file, and its settings as a recipe has them."""
    frontend = "waveform" if encoder in ("wav2vec2", "mert") else "mel"
    model = build_model(
        frontend,
        encoder,
        normalization="sentence",
        encoder_options={encoder: options},
        head="classifier",
        num_outputs=3,
    )
    perturbed(model.embedding_model, seed=2)
    settings = {
        "sample_rate": 16000,
        "normalization": "sentence",
        "frontend": frontend,
        "frontend_options": None,
        "encoder": encoder,
        "encoder_options": {encoder: options, "kwt": {}},
    }
    return model, settings


def described(model, settings):
    """What a finished run says of its model."""
    told = dict.fromkeys(("dataset", "protocol", "data_digest", "versions"))
    told["corpus"] = {"synthetic": True}
    result = SimpleNamespace(task="music_genre", metrics={"test": {"accuracy": 0.5}}, **told)
    head = {"name": "classifier", "options": {}}
    run = SimpleNamespace(config=SimpleNamespace(plain=settings), head=head)
    return _describe(result, run, model, ["a", "b", "c"])


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_a_bundle_opens_without_the_file_its_training_began_with(tmp_path, monkeypatch, case):
    monkeypatch.setattr(resnet50, "PUBLISHED_WIDTH", 4)
    encoder, write = CASES[case]
    began_with = tmp_path / "began_with"
    options = {**write(began_with), "path": str(began_with)}
    given = json.dumps(options)
    model, settings = trained(encoder, options)
    folder = pretrained.save(tmp_path / "bundle", described(model, settings), model)
    assert json.dumps(options) == given  # the run's own settings stay as they are
    shutil.rmtree(began_with)
    for name in ("bundle.json", "hyperparams.yaml"):
        assert "began_with" not in (folder / name).read_text()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bundle = pretrained.load(folder)
    before, after = model.embedding_model, bundle.embedding_model
    wavs, lengths = 0.1 * torch.randn(2, 12000), torch.tensor([1.0, 0.7])
    held = model.eval()
    assert torch.equal(bundle(wavs, lengths), held(wavs, lengths))
    assert torch.equal(bundle.embed(wavs), held.embed(wavs))
    learned = [{n: p.requires_grad for n, p in e.named_parameters()} for e in (before, after)]
    assert learned[0] == learned[1]
    if "freeze" in options or "freeze_blocks" in options:
        frozen = any(not learns for learns in learned[1].values())
        assert frozen == (options.get("freeze") != "none")
    assert getattr(before, "rate_hz", None) == getattr(after, "rate_hz", None)
    # It can be trained on as it was: dropout where it was, at the same rates.
    assert str(before) == str(after) and attention_rates(before) == attention_rates(after)
    # A bundle of a bundle says the same.
    lasting = bundle.description["encoder"]["options"]
    assert json.loads(json.dumps(after.lasting_options(lasting))) == lasting

    written = load_hyperpyyaml((folder / "hyperparams.yaml").read_text())
    weights = load_file(folder / "model.safetensors")
    torch.nn.ModuleDict(written["modules"]).load_state_dict(weights)
    assert torch.equal(written["embedding_model"].eval()(held.compute_features(wavs)),
                       after(held.compute_features(wavs)))  # fmt: skip


def attention_rates(encoder):
    """Dropout that is a number and no module, which the text of a network does not show."""
    rates = [getattr(part, "dropout", None) for part in encoder.modules()]
    return [rate for rate in rates if isinstance(rate, float)]


def epsilons(encoder):
    return {part.eps for part in encoder.modules() if isinstance(part, torch.nn.LayerNorm)}


@pytest.mark.parametrize(("name", "write"), [("vit", vit), ("ast", ast)])
def test_the_epsilon_of_the_layer_norms(tmp_path, name, write):
    options = {**write(tmp_path), "path": str(tmp_path)}

    def built(**changes):
        return epsilons(build_encoder(name, 40, options={name: {**options, **changes}}))

    assert built() == {EPSILON}
    assert built(norm_epsilon=0.5) == built(norm_epsilon=0.5, path=None) == {0.5}
    assert built(path=None) == {1e-6}
    for wrong in (0, -1.0, "1e-6", True, float("nan")):
        refused(f"norm_epsilon must be .* above 0, got {wrong!r}", built, norm_epsilon=wrong)


@pytest.mark.parametrize("name", ["wav2vec2", "mert"])
def test_a_config_that_describes_no_model_is_refused(tmp_path, name):
    def built(config, **options):
        return build_encoder(name, 1, options={name: {"config": config, **options}})

    good = json.loads(json.dumps({"model_type": "hubert", **SMALL}))
    assert built(good).out_features == 32
    refused("path '/some' and config are both given", built, good, path="/some")
    for wrong, got in (({}, "{}"), ("hubert", "'hubert'"), ([1], r"\[1\]"), (1, "1")):
        refused(f"config must be a map whose model_type .* got {got}", built, wrong)
    for kind in ("bert", "Hubert", 3, ["hubert"]):
        refused("model_type is one of .*'hubert'", built, {**good, "model_type": kind})
    # Names of code that transformers would fetch, and of files.
    for unknown in ("attn_implementation", "_attn_implementation", "auto_map", "_name_or_path"):
        with pytest.raises(ValueError, match=f"has {unknown}; allowed are model_type, hidden_size"):
            built({**good, unknown: "somebody/code"})
    for broken in ({"hidden_act": "os.abort"}, {"conv_dim": [1]}, {"num_attention_heads": 5}):
        refused("config describes no hubert: ", built, {**good, **broken})


def test_mert_takes_its_rate_from_the_config():
    def rate(**config):
        return build_encoder("mert", 1, options={"mert": {"config": {**SMALL, **config}}}).rate_hz

    assert rate(model_type="mert_model", sample_rate=44100) == 44100
    assert rate(model_type="mert_model") == 24000 and rate(model_type="hubert") == 16000
    with pytest.raises(ValueError, match="config sample_rate must be a whole number"):
        rate(model_type="hubert", sample_rate="24 kHz")
