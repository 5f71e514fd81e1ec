"""How fast speaker models embed and train, against the numbers they have to reach.

    python tests/bench/speaker_models.py --report tests/bench/speaker_models.md \\
        --models recipes/voxceleb/results

The two published students (mel and sinc stack in front of a mixer of 192 channels) are trained for
an epoch on the mini corpus by the recipe itself, and their bundles are timed on 32 waveforms of 2 s.
Square float32 matrix products of the same run say what the machine can do. All are timed in turn,
round after round; medians count. With --models, every model of those results is timed too, on one
and on two threads, and a .json beside the report keeps it for `auricle table --bench`.
The exit code is 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from auricle.lobes import build_model
from auricle.lobes.brains.checkpoints import History
from auricle.lobes.bundles import bundle as pretrained
from auricle.lobes.contracts import mask_padding
from auricle.lobes.model import Model
from auricle.processing.system.memory import keep_freed_memory
from auricle.recipes.reports.results import collect_versions, load_results
from auricle.recipes.voxceleb.train import main as train

BATCH, CLIP_S, RATE = 32, 2.0, 16000
MATRIX = 2048
PUBLISHED = {
    "mel": {"encoder_options.mlp_mixer.expansion": 3, "frontend_options.mel.num_features": 80},
    "sinc_conv": {
        "encoder_options.mlp_mixer.expansion": 4,
        "encoder_options.mlp_mixer.convolution": "trunk",
        "encoder_options.mlp_mixer.pooling": "bottleneck",
    },
}


def waves() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return 0.1 * torch.randn(BATCH, round(CLIP_S * RATE), generator=generator)


def trained(frontend: str, options: dict, folder: Path) -> tuple[pretrained.Bundle, float]:
    """The recipe's bundle after an epoch on mini, and validation's share of that epoch."""
    words = ["--frontend", frontend, "--encoder", "mlp_mixer", "--output_folder", str(folder)]
    words += [word for key, value in options.items() for word in (f"--{key}", str(value))]
    words += [
        "--number_of_epochs",
        "1",
        "--warmup_epochs",
        "0",
        "--device",
        "cpu",
        "--noprogressbar",
    ]
    if train([*words, "--results_folder", str(folder.parent)]):
        raise SystemExit(f"training {frontend} failed")
    history = History()
    history.load(next((folder / "checkpoints").glob("CKPT*/history.ckpt")))
    seconds = history.epochs[0]["train"]["seconds"]
    return pretrained.load(folder / "bundle"), (history.seconds - seconds) / history.seconds


def median_s(steps: dict, rounds: int) -> dict[str, float]:
    """Median seconds of each step, all of them in turn in every round."""
    times = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name, step in steps.items():
            begin = time.perf_counter()
            step()
            if number:
                times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in times.items()}


def embedding(model, wavs):
    def step():
        with torch.inference_mode():
            model.embed(wavs)

    return step


def training(model, wavs):
    lengths = torch.ones(len(wavs))
    model.train()

    def step():
        model.zero_grad()
        model.embed(mask_padding(wavs, lengths), lengths).square().sum().backward()

    return step


def goals(rounds: int) -> list[tuple[str, float, str, str, bool | None]]:
    wavs, rows = waves(), []
    with tempfile.TemporaryDirectory() as folder:
        made = {
            name: trained(name, options, Path(folder, name)) for name, options in PUBLISHED.items()
        }
    bundles = {name: bundle for name, (bundle, _) in made.items()}
    square = torch.randn(MATRIX, MATRIX)
    steps = {name: embedding(bundle, wavs) for name, bundle in bundles.items()}
    steps["product"] = lambda: square @ square
    found = median_s(steps, rounds)
    gmac_s = MATRIX**3 / found["product"] / 1e9
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        bundles["mel"].embed(wavs[:1])
    gmac = counter.get_total_flops() / 2e9
    speed = {name: BATCH / found[name] for name in bundles}
    share = speed["mel"] * gmac / gmac_s
    rows.append(("matrix products", gmac_s, "GMAC/s", "", None))
    rows.append(
        ("sinc stack + mixer", speed["sinc_conv"], "utt/s", ">= 250", speed["sinc_conv"] >= 250)
    )
    rows.append(("mel + mixer", speed["mel"], "utt/s", "", None))
    rows.append(("mel + mixer, multiply-adds of an utterance", gmac, "GMAC", "", None))
    rows.append(("mel + mixer against matrix products", share, "", ">= 0.5", share >= 0.5))
    found = median_s({name: training(b, wavs) for name, b in bundles.items()}, max(3, rounds // 3))
    ratio = found["sinc_conv"] / found["mel"]
    rows.append(("training step, sinc stack against mel", ratio, "", "<= 2", ratio <= 2))
    for name, (_, cost) in made.items():
        what = f"validation's share of an epoch on mini, {name}"
        rows.append((what, 100 * cost, "%", "< 5", cost < 0.05))
    return rows


def untrained(frontend: str, encoder: str, options: dict) -> Model:
    """A model as a results file describes it; its weights do not matter here."""
    keyed = [{frontend: options["frontend"]}, {encoder: options["encoder"]}]
    return build_model(frontend, encoder, RATE, "auto", *keyed)


def speeds(results_folder: Path, rounds: int) -> list[dict]:
    rows, wavs = {}, waves()
    for result in load_results(results_folder):
        options = {
            kind: result.options.get(f"{kind}_options") or {} for kind in ("frontend", "encoder")
        }
        row = {"frontend": result.frontend, "encoder": result.encoder, "options": options}
        rows[json.dumps(row, sort_keys=True)] = row
    models = {
        key: untrained(row["frontend"], row["encoder"], row["options"]).eval()
        for key, row in rows.items()
    }
    steps = {key: embedding(model, wavs) for key, model in models.items()}
    threads = torch.get_num_threads()
    for number in (1, 2):
        torch.set_num_threads(number)
        for key, seconds in median_s(steps, rounds).items():
            rows[key][f"embeddings_per_s_{number}"] = round(BATCH / seconds, 1)
    torch.set_num_threads(threads)
    return list(rows.values())


def report(rows, models) -> str:
    versions = ", ".join(f"{name} {value}" for name, value in collect_versions().items())
    lines = ["# Speaker models", "", "Written by `tests/bench/speaker_models.py`.", ""]
    lines += [f"- {BATCH} waveforms of {CLIP_S:g} s at {RATE} Hz"]
    lines += [f"- machine: {platform.machine()}, {os.cpu_count()} CPUs; {torch.get_num_threads()} "]
    lines[-1] += f"threads; load {os.getloadavg()[0]:.1f}"
    lines += [f"- {versions}", "", "| | measured | asked | kept |", "|---|---|---|---|"]
    for what, value, unit, goal, kept in rows:
        verdict = "" if kept is None else "yes" if kept else "**no**"
        lines.append(f"| {what} | {value:.3g} {unit} | {goal} | {verdict} |")
    if models:
        lines += ["", "Embeddings per second of the models of the recipe's tables:", ""]
        lines += [
            "| frontend | encoder | options | 1 thread | 2 threads |",
            "|---|---|---|---|---|",
        ]
        for row in models:
            speed = " | ".join(f"{row[f'embeddings_per_s_{number}']:.0f}" for number in (1, 2))
            options = json.dumps({k: v for k, v in row["options"].items() if v})
            lines.append(f"| {row['frontend']} | {row['encoder']} | `{options}` | {speed} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--report", type=Path, help="where the tables go (Markdown)")
    parser.add_argument("--models", type=Path, help="results whose models are timed too")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    keep_freed_memory()
    rows = goals(arguments.rounds)
    models = speeds(arguments.models, arguments.rounds) if arguments.models else []
    text = report(rows, models)
    print(text)
    if arguments.report:
        arguments.report.write_text(text)
        if models:
            kept = json.dumps({"reference": "", "rows": models}, indent=2) + "\n"
            arguments.report.with_suffix(".json").write_text(kept)
    return int(any(kept is False for *_, kept in rows))


if __name__ == "__main__":
    raise SystemExit(main())
