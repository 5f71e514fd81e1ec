"""Count claps: a task of somebody's own, in one file outside the repository.

    python claps.py claps.yaml --data_folder DIR        where DIR holds <split>/<claps>_<name>.wav

The task is registered when the file is loaded, as a plugin or as the program.
"""

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

from auricle.lobes.tasks import Prediction, Score, Task, register_task
from auricle.recipes.training.record import Prepared

MOST = 8


def count_claps(bundle, wav):
    from auricle.lobes.bundles.predictions import predict_values

    claps = float(predict_values(bundle, wav)[0])
    return Prediction({"claps": claps}, f"{claps:.1f} claps")


TASK = register_task(
    Task(
        name="clap_count",
        about="how many claps a recording holds",
        head="regression",
        brain="auricle.lobes.brains.regression:RegressionBrain",
        predict=count_claps,
        headline="rmse",
        higher_is_better=False,
        columns=("rmse", "interval", "r2"),
        scores={"rmse": Score("RMSE (claps)", 1.0, 2)},
        output="utterance",
        bundled=("scale", "target"),
    )
)


@dataclass(kw_only=True)
class Files(Prepared):
    files: dict


def prepare(plain, folder):
    files = {
        split: sorted(Path(folder, split).glob("*.wav")) for split in ("train", "valid", "test")
    }
    names = "\n".join(str(file) for group in files.values() for file in group)
    digest = hashlib.sha256(names.encode()).hexdigest()
    counts = {split: len(group) for split, group in files.items()}
    return Files(digest=digest, counts=counts, files=files)


def dataset(files):
    from speechbrain.dataio.dataset import DynamicItemDataset

    from auricle.processing.data.audio import read_audio

    rows = {file.stem: {"path": str(file), "claps": int(file.stem.split("_")[0])} for file in files}
    clips = DynamicItemDataset(rows)
    clips.add_dynamic_item(read_audio, takes="path", provides="sig")
    clips.add_dynamic_item(lambda claps: [2 * claps / MOST - 1], takes="claps", provides="target")
    clips.add_dynamic_item(lambda name: name, takes="id", provides="group")
    clips.set_output_keys(["id", "sig", "target", "group"])
    clips.durations_s = [1.0] * len(rows)
    return clips


def train(config):
    from auricle.recipes.training import runner
    from auricle.recipes.training.finish import finish

    run = runner.start(config, "claps", prepare)
    scale = {"low": 0, "high": MOST}
    run.add_head("clap_count", 1)
    brain = run.build_brain("clap_count", ["claps"], scale)
    sets = {split: dataset(files) for split, files in run.record.files.items()}
    loader = {"batch_size": run.hparams["batch_size"]}
    run.fit_and_test(brain, sets, loader)
    finish(
        run,
        brain,
        task="clap_count",
        dataset="claps",
        protocol={"name": "folders"},
        labels=["claps"],
        bundled={"scale": scale, "target": "static"},
    )


def main(argv=None):
    from auricle.recipes.training import runner

    yaml = Path(__file__).with_suffix(".yaml")
    return runner.run_recipe(str(yaml), train, [], argv, task="clap_count")


if __name__ == "__main__":
    sys.exit(main())
