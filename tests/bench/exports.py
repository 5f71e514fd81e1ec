"""Export every frontend and every encoder within a model, and write the README's table of them.

    python tests/bench/exports.py [NAME ...]      measures again, or these alone
    python tests/bench/exports.py --table         writes the table from what was measured

A frontend is exported with `bcresnet`, an encoder with `mel` or, where it reads samples, with
`waveform`, all with random values and the options they come with, scores as output. The table is
between two marks in README.md, its numbers are in exports.json.
"""

from __future__ import annotations

import json
import math
import sys
from importlib.metadata import version
from pathlib import Path

import torch

from auricle.lobes import ENCODERS, FRONTENDS, create_model
from auricle.lobes.export.form import ExportedModel

HERE = Path(__file__).parent
MEASURED, README = HERE / "exports.json", HERE.parents[1] / "README.md"
MARKS = "<!-- exports: written by tests/bench/exports.py -->", "<!-- end of exports -->"
RATE, CLASSES, ROUNDS = 16000, 12, 15
#: In s; of an encoder that is built for clips of 1 s those that it takes.
CLIPS_S = (1.0, 0.25, 0.8, 1.7, 4.2)


def pair(kind: str, name: str) -> tuple[str, str]:
    """Frontend and encoder that a lobe is measured with."""
    if kind == "frontend":
        return name, "m5" if name == "waveform" else "bcresnet"
    return "waveform" if ENCODERS.get(name).example_features == 1 else "mel", name


def measured(kind: str, name: str) -> dict:
    """Largest deviation, size and times of one lobe's model."""
    sys.path[:0] = [str(HERE), str(HERE.parent / "support")]
    from measuring import in_turn
    from onnx_form import OnnxForm, deviation

    lobe = (FRONTENDS if kind == "frontend" else ENCODERS).get(name)
    if lobe.not_exported:
        return {"fails": lobe.not_exported}
    torch.manual_seed(0)
    clip_s = 1.0 if kind == "encoder" and lobe.needs_in_frames else None
    model = create_model(*pair(kind, name), num_classes=CLASSES, sample_rate=RATE, clip_s=clip_s)
    model.eval().requires_grad_(False)
    encoder, frontend = model.embedding_model, model.compute_features
    longest = RATE if encoder.needs_in_frames else None
    generator = torch.Generator().manual_seed(0)

    def clips(seconds: float, items: int) -> torch.Tensor:
        return 0.1 * torch.randn(items, round(seconds * RATE), generator=generator)

    plain = ExportedModel(model)

    def reference(x, lengths):
        scores = model(x, lengths)
        return scores.squeeze(1) if encoder.output == "utterance" else scores

    form = OnnxForm(plain, clips(1.0, 2), longest)
    sizes = [(s, n) for s in CLIPS_S for n in (1, 3) if s * RATE <= (longest or math.inf)]
    steps = None
    if encoder.output == "frames":

        def steps(count):
            return encoder.num_frames(frontend.num_frames(count))

    off = max(deviation(form, reference, clips(*size), steps) for size in sizes)
    x, whole = clips(1.0, 1), torch.ones(1)
    with torch.inference_mode():
        times = in_turn(
            {"torch": lambda: model(x, whole), "onnxruntime": lambda: form(x, whole)}, ROUNDS
        )[1]
    return {
        "with": pair(kind, name)[kind == "frontend"],
        "any_time": longest is None,
        "deviation": off,
        "megabytes": len(form.data) / 1e6,
        **{f"{what}_ms": 1e3 * min(seconds) for what, seconds in times.items()},
    }


def table(rows: dict) -> str:
    """The README's table of what was measured."""
    versions = rows["versions"]
    lines = [
        MARKS[0],
        "| lobe, with | agrees to | file | torch | onnxruntime |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for kind in ("frontend", "encoder"):
        for name, row in sorted(rows[kind].items()):
            if "fails" in row:
                lines.append(f"| {kind} `{name}` | not exported: {row['fails']} | | | |")
                continue
            megabytes = (
                f"{row['megabytes']:.2f}" if row["megabytes"] < 10 else f"{row['megabytes']:.0f}"
            )
            lines.append(
                f"| {kind} `{name}`, `{row['with']}`{'' if row['any_time'] else ', up to 1 s'} "
                f"| {row['deviation']:.0e} | {megabytes} MB | {row['torch_ms']:.1f} ms "
                f"| {row['onnxruntime_ms']:.1f} ms |"
            )
    for kind, registry in (("frontend", FRONTENDS), ("encoder", ENCODERS)):
        if missing := sorted({*registry.names()} - {*rows[kind]}):
            names = ", ".join(f"`{name}`" for name in missing)
            lines += ["", f"Not measured yet within a model, of the {kind}s: {names}."]
    lines += [
        "",
        f"Largest deviation, as a part of the range of the scores, over clips of "
        f"{', '.join(f'{s:g}' for s in CLIPS_S[:-1])} and {CLIPS_S[-1]:g} s, alone and in a batch of "
        f"three of unequal lengths; least of {ROUNDS} times for a clip of 1 s at 16 kHz on one thread "
        f"({versions['processor']}, torch {versions['torch']}, "
        f"onnxruntime {versions['onnxruntime']}); random values.",
        MARKS[1],
    ]
    return "\n".join(lines)


def with_table(text: str, rows: dict) -> str:
    """The README with the table in the place of what is between the marks."""
    before, rest = text.split(MARKS[0])
    return before + table(rows) + rest.split(MARKS[1])[1]


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), "processor")


def main(names: list[str]) -> None:
    torch.set_num_threads(1)
    rows = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
    if names != ["--table"]:
        for kind, registry in (("frontend", FRONTENDS), ("encoder", ENCODERS)):
            kept = rows.setdefault(kind, {})
            for name in registry.names():
                if not names or name in names:
                    kept[name] = measured(kind, name)
                    print(kind, name, kept[name], flush=True)
                    rows["versions"] = {
                        "processor": processor(),
                        **{library: version(library) for library in ("torch", "onnxruntime")},
                    }
                    MEASURED.write_text(json.dumps(rows, indent=1) + "\n")
    README.write_text(with_table(README.read_text(), rows))


if __name__ == "__main__":
    main(sys.argv[1:])
