"""Follow a training in TensorBoard, Weights & Biases or MLflow: scores, rates, filters, pictures.

SpeechBrain has loggers for the first two; after a restart its TensorBoard logger counts epochs from
0 again, and W&B's begins another run. These go on with the same run.
"""

import importlib.util
import os
import uuid
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ...processing.filterbank.displacement import displacement
from ...processing.plots.filters import learned_filters
from ...processing.plots.training import training_curves
from ...processing.system.files import read_json, write_json

#: Where a run keeps the identity that it has in a tracker.
IDENTITY = "tracker.json"


class TensorBoard:
    """Event files in `folder/tensorboard/NAME`."""

    package, draws = "tensorboard", True

    def __init__(self, folder: Path, name: str, known: str | None, epochs: int, options: Mapping):
        from torch.utils.tensorboard import SummaryWriter

        self.identity = known or f"{name}-{uuid.uuid4().hex[:8]}"
        # What was logged of epochs that a killed run has lost is hidden.
        self.writer = SummaryWriter(
            str(folder / "tensorboard" / self.identity), purge_step=epochs + 1
        )
        if not known:
            rows = "".join(f"| {key} | `{value}` |\n" for key, value in options.items())
            self.writer.add_text("settings", f"| option | value |\n| --- | --- |\n{rows}")

    def log(self, numbers: Mapping[str, float], figures: Mapping, epoch: int) -> None:
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, epoch)
        for name, figure in figures.items():
            self.writer.add_figure(name, figure, epoch)
        self.writer.flush()

    def close(self, pictures: list[Path], epoch: int) -> None:
        from matplotlib.image import imread

        for path in pictures:
            self.writer.add_image(f"test/{path.stem}", imread(path), epoch, dataformats="HWC")
        self.writer.close()


class WeightsAndBiases:
    """A run of W&B; its own variables (WANDB_MODE=offline, WANDB_PROJECT) say where it goes."""

    package, draws = "wandb", True

    def __init__(self, folder: Path, name: str, known: str | None, epochs: int, options: Mapping):
        import wandb

        (folder / "wandb").mkdir(parents=True, exist_ok=True)
        self.library, self.identity = wandb, known or uuid.uuid4().hex[:12]
        self.run = wandb.init(
            dir=str(folder), id=self.identity, name=name, config=dict(options), resume="allow"
        )
        # W&B drops steps that do not grow, as after a restart; an axis of our own may go back.
        self.run.define_metric("epoch")
        self.run.define_metric("*", step_metric="epoch")

    def log(self, numbers: Mapping[str, float], figures: Mapping, epoch: int) -> None:
        images = {}
        for name, figure in figures.items():
            figure.canvas.draw()
            images[name] = self.library.Image(np.asarray(figure.canvas.buffer_rgba()))
        self.run.log({"epoch": epoch, **numbers, **images})

    def close(self, pictures: list[Path], epoch: int) -> None:
        images = {f"test/{path.stem}": self.library.Image(str(path)) for path in pictures}
        self.run.log({"epoch": epoch, **images})
        self.run.finish()


class MLflow:
    """A run of MLflow, in the store that MLFLOW_TRACKING_URI names or else in `folder/mlflow`."""

    package, draws = "mlflow", True

    def __init__(self, folder: Path, name: str, known: str | None, epochs: int, options: Mapping):
        import mlflow

        if not os.environ.get("MLFLOW_TRACKING_URI"):
            store = (folder / "mlflow").absolute()
            store.mkdir(parents=True, exist_ok=True)
            mlflow.set_tracking_uri(f"sqlite:///{store}/mlflow.db")
            if mlflow.get_experiment_by_name("auricle") is None:
                mlflow.create_experiment("auricle", (store / "artifacts").as_uri())
        mlflow.set_experiment("auricle")
        self.library = mlflow
        self.run = mlflow.start_run(run_id=known, run_name=None if known else name)
        self.identity = self.run.info.run_id
        if not known:
            mlflow.log_params({key: str(value)[:500] for key, value in options.items()})

    def log(self, numbers: Mapping[str, float], figures: Mapping, epoch: int) -> None:
        self.library.log_metrics(
            {name: float(value) for name, value in numbers.items()}, step=epoch
        )
        for name, figure in figures.items():
            self.library.log_figure(figure, f"{name}/epoch_{epoch:04d}.png")

    def close(self, pictures: list[Path], epoch: int) -> None:
        for path in pictures:
            self.library.log_artifact(str(path), "test")
        self.library.end_run()


TRACKERS = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases, "mlflow": MLflow}


def missing_package(name: str) -> str:
    """The package that a tracker needs and that is not installed; "" where it is."""
    package = TRACKERS[name].package
    return "" if importlib.util.find_spec(package) else package


class Tracking:
    """One run in one tracker, under the same identity after every restart.

    Arguments
    ---------
    kind : of `TRACKERS`
    output_folder : of the run, which keeps the identity in `IDENTITY`
    folder : where trackers write that write to disk; shared by runs that are to be compared
    name : of the run
    options : settings by name, shown beside the curves
    """

    def __init__(self, kind: str, output_folder: Path, folder: Path, name: str, options: Mapping):
        self.kind, self.output_folder, self.folder = kind, output_folder, folder
        self.name, self.options = name, options
        self.tracker = None

    def begin(self, epochs: int) -> None:
        """Open the run, or go on with it after so many epochs."""
        path = self.output_folder / IDENTITY
        known = read_json(path) if path.is_file() else {}
        self.tracker = TRACKERS[self.kind](
            self.folder, self.name, known.get(self.kind), epochs, self.options
        )
        write_json(path, {**known, self.kind: self.tracker.identity})

    def log_epoch(self, brain) -> None:
        """The last finished epoch of a Brain: its numbers, the curves so far, and its filters."""
        record = brain.history.epochs[-1]
        numbers = {f"{side}/{key}": record[side][key] for side in ("train", "valid")
                   for key in record[side]}  # fmt: skip
        for group in brain.optimizer.param_groups:
            numbers["lr/frontend" if group.get("frontend") else "lr"] = group["lr"]
        before = brain.initial_filters
        learns = before is not None and not brain.model.compute_features.fixed
        after = brain.model.compute_features.filters() if learns else None
        if learns:
            moved = displacement(before, after)
            numbers |= {f"filters/{key}": value for key, value in moved.items()}
        figures = {}
        if self.tracker.draws:
            figures["curves"] = training_curves(brain.history.curves(), self.name)
        if self.tracker.draws and learns:
            figures["filters"] = learned_filters(before, after, f"{self.name}, {record['epoch']}")
        self.tracker.log(numbers, figures, record["epoch"])

    def log_test(self, scores: Mapping, pictures: list[Path], epoch: int) -> None:
        """Scores of the test set and all pictures of a finished run, which is closed."""
        if self.tracker is None:  # a trained model that was only tested
            return
        numbers = {
            f"test/{key}": value for key, value in scores.items() if isinstance(value, (int, float))
        }
        self.tracker.log(numbers, {}, epoch)
        self.tracker.close(pictures, epoch)
