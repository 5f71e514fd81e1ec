"""Compare how fast waveform and spectrogram models learn at an equal budget of epochs."""

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ....processing.plots.common import new_figure, save_figure
from ....processing.system.files import read_json
from .finding import DOES_NOT_HOLD, HOLDS, NOT_DECIDED, Finding, Settings
from .runs import FinishedRun, collect, planned
from .seed_pairs import t_interval

CLAIM = (
    "At an equal budget of epochs, spectrogram models reach a CCC in fewer epochs than waveform "
    "models."
)

EXPERIMENT = "emotion_models"
MODELS = {
    "mel": ("vit", "ast", "cnn14", "crnn", "musicnn"),
    "waveform": ("sample_cnn", "m5", "wavenet_dilated"),
}
SEEDS = 3
LEVELS = (0.3, 0.5)
PICTURE = "convergence.png"
# Okabe and Ito's colours; models of one input differ by their line.
_COLOURS = {"mel": "#0072B2", "waveform": "#D55E00"}
_LINES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))


@dataclass(frozen=True)
class Curve:
    """Joint CCC of the validation songs after each epoch, and when that was.

    Attributes
    ----------
    ccc : list of float
    seconds : list of float
        Of training from its beginning to the end of each epoch, without validation; on the machine
        and under the load that there was.
    """

    ccc: list[float]
    seconds: list[float]

    @property
    def mean(self) -> float:
        """Mean over the epochs, the area under the curve: higher where CCC comes earlier."""
        return statistics.fmean(self.ccc)

    def first(self, level: float) -> int | None:
        """The first epoch, from 1, of at least this CCC; None: not reached."""
        return next((n for n, ccc in enumerate(self.ccc, 1) if ccc >= level), None)


def measure(settings: Settings) -> Finding:
    """Epochs and seconds to a CCC of 0.3 and 0.5, the last and the mean of the epochs; a picture."""
    systems = {f"{inputs}_{name}": (inputs, name) for inputs in MODELS for name in MODELS[inputs]}
    variants = {
        variant: {"frontend": inputs, "encoder": name}
        for variant, (inputs, name) in systems.items()
    }
    collected = collect(planned(EXPERIMENT, variants, settings.seeds or SEEDS), settings)
    curves = {
        v: {s: curve_of(run) for s, run in runs.items()} for v, runs in collected.runs.items()
    }
    if not curves:
        rows = [{"input": inputs, "model": name} for inputs, name in systems.values()]
        return Finding(rows, NOT_DECIDED, f"nothing was measured.{collected.lacking}")
    rows = [_row(*systems[v], collected.runs[v], curves[v]) for v in systems if v in curves]
    picture = draw(
        {systems[v]: list(curves[v].values()) for v in systems if v in curves},
        Path(settings.results_folder).expanduser() / PICTURE,
        f"Validation, {collected.done[0].result.corpus['name']}",
    )
    verdict, because = _judge({systems[v]: by_seed for v, by_seed in curves.items()})
    return Finding(rows, verdict, f"{because} Picture: {picture}.{collected.lacking}")


def curve_of(run: FinishedRun) -> Curve:
    """The course of a run: of its checkpoints, else, without exact times, of its log.

    Raises
    ------
    ValueError
        Neither is in its folder.
    """
    files = (run.folder / "checkpoints").glob("CKPT*/history.ckpt")
    histories = [read_json(file)["epochs"] for file in files]
    if histories:
        epochs = max(histories, key=len)
        seconds, total = [], 0.0
        for epoch in epochs:
            total += epoch["train"]["seconds"]
            seconds.append(total)
        return Curve([epoch["valid"]["ccc"] for epoch in epochs], seconds)
    log = run.folder / "train_log.txt"
    if not log.is_file():
        raise ValueError(f"{run.folder} has neither checkpoints nor {log.name}: train it again")
    lines = re.findall(
        r"^epoch: (\d+), .*valid ccc: (\S+)", log.read_text(encoding="utf-8"), flags=re.M
    )
    ccc = {int(epoch): float(value) for epoch, value in lines}  # the last, of a resumed epoch
    if sorted(ccc) != list(range(1, len(ccc) + 1)) or not ccc:
        raise ValueError(f"{log} does not hold every epoch: train it again")
    values = [ccc[epoch] for epoch in sorted(ccc)]
    step = run.result.wall_s / len(values)
    return Curve(values, [step * epoch for epoch in sorted(ccc)])


def _row(
    inputs: str, name: str, runs: Mapping[int, FinishedRun], curves: Mapping[int, Curve]
) -> dict:
    """A row of the table: medians over seeds; empty where half of the seeds do not reach it."""
    first_run = next(iter(runs.values())).result
    row: dict[str, object] = {
        "input": inputs,
        "model": name,
        "parameters": sum(first_run.params.values()),
        "seeds": len(runs),
        "epochs": first_run.epochs,
    }
    for level in LEVELS:
        firsts = [curve.first(level) for curve in curves.values()]
        when = [
            None if first is None else curve.seconds[first - 1]
            for first, curve in zip(firsts, curves.values(), strict=True)
        ]
        row[f"epochs to {level}"] = _median(firsts)
        row[f"s to {level}"] = _median(when)
    every = list(curves.values())
    row["s per epoch"] = statistics.fmean(c.seconds[-1] / len(c.seconds) for c in every)
    row["mean CCC of epochs"] = statistics.fmean(curve.mean for curve in every)
    row["last CCC"] = statistics.fmean(curve.ccc[-1] for curve in every)
    row["test CCC"] = statistics.fmean(run.ccc for run in runs.values())
    return row


def _median(values: Sequence[float | None]) -> float | None:
    """The upper median where None is later than everything; None if it is that."""
    ordered = sorted(values, key=lambda value: float("inf") if value is None else value)
    return ordered[len(ordered) // 2]


def _judge(curves: Mapping[tuple[str, str], Mapping[int, Curve]]) -> tuple[str, str]:
    """By the mean CCC of the epochs, class against class, paired over seeds."""
    both = {inputs: [c for (kind, _), c in curves.items() if kind == inputs] for inputs in MODELS}
    seeds = set.intersection(*(set(by_seed) for by_seed in curves.values()))
    if not all(both.values()) or not seeds:
        return NOT_DECIDED, "models of both inputs with one seed in common are needed."
    mean = {
        inputs: {seed: statistics.fmean(c[seed].mean for c in those) for seed in seeds}
        for inputs, those in both.items()
    }
    differences = [mean["mel"][seed] - mean["waveform"][seed] for seed in sorted(seeds)]
    interval, p_value = t_interval(differences)
    counts = f"{len(both['mel'])} spectrogram models less that of {len(both['waveform'])}"
    because = (
        f"the mean CCC of the epochs (which is the higher, the earlier a CCC is reached) of {counts} "
        f"waveform models is {statistics.fmean(differences):+.3f}"
    )
    if interval is None or p_value is None:
        return NOT_DECIDED, f"{because} with one seed; an interval needs two or more."
    low, high = interval
    verdict = HOLDS if low > 0 else DOES_NOT_HOLD if high < 0 else NOT_DECIDED
    return verdict, (
        f"{because}, 95 % interval {low:+.3f} to {high:+.3f} over {len(differences)} seeds, one "
        f"comparison (p {p_value:.3g}). This is of these models; the seconds, of this machine."
    )


def draw(curves: Mapping[tuple[str, str], Sequence[Curve]], path: str | Path, title: str) -> Path:
    """Draw CCC by epoch and by seconds: the mean over seeds, by input and model.

    Arguments
    ---------
    curves : {(input, model): a curve per seed}, of equal epochs within a model.
    path : where the PNG goes.
    title : what was validated on.
    """
    figure = new_figure(11.0, 4.6)
    figure.suptitle(title)
    by_epoch, by_second = figure.subplots(1, 2, sharey=True)
    drawn = dict.fromkeys(_COLOURS, 0)
    for (inputs, name), seeds in curves.items():
        line = {
            "color": _COLOURS[inputs],
            "ls": _LINES[drawn[inputs] % len(_LINES)],
            "label": f"{name} ({inputs})",
        }
        drawn[inputs] += 1
        epochs = min(len(curve.ccc) for curve in seeds)
        ccc = [statistics.fmean(curve.ccc[n] for curve in seeds) for n in range(epochs)]
        seconds = [statistics.fmean(curve.seconds[n] for curve in seeds) for n in range(epochs)]
        by_epoch.plot(range(1, epochs + 1), ccc, **line)
        by_second.plot(seconds, ccc, **line)
    for axes, label in ((by_epoch, "epoch"), (by_second, "training time in s")):
        for level in LEVELS:
            axes.axhline(level, color="#8A8A8A", lw=0.8)
        axes.set_xlabel(label)
        axes.grid(alpha=0.3)
    by_epoch.set_ylabel("CCC, mean of valence and arousal")
    by_second.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return save_figure(figure, path)
