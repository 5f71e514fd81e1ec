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

import json
import tempfile
from pathlib import Path

import torch
from measuring import Row, finish, medians, new_parser, report
from torch.utils.flop_counter import FlopCounterMode

from auricle.lobes import build_model
from auricle.lobes.brains.checkpoints import History
from auricle.lobes.bundles import bundle as pretrained
from auricle.lobes.contracts import mask_padding
from auricle.lobes.model import Model
from auricle.processing.system.memory import keep_freed_memory
from auricle.recipes.reports.results import load_results
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
    words += "--number_of_epochs 1 --warmup_epochs 0 --device cpu --noprogressbar".split()
    if train([*words, "--results_folder", str(folder.parent)]):
        raise SystemExit(f"training {frontend} failed")
    history = History()
    history.load(next((folder / "checkpoints").glob("CKPT*/history.ckpt")))
    seconds = history.epochs[0]["train"]["seconds"]
    return pretrained.load(folder / "bundle"), (history.seconds - seconds) / history.seconds


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


def goals(rounds: int) -> list[Row]:
    wavs = waves()
    with tempfile.TemporaryDirectory() as folder:
        made = {
            name: trained(name, options, Path(folder, name)) for name, options in PUBLISHED.items()
        }
    bundles = {name: bundle for name, (bundle, _) in made.items()}
    square = torch.randn(MATRIX, MATRIX)
    steps = {name: embedding(bundle, wavs) for name, bundle in bundles.items()}
    seconds = medians({**steps, "product": lambda: square @ square}, rounds)
    gmac_s = MATRIX**3 / seconds["product"] / 1e9
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        bundles["mel"].embed(wavs[:1])
    gmac = counter.get_total_flops() / 2e9
    speed = {name: BATCH / seconds[name] for name in bundles}
    share = speed["mel"] * gmac / gmac_s
    steps = {name: training(bundle, wavs) for name, bundle in bundles.items()}
    seconds = medians(steps, max(3, rounds // 3))
    ratio = seconds["sinc_conv"] / seconds["mel"]
    return [
        Row("matrix products", [gmac_s], "GMAC/s"),
        Row("sinc stack + mixer", [speed["sinc_conv"]], "utt/s", at_least=250),
        Row("mel + mixer", [speed["mel"]], "utt/s"),
        Row("mel + mixer, multiply-adds of an utterance", [gmac], "GMAC"),
        Row("mel + mixer against matrix products", [share], at_least=0.5),
        Row("training step, sinc stack against mel", [ratio], at_most=2),
        *(
            Row(f"validation's share of an epoch on mini, {name}", [100 * cost], "%", at_most=5)
            for name, (_, cost) in made.items()
        ),
    ]


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
        for key, seconds in medians(steps, rounds).items():
            rows[key][f"embeddings_per_s_{number}"] = round(BATCH / seconds, 1)
    torch.set_num_threads(threads)
    return list(rows.values())


def table(models) -> list[str]:
    if not models:
        return []
    lines = ["", "Embeddings per second of the models of the recipe's tables:", ""]
    lines += ["| frontend | encoder | options | 1 thread | 2 threads |", "|---|---|---|---|---|"]
    for row in models:
        speed = " | ".join(f"{row[f'embeddings_per_s_{number}']:.0f}" for number in (1, 2))
        options = json.dumps({k: v for k, v in row["options"].items() if v})
        lines.append(f"| {row['frontend']} | {row['encoder']} | `{options}` | {speed} |")
    return lines


def main() -> int:
    parser = new_parser(__doc__, rounds=9)
    parser.add_argument("--models", type=Path, help="results whose models are timed too")
    arguments = parser.parse_args()
    keep_freed_memory()
    rows = goals(arguments.rounds)
    models = speeds(arguments.models, arguments.rounds) if arguments.models else []
    if arguments.report and models:
        kept = json.dumps({"reference": "", "rows": models}, indent=2) + "\n"
        arguments.report.with_suffix(".json").write_text(kept)
    notes = [f"{BATCH} waveforms of {CLIP_S:g} s at {RATE} Hz"]
    text = report("Speaker models", __file__, notes, rows, table(models))
    return finish(text, arguments.report, rows)


if __name__ == "__main__":
    raise SystemExit(main())
