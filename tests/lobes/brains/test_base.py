"""The base Brain on a handful of noise clips: clipping, accumulation, stopping, projection, AMP."""

import errno
import functools
import io
import os
import re
import signal
import time
import zipfile
from types import SimpleNamespace

import pytest
import speechbrain as sb
import torch
from refusals import refused
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.epoch_loop import EpochCounter
from torch import nn

from auricle.lobes import build_frontend, build_model
from auricle.lobes.brains import interruption
from auricle.lobes.brains.checkpoints import AtomicCheckpointer, CheckpointError
from auricle.lobes.tasks import find_task
from auricle.processing.data.augmentation.mixup import Mixup
from auricle.processing.filterbank.displacement import displacement

LABELS = ["low", "high"]
TASK = find_task("classification")


class Logger:
    def log_stats(self, *args, **kwargs):
        pass


def clips(count=20, samples=4000):
    """Noise below or above 2 kHz: a class that a mel frontend sees at once."""
    generator = torch.Generator().manual_seed(0)
    rows = {}
    for number in range(count):
        spectrum = torch.fft.rfft(torch.randn(samples, generator=generator))
        target = number % 2
        spectrum[samples // 8 :] *= target
        spectrum[: samples // 8] *= 1 - target
        wav = torch.fft.irfft(spectrum)
        rows[f"clip{number}"] = {"wav": wav, "target": target, "group": f"speaker{number % 5}"}
    dataset = DynamicItemDataset(rows)
    dataset.add_dynamic_item(lambda wav: wav, takes="wav", provides="sig")
    dataset.set_output_keys(["id", "sig", "target", "group"])
    dataset.durations_s = [samples / 16000] * count
    return dataset


def make(folder=None, frontend="mel", run_opts=None, **changes):
    torch.manual_seed(0)
    settings = {
        "seed": 1,
        "sample_rate": 16000,
        "number_of_epochs": 3,
        "optimizing": "sgd",
        "lr": 0.01,
        "momentum": 0.0,
        "betas": (0.9, 0.999),
        "weight_decay": 0.0,
        "frontend_lr_factor": 1.0,
        "frontend_schedule": "same",
        "frontend_freeze_epochs": 0,
        "frontend_step_hz": 0.0,
        "schedule": "constant",
        "warmup_epochs": 0,
        "restart_epochs": 1,
        "label_smoothing": 0.0,
        "early_stopping_epochs": 0,
        "feature_masks": [],
        "mixup": Mixup(0.0),
        "train_logger": Logger(),
        **changes,
    }
    settings["epoch_counter"] = EpochCounter(settings["number_of_epochs"])
    checkpointer = None
    if folder is not None:
        checkpointer = AtomicCheckpointer(folder, {"epoch_counter": settings["epoch_counter"]})
    model = build_model(frontend, "linear", clip_s=0.25, head="classifier", num_outputs=2)
    run_opts = {"device": "cpu", "noprogressbar": True, **(run_opts or {})}
    return TASK.build_brain(model, LABELS, settings, run_opts, checkpointer)


def fit(brain, dataset=None, batch_size=8):
    dataset = dataset or clips()
    loader = {"batch_size": batch_size}
    brain.fit(brain.hparams.epoch_counter, dataset, dataset, None, loader, loader)
    return brain


def test_training_learns_and_records_every_epoch():
    brain = fit(make(lr=0.1))
    history = brain.history.epochs
    assert [record["epoch"] for record in history] == [1, 2, 3]
    assert history[-1]["valid"]["accuracy"] == 1.0
    assert history[-1]["train"]["loss"] < history[0]["train"]["loss"]
    assert brain.history.audio_seconds == pytest.approx(3 * 20 * 0.25)


def test_clipping_covers_all_parameter_groups_together():
    brain = make(frontend="leaf", run_opts={"max_grad_norm": 0.5})
    brain.on_fit_start()
    groups = brain.optimizer.param_groups
    assert len(groups) == 2
    for group in groups:
        for parameter in group["params"]:
            parameter.grad = torch.full_like(parameter, 100.0)
    seen = []

    def look(*args):
        grads = [p.grad.flatten() for g in groups for p in g["params"]]
        seen.append(float(torch.cat(grads).norm()))

    brain.optimizer.register_step_pre_hook(look)
    brain.optimizers_step()
    assert seen == pytest.approx([0.5], rel=1e-4)


@pytest.mark.parametrize("limit", [0.0, -1.0])
def test_no_limit_means_no_clipping_and_no_change_of_sign(limit):
    brain = make(run_opts={"max_grad_norm": limit})
    brain.on_fit_start()
    (parameter, *_) = brain.optimizer.param_groups[0]["params"]
    for other in brain.modules.parameters():
        other.grad = torch.full_like(other, 50.0)
    before = parameter.detach().clone()
    brain.optimizers_step()
    torch.testing.assert_close(parameter.detach(), before - 0.01 * 50.0)


def test_left_over_batches_of_an_accumulation_are_stepped():
    brain = fit(make(run_opts={"grad_accumulation_factor": 4}, number_of_epochs=1), batch_size=4)
    assert brain.optimizer_step == 2  # 5 batches: after the 4th, and after the last


def test_parameters_are_projected_after_every_step():
    brain = make(frontend="leaf", lr=50.0, run_opts={"max_grad_norm": 0})
    fit(brain)
    leaf = brain.model.compute_features
    assert (leaf.centre >= 0).all() and (leaf.centre <= torch.pi).all()
    assert (leaf.compression.smooth >= 0).all() and (leaf.compression.smooth <= 1).all()


def test_a_learned_frontend_is_in_the_optimiser_and_in_the_checkpoint(tmp_path):
    brain = fit(make(tmp_path, frontend="leaf"))
    held = {id(p) for group in brain.optimizer.param_groups for p in group["params"]}
    leaf = brain.model.compute_features
    assert all(id(p) in held for p in leaf.parameters())
    fresh = build_frontend("leaf").state_dict()
    assert all(not torch.equal(value, fresh[key]) for key, value in leaf.state_dict().items())
    again = make(tmp_path, frontend="leaf")
    again.on_fit_start()
    for key, value in leaf.state_dict().items():
        assert torch.equal(again.model.compute_features.state_dict()[key], value)


def frontend_state(brain):
    state = brain.model.compute_features.state_dict()
    return {key: value.clone() for key, value in state.items()}


FREEZE = {"frontend": "leaf", "optimizing": "adam", "frontend_freeze_epochs": 2}


@pytest.mark.slow
def test_a_frozen_frontend_stays_bit_for_bit_and_then_learns():
    brain, states, gradients = make(number_of_epochs=3, **FREEZE), [], []
    leaf = brain.model.compute_features
    brain.prepare_step = lambda plain=brain.prepare_step: (
        gradients.append(all(p.grad is not None for p in leaf.parameters())),
        plain(),
    )
    measure = brain._merged_record
    brain._merged_record = lambda: states.append(frontend_state(brain)) or measure()
    built, head = frontend_state(brain), brain.model.classifier.linear.weight.detach().clone()
    fit(brain)
    assert len(gradients) == 9 and all(gradients)  # DDP waits for every one of them
    for key, value in built.items():
        assert torch.equal(states[0][key], value) and torch.equal(states[1][key], value)
        assert not torch.equal(states[2][key], value), f"{key} does not learn"
    assert not torch.equal(brain.model.classifier.linear.weight, head)
    assert brain.optimizer.state[leaf.centre]["step"] == 3  # those of the third epoch


class Killed(Exception):
    pass


LATER_KILLS = (((1, 2), 5.0), ((2, 3), 0.0), ((3, 2), 0.0))


@functools.cache
def uninterrupted(step_hz):
    """Settings of a run with a frozen start, and its Brain at the end."""
    settings = {**FREEZE, "number_of_epochs": 4, "frontend_step_hz": step_hz, "schedule": "cosine"}
    settings["frontend_schedule"] = "linear"
    return settings, fit(make(**settings))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("killed_at", "step_hz"),
    [
        ((1, 2), 0.0),
        ((2, 3), 5.0),
        ((3, 2), 5.0),
        *[pytest.param(*case, marks=pytest.mark.long) for case in LATER_KILLS],
    ],
)
def test_a_resumed_run_with_a_frozen_start_equals_an_uninterrupted_one(
    tmp_path, killed_at, step_hz
):
    given, whole = uninterrupted(step_hz)
    run_opts = {"ckpt_interval_steps": 1}
    brain = make(tmp_path, run_opts=run_opts, **given)

    def die(batch, should_step):
        if (brain.epoch, brain.step) == killed_at:
            raise Killed

    brain.on_fit_batch_start = die
    with pytest.raises(Killed):
        fit(brain)
    again, steps = make(tmp_path, run_opts=run_opts, **given), []
    again.on_fit_batch_start = lambda batch, should_step: steps.append((again.epoch, again.step))
    fit(again)
    assert len(again.history.epochs) == 4 and steps[0] == killed_at
    for key, value in whole.modules.state_dict().items():
        assert torch.equal(again.modules.state_dict()[key], value), key
    for one, other in zip(whole.optimizer.param_groups, again.optimizer.param_groups, strict=True):
        assert (one["lr"], one["base_lr"]) == (other["lr"], other["base_lr"])


@pytest.mark.parametrize("signal_of", interruption.STOPPING)
@pytest.mark.parametrize(("asked_at", "factor", "left_at"), [(1, 1, 1), (1, 2, 2), (3, 2, 3)])
def test_asked_to_stop_it_ends_after_a_step_and_goes_on_bit_equal(
    tmp_path, asked_at, factor, left_at, signal_of
):
    options = {"run_opts": {"grad_accumulation_factor": factor}, "number_of_epochs": 2}
    options |= {"lr": 0.1, "momentum": 0.9}
    brain, again = make(tmp_path, **options), make(tmp_path, **options)

    def ask(batch, should_step):
        if (brain.epoch, brain.step) == (1, asked_at):
            os.kill(os.getpid(), signal_of)

    brain.on_fit_batch_start = ask
    with interruption.handled(), pytest.raises(interruption.StopRequested, match=signal_of.name):
        fit(brain)
    assert brain.step == left_at
    with interruption.handled():
        fit(again)
    for key, value in fit(make(**options)).modules.state_dict().items():
        assert torch.equal(again.modules.state_dict()[key], value), key


def test_asked_to_stop_in_a_validation_it_ends_after_the_epochs_checkpoint(tmp_path):
    brain = make(tmp_path)
    score = brain.add_to_score
    brain.add_to_score = lambda *given: (os.kill(os.getpid(), signal.SIGTERM), score(*given))
    with interruption.handled(), pytest.raises(interruption.StopRequested):
        fit(brain)
    assert [ckpt.meta["epoch"] for ckpt in brain.checkpointer.list_checkpoints()] == [1]


def test_what_does_not_train_stops_at_once_and_an_interrupt_comes_once():
    with interruption.handled():
        with pytest.raises(interruption.StopRequested):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.05)


@pytest.mark.slow
def test_a_step_in_hz_moves_filters_that_plain_adam_leaves_where_they_are():
    """LEAF's widths are in samples: at a rate of 0.005 they stand still."""
    moved = {}
    for step_hz in (0.0, 5.0):
        given = {"optimizing": "adam", "lr": 0.005, "frontend_step_hz": step_hz}
        brain = fit(make(frontend="leaf", **given))
        after = brain.model.compute_features.filters()
        moved[step_hz] = displacement(brain.initial_filters, after)
    assert moved[0.0]["bandwidth_shift_hz"] < 2 < 10 < moved[5.0]["bandwidth_shift_hz"]
    assert 0 < moved[5.0]["centre_shift_hz"] < 9 * 5  # nine steps


@pytest.mark.slow
def test_early_stopping_ends_the_run_and_a_restart_does_not_go_on(tmp_path):
    changes = {"lr": 1e-9, "number_of_epochs": 30, "early_stopping_epochs": 2}
    brain = fit(make(tmp_path, **changes))
    assert len(brain.history.epochs) == 3  # the first is the best, two bring nothing
    again = fit(make(tmp_path, **changes))
    assert len(again.history.epochs) == 3


def test_a_batch_that_is_not_finite_changes_nothing(caplog):
    brain = make(run_opts={"nonfinite_patience": 100}, number_of_epochs=1)
    dataset = clips()
    for row in dataset.data.values():
        row["wav"] = row["wav"] * torch.inf
    before = {key: value.clone() for key, value in brain.modules.state_dict().items()}
    loader = {"batch_size": 8}
    brain.fit(brain.hparams.epoch_counter, dataset, None, None, loader)
    after = brain.modules.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert brain.optimizer_step == 0


def test_not_finite_too_often_raises():
    brain = make(run_opts={"nonfinite_patience": 1})
    dataset = clips()
    for row in dataset.data.values():
        row["wav"] = row["wav"] * torch.nan
    refused("not finite", fit, brain, dataset)


def test_a_checkpoint_with_values_that_are_not_finite_is_refused(tmp_path):
    brain = fit(make(tmp_path, number_of_epochs=1))
    with torch.no_grad():
        brain.model.classifier.linear.bias.fill_(torch.nan)
    refused("classifier.linear.bias", brain.checkpointer.save_checkpoint, error=FloatingPointError)
    assert len(brain.checkpointer.list_checkpoints()) == 1


@pytest.mark.slow
def test_bf16_training_learns_and_keeps_float32_parameters():
    brain = fit(make(frontend="leaf", lr=0.05, run_opts={"precision": "bf16"}))
    assert brain.history.epochs[-1]["train"]["loss"] < brain.history.epochs[0]["train"]["loss"]
    assert all(p.dtype == torch.float32 for p in brain.modules.parameters())


def test_mixup_and_smoothing_give_the_loss_of_soft_labels():
    brain = make(label_smoothing=0.1, mixup=Mixup(1.0))
    logp = torch.randn(4, 2).log_softmax(-1)
    batch = SimpleNamespace(target=torch.tensor([0, 1, 1, 0]))
    partner, share = torch.tensor([1, 0, 3, 2]), torch.tensor([0.3, 1.0, 0.5, 0.0])
    brain._mixed = (partner, share)
    one_hot = nn.functional.one_hot(batch.target, 2).float()
    soft = share[:, None] * one_hot + (1 - share[:, None]) * one_hot[partner]
    soft = 0.9 * soft + 0.1 / 2
    expected = -(soft * logp).sum(1)
    torch.testing.assert_close(brain.training_loss(logp, batch), expected.mean())
    brain._mixed = None
    plain = -logp[torch.arange(4), batch.target]
    torch.testing.assert_close(brain.item_losses(logp, batch), plain)


def test_the_outcome_does_not_depend_on_the_state_of_torchs_generator():
    outcomes = []
    for _ in range(2):
        brain = make(frontend="mel", mixup=Mixup(1.0))
        torch.manual_seed(torch.seed())
        outcomes.append(fit(brain).modules.state_dict())
    assert all(torch.equal(outcomes[0][key], outcomes[1][key]) for key in outcomes[0])


def test_every_epoch_has_every_item_once_in_another_composition():
    brain, epochs = make(), []
    brain.on_fit_batch_start = lambda batch, should_step: epochs[-1].append(frozenset(batch.id))
    start = brain.on_stage_start

    def on_stage_start(stage, epoch=None):
        if stage == sb.Stage.TRAIN:
            epochs.append([])
        start(stage, epoch)

    brain.on_stage_start = on_stage_start
    fit(brain)
    assert len(epochs) == 3
    for batches in epochs:
        assert sorted(len(batch) for batch in batches) == [4, 8, 8]
        assert len(frozenset().union(*batches)) == 20
    assert not set(epochs[0]) & set(epochs[1]), "two epochs hold the same batch"


@pytest.mark.slow
def test_the_best_epoch_is_tested_and_the_history_stays_whole(tmp_path):
    brain, states = make(tmp_path, lr=0.1), []
    measure = brain._merged_record

    def worse_and_worse():
        states.append({key: v.clone() for key, v in brain.modules.state_dict().items()})
        return {**measure(), "accuracy": 1 / len(states)}

    brain._merged_record = worse_and_worse
    fit(brain)
    brain.evaluate(clips(), max_key="accuracy", test_loader_kwargs={"batch_size": 8})
    assert brain.best_epoch == 1 and [r["epoch"] for r in brain.history.epochs] == [1, 2, 3]
    tested = states[-1]
    assert all(torch.equal(tested[key], states[0][key]) for key in tested)
    assert not all(torch.equal(tested[key], states[2][key]) for key in tested)


def test_without_a_checkpoint_nothing_is_tested(tmp_path):
    refused("train first", make(tmp_path).evaluate, clips(), test_loader_kwargs={"batch_size": 8})


def test_a_checkpoint_whose_deletion_is_interrupted_is_none_any_more(tmp_path, monkeypatch):
    brain = fit(make(tmp_path, number_of_epochs=2))
    old, _ = sorted(brain.checkpointer.list_checkpoints(), key=lambda ckpt: ckpt.meta["unixtime"])

    def killed(path, missing_ok=False):
        if path.suffix == ".ckpt":
            raise KeyboardInterrupt
        os.unlink(path)

    monkeypatch.setattr("pathlib.Path.unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        brain.checkpointer.save_and_keep_only(meta={"accuracy": 2.0}, max_keys=["accuracy"])
    monkeypatch.undo()
    left = [ckpt.path for ckpt in brain.checkpointer.list_checkpoints()]
    assert len(left) == 2 and old.path not in left and old.path.exists()
    brain.checkpointer.sweep()
    assert not old.path.exists() and all(path.exists() for path in left)


def test_a_sweep_touches_no_folder_of_others(tmp_path):
    checkpointer = make(tmp_path / "run").checkpointer
    theirs = [tmp_path / name for name in ("run/mine", "run/CKPT+mine", "run/.git", "elsewhere")]
    for folder in theirs:
        folder.mkdir()
        (folder / "model.ckpt").touch()
    (tmp_path / "run/CKPT+2026-11-20+10-00-00+00").symlink_to(theirs[-1])
    checkpointer.sweep()
    checkpointer.delete_checkpoints(num_to_keep=0)
    assert all((folder / "model.ckpt").exists() for folder in theirs)


def three_saves(tmp_path):
    checkpointer = make(tmp_path).checkpointer
    for number in range(3):
        checkpointer.recoverables["history"].seconds = float(number)
        checkpointer.save_checkpoint(meta={"accuracy": number, "unixtime": number})
    paths = sorted(tmp_path.glob("CKPT*"))
    return checkpointer, paths, checkpointer.recoverables["history"]


DAMAGE = [
    (name, damage)
    for name in ("model.ckpt", "history.ckpt", "brain.ckpt", "CKPT.yaml")
    for damage in (b"", bytes(100), b'{"a":' * 10**5, "packed", "half", "flipped")
    # Text has no checksum.
    if damage not in ("packed", "flipped") or name == "model.ckpt"
]


@pytest.mark.parametrize(("name", "damage"), DAMAGE)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(tmp_path, caplog, name, damage):
    checkpointer, paths, history = three_saves(tmp_path)
    content = (paths[2] / name).read_bytes()
    if damage == "half":
        damage = content[: len(content) // 2]
    elif damage == "flipped":
        middle = len(content) // 2
        damage = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    elif damage == "packed":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            held = {entry: archive.read(entry) for entry in archive.namelist()}
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for entry, data in held.items():
                archive.writestr(entry, data)
        damage = packed.getvalue()
    (paths[2] / name).write_bytes(damage)
    chosen = checkpointer.recover_if_possible()
    assert chosen.path == paths[1] and history.seconds == 1.0
    assert f"{paths[2]}: " in caplog.text and str(paths[1]) in caplog.text
    assert [ckpt.path for ckpt in checkpointer.find_checkpoints()] == [paths[1], paths[0]]


class Runs:
    """What a pickle runs when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["model.ckpt", "optimizer.ckpt"])
def test_a_checkpoint_of_somebody_else_runs_nothing(tmp_path, name):
    checkpointer, paths, _ = three_saves(tmp_path)
    checkpointer.add_recoverable("optimizer", torch.optim.SGD([nn.Parameter(torch.zeros(1))]))
    for path in paths:
        torch.save({}, path / "optimizer.ckpt")
        torch.save({"a": Runs(tmp_path / "ran")}, path / name)
    with pytest.raises(CheckpointError, match=re.escape(f"{paths[2]} does not fit")):
        checkpointer.recover_if_possible()
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_of_another_model_is_named(tmp_path):
    checkpointer, paths, _ = three_saves(tmp_path)
    torch.save({"other": torch.zeros(1)}, paths[2] / "model.ckpt")
    with pytest.raises(CheckpointError, match="does not fit this run.*fresh"):
        checkpointer.recover_if_possible()


def test_a_damaged_best_checkpoint_is_an_error_and_so_are_all(tmp_path):
    checkpointer, paths, _ = three_saves(tmp_path)
    (paths[0] / "history.ckpt").unlink()
    with pytest.raises(CheckpointError, match=r"history.ckpt is missing\n.*\(fresh"):
        checkpointer.recover_if_possible(min_key="accuracy")
    for path in paths[1:]:
        (path / "history.ckpt").unlink()
    with pytest.raises(CheckpointError, match=re.escape(f"{paths[0]}: history.ckpt")):
        checkpointer.recover_if_possible()
    assert sorted(tmp_path.glob("CKPT*")) == paths


def test_a_full_disk_names_the_folder_and_leaves_no_half_checkpoint(tmp_path, monkeypatch):
    checkpointer = make(tmp_path).checkpointer

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match=f"disk full.*{tmp_path}"):
        checkpointer.save_checkpoint()
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_the_best_and_the_two_latest_checkpoints_are_kept(tmp_path):
    checkpointer = make(tmp_path).checkpointer
    for number, score in enumerate((0.3, 0.9, 0.5, 0.7, 0.6)):
        checkpointer.save_and_keep_only(
            meta={"accuracy": score, "number": number}, max_keys=["accuracy"], num_to_keep=1
        )
    kept = [ckpt.meta["number"] for ckpt in checkpointer.list_checkpoints()]
    assert sorted(kept) == [1, 3, 4]


@pytest.mark.parametrize(("period_s", "lines"), [(0.0, 10), (60.0, 0)])
def test_where_no_bar_is_drawn_a_long_epoch_says_a_line_per_minute(
    period_s, lines, monkeypatch, caplog, capsys
):
    monkeypatch.setattr("auricle.lobes.brains.base.PROGRESS_S", period_s)
    brain = make(run_opts={"noprogressbar": False}, number_of_epochs=1)
    assert brain.noprogressbar, "the output of a test is no terminal"
    with caplog.at_level("INFO", "auricle"):
        fit(brain, batch_size=4)
    said = [r.getMessage() for r in caplog.records if r.getMessage().startswith("epoch 1: ")]
    assert len(said) == lines, "of 5 steps and 5 batches of validation"
    assert all(word in " ".join(said) for word in ("step 5 of 5, loss", "valid, 20 items") if lines)
    assert "\r" not in capsys.readouterr().err
