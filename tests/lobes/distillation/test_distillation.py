"""Distillation: losses, teachers of three kinds, cached targets, options."""

import json
import logging
import re
import shutil

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from random_bundle import random_bundle
from refusals import refused
from speechbrain.lobes.features import Fbank
from speechbrain.lobes.models.ECAPA_TDNN import Classifier as EcapaClassifier
from speechbrain.lobes.models.Xvector import Xvector
from speechbrain.processing.features import InputNormalization
from torch import nn
from torch.nn import functional as F

from auricle.lobes.brains.optimization import build_optimizer
from auricle.lobes.bundles import bundle as pretrained
from auricle.lobes.bundles.speechbrain import label_encoder
from auricle.lobes.distillation.distiller import (
    DEFAULTS,
    LOSSES,
    PROJECTION,
    Distiller,
    distillation_problems,
)
from auricle.lobes.distillation.losses import (
    cosine_distance,
    decoupled_divergence,
    divergence,
    gradient_shares,
    squared_distance,
)
from auricle.lobes.distillation.target_cache import TargetCache
from auricle.lobes.distillation.teachers import TeacherError, load_teacher
from auricle.lobes.heads.angular_margin import MarginSoftmax

LABELS = ["ann", "bob", "eve"]
ENCODERS = {
    "xvector": {"channels": [6, 6, 6, 6, 8], "lin_neurons": 5},
    "transformer": {"layers": 1, "d_model": 8, "heads": 2, "ff": 8, "output": "frames"},
}
RATE = 16000


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def make_bundle(folder, head="classifier", encoder="xvector", **changes):
    return random_bundle(
        folder,
        "mel",
        encoder,
        LABELS,
        seed=5,
        clip_s=None,
        frontend_options={"num_features": 20},
        encoder_options=ENCODERS[encoder],
        head=head,
        # running statistics that no fresh instance has
        change=lambda model: model.embedding_model(torch.randn(4, 30, 20)),
        **{"task": "speaker_verification", "sample_rate": RATE, **changes},
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("teacher") / "bundle")


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory):
    return make_onnx(tmp_path_factory.mktemp("teacher") / "teacher.onnx", sample_rate=RATE)


def make_onnx(path, dims=("batch", "time"), rank3=False, **metadata):
    """Mean of the magnitudes, times (1, 2, 3, 4): 4 values per waveform."""
    row = helper.make_tensor("row", TensorProto.FLOAT, [1, 4], [1, 2, 3, 4])
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    nodes = [
        helper.make_node("Abs", ["wavs"], ["size"]),
        helper.make_node("ReduceMean", ["size", "axes"], ["mean"], keepdims=1),
        helper.make_node("MatMul", ["mean", "row"], ["flat"]),
        helper.make_node("Unsqueeze", ["flat", "axes"], ["embedding"])
        if rank3
        else helper.make_node("Identity", ["flat"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "teacher",
        [helper.make_tensor_value_info("wavs", TensorProto.FLOAT, dims)],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, None)],
        [row, axes],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {key: str(value) for key, value in metadata.items()})
    onnx.save(model, str(path))
    return path


def distiller(teacher, size=5, labels=LABELS, rate=RATE, cache_folder=None, **settings):
    given = {"teacher": str(teacher), **settings}
    return Distiller(given, labels, rate, size, cache_folder)


# -- losses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3, 512])
def test_squared_distance_is_twice_the_cosine_distance_and_pulls_the_same_way(size):
    student, teacher = 3 * torch.randn(7, size), torch.randn(7, size)
    cosine, squared = (student.clone().requires_grad_() for _ in range(2))
    distance = cosine_distance(cosine, teacher)
    assert torch.allclose(squared_distance(squared, teacher), 2 * distance, atol=1e-5)
    expected = 1 - F.cosine_similarity(student, teacher)
    assert torch.allclose(distance, expected, atol=1e-6)
    distance.sum().backward()
    squared_distance(squared, teacher).sum().backward()
    assert torch.allclose(squared.grad, 2 * cosine.grad, atol=1e-6)


def test_equal_classes_diverge_by_nothing_and_others_by_the_definition():
    student, teacher = 4 * torch.randn(6, 5), 4 * torch.randn(6, 5)
    classes = torch.arange(6) % 5
    for found in (
        divergence(teacher, teacher + 3.0, 2.0),
        decoupled_divergence(teacher, teacher + 3.0, classes, 2.0),
    ):
        assert torch.allclose(found, torch.zeros(6), atol=1e-5)
    expected = 9 * F.kl_div(
        F.log_softmax(student / 3, -1), F.softmax(teacher / 3, -1), reduction="none"
    ).sum(-1)
    assert torch.allclose(divergence(student, teacher, 3.0), expected, atol=1e-5)
    assert (expected > 0.1).all()


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_decoupled_is_the_divergence_when_the_others_weigh_what_they_do_there(temperature):
    student = (4 * torch.randn(6, 5)).requires_grad_()
    teacher, classes = 4 * torch.randn(6, 5), torch.arange(6) % 5
    rest = 1 - (teacher / temperature).softmax(-1).gather(1, classes[:, None])[:, 0]
    found = decoupled_divergence(student, teacher, classes, temperature, rest)
    expected = divergence(student, teacher, temperature)
    assert torch.allclose(found, expected, atol=1e-5)
    gradients = [torch.autograd.grad(x.sum(), student)[0] for x in (found, expected)]
    assert torch.allclose(*gradients, atol=1e-5)
    # beta weighs what is known of the other classes, and nothing else
    none, some, more = (
        decoupled_divergence(student, teacher, classes, temperature, beta) for beta in (0, 1, 3)
    )
    assert torch.allclose(more - none, 3 * (some - none), atol=1e-4) and (some > none).all()


def test_a_teacher_that_is_sure_gives_finite_losses_and_gradients():
    student = torch.zeros(2, 3, requires_grad=True)
    teacher = torch.tensor([[200.0, 0.0, -200.0], [-200.0, 200.0, 0.0]])
    for classes in ([0, 1], [2, 0]):
        loss = decoupled_divergence(student, teacher, torch.tensor(classes)) + divergence(
            student, teacher
        )
        (gradient,) = torch.autograd.grad(loss.sum(), student)
        assert torch.isfinite(loss).all() and torch.isfinite(gradient).all()


def test_gradient_shares_are_those_of_the_norms_and_sum_to_one():
    embedding = nn.Linear(4, 6)(torch.randn(3, 4))
    losses = {"a": embedding.square().sum(), "b": 0.3 * embedding.abs().sum(), "c": torch.ones(())}
    shares = gradient_shares(losses, embedding)
    norms = [2 * embedding.norm().item(), 0.3 * 18**0.5]
    assert shares["a"] == pytest.approx(norms[0] / sum(norms), rel=1e-5) and shares["c"] == 0
    assert sum(shares.values()) == pytest.approx(1)
    sum(losses.values()).backward()  # the graph is still there
    assert gradient_shares({"c": torch.ones(())}, embedding) == {"c": 0.0}


# -- the distiller ---------------------------------------------------------------------------------


def test_the_total_is_weighted_by_alpha(bundle):
    teach = distiller(bundle, alpha=0.7)
    terms = teach.terms(torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0]))
    assert torch.allclose(sum(terms.values()), torch.tensor([7.3, 14.6]))
    assert list(terms) == ["classification", "distillation"] and teach.alpha == 0.7


def test_targets_are_what_the_bundle_gives_and_no_padding_enters(bundle):
    model, wavs = pretrained.load(bundle), 0.1 * torch.randn(2, RATE)
    lengths = torch.tensor([1.0, 0.5])
    with torch.no_grad():
        expected = model.embed(wavs, lengths).squeeze(1)
        logits = model(wavs, lengths)
    teach = distiller(bundle)
    with torch.autocast("cpu", torch.bfloat16):  # the teacher is not coarser for the student's sake
        found = teach.targets(wavs, lengths)
    assert torch.equal(found, expected)
    alone = teach.targets(wavs[1:, : RATE // 2])
    assert torch.allclose(found[1:], alone, atol=1e-4)
    assert torch.equal(distiller(bundle, loss="kl").targets(wavs, lengths), logits)


@pytest.mark.parametrize("loss", LOSSES)
def test_an_equal_student_has_no_loss(bundle, loss):
    teach = distiller(bundle, loss=loss)
    targets = teach.targets(0.1 * torch.randn(4, RATE))
    classes = torch.tensor([0, 1, 2, 0])
    same = targets[:, None] if loss in ("cosine", "mse") else torch.zeros(4, 1, 5)
    found = teach.loss(same, targets, targets, classes)
    other = teach.loss(torch.randn(4, 1, 5), torch.randn(4, 3), targets, classes)
    assert found.shape == (4,) and found.abs().max() < 1e-5 and (other > 1e-4).all()


def test_the_teacher_is_frozen_and_no_part_of_the_student(bundle):
    teach = distiller(bundle, size=9)
    before = {key: value.clone() for key, value in teach.teacher.module.state_dict().items()}
    assert sum("running_mean" in key for key in before) > 3
    student = nn.Linear(RATE // 10, 9)
    modules = {"embedding_model": student, **teach.modules}
    optimizer = build_optimizer(modules, "sgd", lr=0.1)
    nn.ModuleDict(modules).train()  # as a Brain does at the start of an epoch
    for _ in range(3):
        wavs = 0.1 * torch.randn(4, RATE // 10)
        targets = teach.targets(wavs)
        teach.loss(student(wavs), None, targets).mean().backward()
        optimizer.step()
    assert not targets.requires_grad and not teach.teacher.module.training
    assert all(p.grad is None and not p.requires_grad for p in teach.teacher.module.parameters())
    after = teach.teacher.module.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    saved = nn.ModuleDict(modules).state_dict()
    assert set(saved) == {
        "embedding_model.weight",
        "embedding_model.bias",
        f"{PROJECTION}.weight",
    }


def test_a_projection_is_learned_where_the_sizes_differ(bundle):
    teach = distiller(bundle, size=9)
    projection = teach.modules[PROJECTION]
    assert projection.weight.shape == (5, 9) and not distiller(bundle, size=5).modules
    student = nn.Embedding(6, 9)
    targets = torch.randn(6, 5)
    start = projection.weight.detach().clone()
    optimizer = build_optimizer({"student": student, **teach.modules}, "adam", lr=0.05)
    losses = []
    for _ in range(80):
        optimizer.zero_grad()
        loss = teach.loss(student.weight[:, None], None, targets).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 0.5 and losses[-1] < 0.05
    assert (projection.weight - start).abs().max() > 0.1


def test_the_projection_can_be_given_as_the_brain_has_it(bundle):
    teach = distiller(bundle, size=9)
    wrapped = nn.Sequential(teach.modules[PROJECTION])  # DDP wraps a module like this
    called = []
    wrapped.register_forward_hook(lambda *args: called.append(True))
    embedding, targets = torch.randn(2, 9), torch.randn(2, 5)
    found = teach.loss(embedding, None, targets, project=wrapped)
    assert called and torch.equal(found, teach.loss(embedding, None, targets))


def test_a_teacher_leaves_the_students_randomness_alone(speechbrain_folder):
    wavs = torch.randn(2, RATE)
    teach = distiller(speechbrain_folder, size=6, trust_teacher=True)
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    teach.targets(wavs)
    assert torch.equal(torch.rand(3), expected)


def test_other_classes_are_named_and_refused_for_logits_only(bundle):
    for loss in ("kl", "dkd"):
        with pytest.raises(
            TeacherError, match="only the teacher has eve; only the student has zoe"
        ):
            distiller(bundle, loss=loss, labels=["ann", "bob", "zoe"])
        with pytest.raises(TeacherError, match="another order"):
            distiller(bundle, loss=loss, labels=LABELS[::-1])
    distiller(bundle, loss="mse", labels=["zoe"])


def test_dkd_asks_for_the_classes(bundle):
    with pytest.raises(ValueError, match="true classes"):
        distiller(bundle, loss="dkd").loss(None, torch.zeros(2, 3), torch.zeros(2, 3))


def test_cosines_become_logits_by_the_scale_of_the_bundle_or_of_the_user(tmp_path):
    silent = make_bundle(tmp_path / "silent", head="cosine")
    refused("teacher_scale", distiller, silent, loss="kl", error=TeacherError)
    wavs = 0.1 * torch.randn(2, RATE)
    with torch.no_grad():
        cosines = pretrained.load(silent)(wavs)
    told = distiller(silent, loss="kl", teacher_scale=20.0)
    assert torch.equal(told.targets(wavs), 20 * cosines)
    says = distiller(make_bundle(tmp_path / "says", "cosine", margin_scale=30.0), loss="kl")
    assert torch.equal(says.targets(wavs), MarginSoftmax("am", 0.2, 30.0).logits(cosines))


# -- teachers --------------------------------------------------------------------------------------


def test_another_rate_task_or_output_is_refused(tmp_path, bundle):
    refused("takes 16000 Hz, the student 8000 Hz", load_teacher, bundle, 8000, error=TeacherError)
    words = make_bundle(tmp_path / "words", task="keyword_spotting")
    refused("keyword_spotting, not verification", load_teacher, words, RATE, error=TeacherError)
    frames = make_bundle(tmp_path / "frames", encoder="transformer")
    refused("one vector per frame", load_teacher, frames, RATE, error=TeacherError)
    refused("no teacher at .*neither a bundle", load_teacher, tmp_path, RATE, error=TeacherError)
    (bundle_copy := tmp_path / "damaged").mkdir()
    shutil.copy(bundle / "bundle.json", bundle_copy)
    refused("model.safetensors missing", load_teacher, bundle_copy, RATE, error=TeacherError)


@pytest.fixture(scope="module")
def speechbrain_folder(tmp_path_factory):
    """A folder as SpeechBrain's speaker recipes publish it, of its own modules."""
    folder = tmp_path_factory.mktemp("teacher") / "speechbrain"
    folder.mkdir()
    torch.manual_seed(7)
    torch.save(xvector().state_dict(), folder / "embedding_model.ckpt")
    torch.save(EcapaClassifier(6, lin_neurons=6, out_neurons=3).state_dict(), folder / "head.ckpt")
    label_encoder(LABELS).save(folder / "label_encoder.ckpt")
    (folder / "hyperparams.yaml").write_text(SPEECHBRAIN)
    return folder


def xvector():
    return Xvector(
        in_channels=12,
        tdnn_blocks=2,
        tdnn_channels=[8, 8],
        tdnn_kernel_sizes=[3, 1],
        tdnn_dilations=[1, 1],
        lin_neurons=6,
    )


SPEECHBRAIN = """
sample_rate: 16000
compute_features: !new:speechbrain.lobes.features.Fbank
    n_mels: 12
mean_var_norm: !new:speechbrain.processing.features.InputNormalization
    norm_type: sentence
    std_norm: False
embedding_model: !new:speechbrain.lobes.models.Xvector.Xvector
    in_channels: 12
    tdnn_blocks: 2
    tdnn_channels: [8, 8]
    tdnn_kernel_sizes: [3, 1]
    tdnn_dilations: [1, 1]
    lin_neurons: 6
classifier: !new:speechbrain.lobes.models.ECAPA_TDNN.Classifier
    input_size: 6
    lin_neurons: 6
    out_neurons: 3
modules:
    compute_features: !ref <compute_features>
    mean_var_norm: !ref <mean_var_norm>
    embedding_model: !ref <embedding_model>
    classifier: !ref <classifier>
label_encoder: !new:speechbrain.dataio.encoder.CategoricalEncoder
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        embedding_model: !ref <embedding_model>
        head: !ref <classifier>
        label_encoder: !ref <label_encoder>
"""


def test_a_folder_of_speechbrain_teaches_when_it_is_trusted(speechbrain_folder):
    refused("runs the code .*trust_teacher", distiller, speechbrain_folder, error=TeacherError)
    files = sorted(speechbrain_folder.iterdir())
    teach = distiller(speechbrain_folder, size=9, trust_teacher=True)
    assert teach.modules[PROJECTION].weight.shape == (6, 9) and teach.teacher.labels == LABELS
    wavs, lengths = torch.randn(2, RATE), torch.tensor([1.0, 0.5])
    model = xvector().eval()
    model.load_state_dict(torch.load(speechbrain_folder / "embedding_model.ckpt"))
    normalize = InputNormalization(norm_type="sentence", std_norm=False).eval()
    with torch.no_grad():
        expected = model(normalize(Fbank(n_mels=12)(wavs), lengths), lengths).squeeze(1)
    # its pooling adds noise of up to 1e-4
    assert torch.allclose(teach.targets(wavs, lengths), expected, atol=1e-3)
    with pytest.raises(TeacherError, match="student 8000 Hz"):
        load_teacher(speechbrain_folder, 8000, trust=True)
    logits = distiller(
        speechbrain_folder, loss="kl", trust_teacher=True, teacher_scale=30.0
    ).targets(wavs)
    assert logits.shape == (2, 3) and 1 < logits.abs().max() <= 30
    assert sorted(speechbrain_folder.iterdir()) == files


def test_an_onnx_file_teaches_and_hears_no_padding(onnx_file):
    teach = distiller(onnx_file, size=4)
    assert not teach.modules and teach.teacher.embedding_size == 4
    wavs, lengths = torch.randn(3, 1000), torch.tensor([1.0, 0.5, 1.0])
    mean = torch.stack([wavs[0].abs().mean(), wavs[1, :500].abs().mean(), wavs[2].abs().mean()])
    expected = mean[:, None] * torch.arange(1.0, 5.0)
    assert torch.allclose(teach.targets(wavs, lengths), expected, rtol=1e-4)
    assert torch.allclose(teach.targets(wavs)[::2], expected[::2], rtol=1e-4)
    refused("no classes", distiller, onnx_file, loss="kl", error=TeacherError)


def test_onnx_files_are_checked(tmp_path, onnx_file, caplog):
    with pytest.raises(TeacherError, match="takes 16000 Hz, the student 8000 Hz"):
        load_teacher(onnx_file, 8000)
    with pytest.raises(TeacherError, match="emotion, not verification"):
        load_teacher(make_onnx(tmp_path / "a.onnx", task="emotion"), RATE)
    with pytest.raises(TeacherError, match="must take waveforms"):
        load_teacher(make_onnx(tmp_path / "b.onnx", dims=(1, "frames", 1)), RATE)
    with caplog.at_level(logging.WARNING):
        one = load_teacher(make_onnx(tmp_path / "c.onnx", dims=(1, "time"), rank3=True), RATE)
    assert "does not say its sample rate" in caplog.text
    wavs = torch.randn(3, 800)
    assert torch.allclose(one(wavs), load_teacher(onnx_file, RATE)(wavs))  # item by item
    (tmp_path / "d.onnx").write_bytes(b"nothing")
    refused("no model for onnxruntime", load_teacher, tmp_path / "d.onnx", RATE, error=TeacherError)


# -- the cache -------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["cosine", "kl"])
def test_what_is_cached_is_what_would_be_computed(tmp_path, bundle, loss):
    wavs, lengths = 0.1 * torch.randn(4, RATE), torch.tensor([1.0, 0.6, 1.0, 0.8])
    names = ["a/1.wav", "b/1.wav", "ö/\n.wav", "c/1.wav"]
    expected = distiller(bundle, loss=loss).targets(wavs, lengths)

    def fresh():
        return distiller(bundle, loss=loss, cache=True, cache_folder=tmp_path)

    first = fresh()
    assert torch.allclose(first.targets(wavs[:2], lengths[:2], names[:2]), expected[:2], atol=1e-5)
    again = fresh()
    heard = count_calls(again.teacher)
    found = again.targets(
        wavs[[3, 0, 1, 2]], lengths[[3, 0, 1, 2]], [names[i] for i in (3, 0, 1, 2)]
    )
    assert torch.allclose(found, expected[[3, 0, 1, 2]], atol=1e-5) and heard == [2]
    assert torch.equal(again.targets(wavs, lengths, names), found[[1, 2, 3, 0]]) and heard == [2]
    last = fresh()
    heard = count_calls(last.teacher)
    assert torch.equal(last.targets(wavs, lengths, names), found[[1, 2, 3, 0]]) and heard == []
    # another crop length, or another teacher, is no hit
    last.targets(wavs[:1, :8000], None, names[:1])
    assert heard == [1]
    refused("an id per item", last.targets, wavs, lengths)


def count_calls(teacher):
    """Items per call of `embed`, from now on."""
    heard, embed = [], teacher.embed

    def counting(wavs, lengths):
        heard.append(len(wavs))
        return embed(wavs, lengths)

    teacher.embed = counting
    return heard


def test_another_teacher_has_a_cache_of_its_own(tmp_path, bundle):
    other = shutil.copytree(bundle, tmp_path / "other")
    text = json.loads((other / "bundle.json").read_text())
    (other / "bundle.json").write_text(json.dumps({**text, "clip_s": 3.0}))
    folders = [
        distiller(path, loss=loss, cache=True, cache_folder=tmp_path / "c").cache.folder
        for path in (bundle, other)
        for loss in ("cosine", "kl")
    ]
    assert len(set(folders)) == 4
    same = distiller(bundle, loss="mse", cache=True, cache_folder=tmp_path / "c").cache.folder
    assert same == folders[0]  # the same embeddings, compared otherwise


def test_an_interrupted_write_costs_one_row(tmp_path):
    first = TargetCache(tmp_path, 3)
    rows = torch.randn(3, 3)
    first.add(["a", "b", "c"], rows)
    second = TargetCache(tmp_path, 3)
    second.add(["d"], rows[:1])
    (keys,) = [path for path in tmp_path.glob("*.jsonl") if '"b"' in path.read_text()]
    keys.write_bytes(keys.read_bytes()[:-2])  # the last key is not finished
    found = TargetCache(tmp_path, 3)
    assert [key in found for key in "abcd"] == [True, True, False, True] and len(found) == 3
    assert torch.equal(found.rows(["b", "d", "a"]), rows[[1, 0, 0]])
    values = keys.with_suffix(".f32")
    values.write_bytes(values.read_bytes()[:20])  # nor are the numbers of the second row
    assert "b" not in TargetCache(tmp_path, 3) and "a" in TargetCache(tmp_path, 3)


# -- the configuration -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given, want",
    [
        ({"temperature": 4.0}, "temperature is 4.0.* cosine.* kl or dkd"),
        ({"temperature": 4.0, "loss": "mse"}, "temperature is 4.0.* mse"),
        ({"beta": 2.0, "loss": "kl"}, "beta is 2.0.* kl.* dkd"),
        ({"teacher_scale": 30.0}, "teacher_scale is 30.0.* cosine.* kl or dkd"),
        ({"loss": "l1"}, "distillation.loss .*'cosine'.*'l1'"),
        ({"alpha": 0}, "distillation.alpha .* above 0 and at most 1, got 0"),
        ({"alpha": 1.2}, "distillation.alpha .*1.2"),
        ({"temperature": 0, "loss": "kl"}, "distillation.temperature .* above 0"),
        ({"teacher_scale": 0, "loss": "kl"}, "distillation.teacher_scale .* above 0"),
        ({"cache": "no"}, "distillation.cache .*'no'"),
        ({"teacher": "no/such/folder"}, "distillation.teacher.*'no/such/folder'"),
        ({"temprature": 1.0}, "temprature.*'temperature'"),
    ],
)
def test_every_problem_of_a_configuration_is_named(given, want):
    (problem,) = distillation_problems({"distillation": given})
    assert re.search(want, problem)
    if "teacher" not in given:
        refused("distillation", Distiller, {"teacher": ".", **given}, LABELS, RATE, 5)


def test_good_configurations_have_no_problem(bundle):
    for given in (
        None,
        {},
        DEFAULTS,
        {"loss": "kl", "temperature": 4.0},
        {"loss": "dkd", "temperature": 2.0, "beta": 1.0, "teacher": str(bundle)},
        {"cache": True, "teacher": str(bundle)},
    ):
        assert distillation_problems({"distillation": given}) == []


def test_a_cache_is_refused_where_recordings_change(bundle):
    given = {"distillation": {"cache": True, "teacher": str(bundle)}}
    (problem,) = distillation_problems(given, changing=["random crops", "noise"])
    assert "distillation.cache" in problem and "random crops, noise" in problem
    given["distillation"]["cache"] = False
    assert distillation_problems(given, changing=["noise"]) == []
    refused("cache_folder", distiller, bundle, cache=True)


def test_without_a_teacher_there_is_no_distiller():
    refused("nothing to learn from", Distiller, {}, LABELS, RATE, 5)
