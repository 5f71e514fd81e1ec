"""The Brain of regression on clips whose loudness is their label: it learns, scores and draws."""

from types import SimpleNamespace

import pytest
import speechbrain as sb
import torch
from speechbrain.dataio.dataset import DynamicItemDataset
from torch import nn

from auricle.hparams.loader import shipped_defaults
from auricle.lobes import build_frontend, build_normalization
from auricle.lobes.brains.checkpoints import AtomicCheckpointer
from auricle.lobes.contracts import Encoder
from auricle.lobes.heads.regression import RegressionHead
from auricle.lobes.model import Model
from auricle.lobes.tasks import find_task

RATE_HZ = 8000


class Frames(Encoder):
    """One linear layer per frame."""

    def __init__(self, in_features, output):
        super().__init__(in_features, 16, output)
        self.linear = nn.Linear(in_features, 16)

    def forward(self, feats, lengths=None):
        steps = self.linear(feats).relu()
        return steps if self.output == "frames" else steps.mean(1, keepdim=True)


def dataset(numbers, dynamic):
    rows = {}
    for number in numbers:
        generator = torch.Generator().manual_seed(number)
        size = RATE_HZ * (1 + number % 3 if dynamic else 1)
        label = 1.6 * torch.rand((), generator=generator).item() - 0.8
        wav = 0.1 * 10**label * torch.randn(size, generator=generator)
        rows[f"clip{number}"] = {"wav": wav, "label": label, "group": f"song{number // 2}"}
    found = DynamicItemDataset(rows)
    found.add_dynamic_item(lambda wav: wav, takes="wav", provides="sig")
    keys = ["id", "sig", "target", "group"]
    if dynamic:
        found.add_dynamic_item(
            lambda wav, label: torch.full((2 * len(wav) // RATE_HZ, 2), label),
            takes=["wav", "label"],
            provides="target",
        )
        found.add_dynamic_item(
            lambda id, wav: 15 + 100 * int(id[4:]) + 0.5 * torch.arange(2 * len(wav) // RATE_HZ),
            takes=["id", "wav"],
            provides="times_s",
        )
        keys.append("times_s")
    else:
        found.add_dynamic_item(
            lambda label: torch.tensor([label, 0.5 * label]), takes="label", provides="target"
        )
    found.set_output_keys(keys)
    found.durations_s = [len(row["wav"]) / RATE_HZ for row in rows.values()]
    return found


def make(dynamic, checkpointer=None, **changes):
    torch.manual_seed(0)
    frontend = build_frontend("mel", sample_rate=RATE_HZ)
    settings = {
        **shipped_defaults("speech_commands"),
        "number_of_epochs": 6,
        "sample_rate": RATE_HZ,
        "lr": 0.01,
        "warmup_epochs": 0,
        "schedule": "constant",
        "feature_masks": [],
        "loss": "ccc",
        "loss_mix": 0.5,
        "ccc_window": 24,
        "epoch_counter": sb.utils.epoch_loop.EpochCounter(6),
        "train_logger": SimpleNamespace(log_stats=lambda *args, **kwargs: None),
        **changes,
    }
    encoder = Frames(frontend.num_features, "frames" if dynamic else "utterance")
    model = Model(frontend, build_normalization("none", frontend), encoder, RegressionHead(16))
    return find_task("regression").build_brain(
        model,
        ["valence", "arousal"],
        {"low": 1, "high": 9},
        hparams=settings,
        run_opts={"device": "cpu", "noprogressbar": True},
        checkpointer=checkpointer,
    )


@pytest.mark.slow
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("loss", ["ccc", "mse", "mix"])
def test_it_learns_scores_on_the_labels_scale_and_draws(dynamic, loss, tmp_path):
    brain = make(dynamic, loss=loss)
    loader = {"batch_size": 4}
    train, test = dataset(range(16), dynamic), dataset(range(16, 24), dynamic)
    brain.fit(brain.hparams.epoch_counter, train, test, None, loader, loader)
    first, last = (brain.history.epochs[i]["valid"]["ccc"] for i in (0, -1))
    assert last > 0.7 and last > first - 0.05
    brain.evaluate(test, test_loader_kwargs=loader)
    found = brain.test_record
    assert found["level"] == ("point" if dynamic else "song") and found["n"] == 4
    assert found["rmse"] == pytest.approx(4 * found["rmse_unit_scale"])  # 1 to 9 is 4 times -1 to 1
    low, high = found["interval"]["ccc"]
    assert low <= found["ccc"] <= high
    assert "CCC" in brain.describe_test()
    for picture in brain.pictures(tmp_path, "test"):
        assert picture.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("constant", [0.0, 0.1])
def test_a_constant_prediction_scores_zero_all_the_way(dynamic, constant):
    counter = sb.utils.epoch_loop.EpochCounter(1)
    brain = make(dynamic, lr=0.0, number_of_epochs=1, epoch_counter=counter)
    for parameter in brain.model.classifier.parameters():
        nn.init.constant_(parameter, constant if parameter.ndim == 1 else 0.0)
    loader = {"batch_size": 4}
    sets = [dataset(range(start, start + 8), dynamic) for start in (0, 8, 16)]
    brain.fit(counter, *sets[:2], None, loader, loader)
    brain.evaluate(sets[2], test_loader_kwargs=loader)
    (epoch,) = brain.history.epochs
    assert epoch["train"]["loss"] == pytest.approx(1.0)
    for record in (epoch["valid"], brain.test_record):
        for score in ("ccc", "ccc_valence", "ccc_arousal", "pearson"):
            assert record[score] == 0.0, score
    assert brain.test_record["interval"]["ccc"] == [0.0, 0.0]


def test_past_batches_are_in_the_checkpoint_and_one_without_them_is_read(tmp_path):
    predictions, targets = torch.randn(2, 6, 2)
    brain = make(False, AtomicCheckpointer(tmp_path))
    brain.loss(predictions, targets)
    saved = brain.checkpointer.save_checkpoint(end_of_epoch=False)
    following = brain.loss(targets, predictions)
    resumed = make(False, AtomicCheckpointer(tmp_path))
    resumed.checkpointer.recover_if_possible()
    resumed.make_dataloader(dataset(range(4), False), sb.Stage.TRAIN, None, batch_size=4)
    resumed.step = 1  # in the middle of an epoch
    resumed.on_stage_start(sb.Stage.TRAIN, 1)
    assert torch.equal(resumed.loss(targets, predictions), following)
    resumed.step = 0
    resumed.on_stage_start(sb.Stage.TRAIN, 2)
    assert not torch.equal(resumed.loss(targets, predictions), following)
    saved.paramfiles["ccc_window"].unlink()
    with pytest.warns(UserWarning, match="ccc_window"):
        resumed.checkpointer.recover_if_possible()


def test_dynamic_labels_need_frames():
    brain = make(False)
    with pytest.raises(ValueError, match="frames"):
        brain.fit(
            brain.hparams.epoch_counter, dataset(range(4), True), None, None, {"batch_size": 4}
        )
