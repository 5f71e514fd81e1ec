"""Time of a training epoch: auricle's Speech Commands recipe against SpeechBrain's code path.

    python tests/bench/epoch.py [--data_folder DIR] [--clips 1024] [--rounds 5] [--report FILE.md]

Both train an x-vector on log-mel frames of the same clips with the same batch size, on one machine,
in one process, epoch by epoch in turn. SpeechBrain's path is put together as its
Google-speech-commands recipe is: a DynamicItemDataset that reads each file anew, `Fbank`, sentence
normalisation, `Xvector`, `Classifier`, Adam; without its augmentation, which it downloads. auricle's
is the recipe itself (`mel` + `xvector`), with its augmentation switched on, and for comparison off.
The first epoch of each, in which auricle fills its cache of decoded audio, is reported apart.

What a learnable frontend costs is the second comparison: the recipe with `leaf` + `bcresnet` against
the recipe with `mel` + `bcresnet` (tau 1).
"""

from __future__ import annotations

import itertools
import random
import statistics
import tempfile
from pathlib import Path

import speechbrain as sb
import torch
from measuring import Row, finish, in_turn, new_parser, ratios, report
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.lobes.features import Fbank
from speechbrain.lobes.models.Xvector import Classifier, Xvector
from speechbrain.processing.features import InputNormalization

from auricle.hparams.loader import load_hparams
from auricle.processing.data.dataset import resolve
from auricle.processing.data.mini import cached_mini
from auricle.processing.system.memory import keep_freed_memory
from auricle.recipes.speech_commands import data
from auricle.recipes.training.runner import Run, training_objects

#: (numerator, denominator, at most): what is asked of the ratios of epochs.
GOALS = [
    ("mel + xvector", "SpeechBrain", 1.0),
    ("mel + xvector, no augmentation", "SpeechBrain", None),
    ("leaf + bcresnet", "mel + bcresnet", 1.5),
]
BATCH = 32
WIDTHS = [512, 512, 512, 512, 1500]


class SpeechBrainPath(sb.Brain):
    """Forward and loss as in SpeechBrain's Google-speech-commands recipe."""

    def compute_forward(self, batch, stage):
        batch = batch.to(self.device)
        wavs, lengths = batch.sig
        feats = self.modules.mean_var_norm(self.modules.compute_features(wavs), lengths)
        return self.modules.classifier(self.modules.embedding_model(feats, lengths))

    def compute_objectives(self, predictions, batch, stage):
        target = batch.target.unsqueeze(1)
        return sb.nnet.losses.nll_loss(predictions, target)


def counted(brain, loader):
    """Epochs of a Brain, one a call."""
    numbers = itertools.count(1)
    return lambda: brain._fit_train(loader, next(numbers), enable=False)


def speechbrain_epoch(rows, record):
    index = {label: number for number, label in enumerate(record.labels)}

    @sb.utils.data_pipeline.takes("row", "label")
    @sb.utils.data_pipeline.provides("sig", "target")
    def pipeline(row, label):
        yield sb.dataio.dataio.read_audio(row)
        yield index[label]

    described = {
        key: {"row": str(resolve(row, record.roots)), "label": row["label"]}
        for key, row in rows.items()
    }
    dataset = DynamicItemDataset(described, [pipeline], ["id", "sig", "target"])
    modules = {
        "compute_features": Fbank(n_mels=40),
        "mean_var_norm": InputNormalization(norm_type="sentence", std_norm=False),
        "embedding_model": Xvector(
            device="cpu", in_channels=40, tdnn_channels=WIDTHS, lin_neurons=512
        ),
        "classifier": Classifier(
            input_shape=[None, None, 512], out_neurons=len(index), lin_neurons=512
        ),
    }
    brain = SpeechBrainPath(modules, lambda p: torch.optim.Adam(p, 1e-3), {}, {"device": "cpu"})
    loader = brain.make_dataloader(dataset, sb.Stage.TRAIN, batch_size=BATCH, shuffle=True)
    brain.on_fit_start()
    return counted(brain, loader)


def auricle_epoch(folder, rows, record, scratch, frontend, encoder, *extra):
    """An epoch of the recipe over these rows."""
    words = ["--data_folder", str(folder), "--frontend", frontend, "--encoder", encoder]
    words += ["--device", "cpu", "--results_folder", str(scratch), "--batch_size", str(BATCH)]
    config = load_hparams([*words, *extra], "speech_commands")
    hparams = config.build()
    objects = {**training_objects(hparams), **hparams, "checkpointer": None}
    run = Run(config, objects, Path(), record, {})
    run.add_head("classification", len(record.labels))
    augment = data.build_augmentation(hparams, record)
    brain = run.build_brain("classification", record.labels, augment=augment)
    dataset = data.build_datasets(hparams, record)["train"]
    dataset.data_ids = list(rows)
    dataset.durations_s = [hparams["clip_s"]] * len(rows)
    loader = brain.make_dataloader(dataset, sb.Stage.TRAIN, batch_size=BATCH)
    brain.on_fit_start()
    return counted(brain, loader)


def prepare(folder, scratch):
    """The corpus with default settings."""
    plain = {
        "results_folder": scratch,
        "protocol": "v2-12-official",
        "max_per_class": 0,
        "data_seed": 0,
        "official_test_folder": None,
        "skip_broken": False,
        "download": False,
    }
    return data.prepare_from(plain, folder)


def main():
    parser = new_parser(__doc__, rounds=3)
    parser.add_argument("--data_folder", default="", help="Speech Commands; default: mini, small")
    parser.add_argument("--clips", type=int, default=512, help="training clips per epoch")
    arguments = parser.parse_args()
    keep_freed_memory()  # as the recipes do; SpeechBrain's path gains from it, too
    folder = Path(arguments.data_folder or cached_mini("speech_commands", "small"))
    with tempfile.TemporaryDirectory() as scratch:
        record = prepare(folder, scratch)
        # Spoken clips only: silence may be a cut of a longer file, which the other path cannot read.
        spoken = {row["id"]: row for row in record.rows("train") if row["speaker"]}
        drawn = random.Random(0).sample(sorted(spoken), min(arguments.clips, len(spoken)))
        rows = {name: spoken[name] for name in drawn}
        shared = (folder, rows, record, scratch)
        quiet = ("--augment_probability", "0")
        epochs = {
            "SpeechBrain": speechbrain_epoch(rows, record),
            "mel + xvector": auricle_epoch(*shared, "mel", "xvector"),
            "mel + xvector, no augmentation": auricle_epoch(*shared, "mel", "xvector", *quiet),
            "mel + bcresnet": auricle_epoch(*shared, "mel", "bcresnet"),
            "leaf + bcresnet": auricle_epoch(*shared, "leaf", "bcresnet"),
        }
        first, later = in_turn(epochs, arguments.rounds)
    numbers = [
        Row(f"{name} to {base}, later epochs", ratios(later[name], later[base]), "", at_most)
        for name, base, at_most in GOALS
    ]
    more = ["", "| path | first epoch (s) | later epochs (s) |", "| --- | ---: | ---: |"]
    for name, seconds in later.items():
        more.append(f"| {name} | {first[name]:.1f} | {statistics.median(seconds):.1f} |")
    notes = [
        f"{len(rows)} clips of 1 s ({folder.name}), batch size {BATCH}",
        f"medians of {arguments.rounds} epochs in turn; ratios round by round (least to most)",
    ]
    text = report("Time of a training epoch", __file__, notes, numbers, more)
    return finish(text, arguments.report, numbers)


if __name__ == "__main__":
    raise SystemExit(main())
