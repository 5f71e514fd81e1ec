"""How long every frontend takes relative to `mel`, as configured in the experiments.

    python tests/bench/frontends.py --report tests/bench/frontends.md

Writes the report and, beside it, a .json that `auricle table --bench` reads. Each frontend is
timed in turn with `mel`, round after round, and compared round by round, so that what else the
machine does falls on both; the medians count. Threads are torch's default, freed memory is kept
as the recipes have it (processing/system/memory.py).
"""

from __future__ import annotations

import json
import os
import platform
import statistics
from importlib.metadata import version

import torch
from measuring import finish, in_turn, new_parser, ratios

from auricle.lobes import FRONTENDS, build_frontend
from auricle.processing.system.memory import keep_freed_memory

REFERENCE, CLIPS, SAMPLE_RATE = "mel", 32, 16000
#: Options the experiments give; every other frontend is built with its defaults.
CONFIGURED = {
    "stft_mel": [{"setting": setting} for setting in "ABCD"],
    "wav2vec_conv": [{"channels": 64}],
    "spectrogram_image": [{"num_features": 40, "num_mels": 128}],
}


def steps(name: str, options: dict) -> dict:
    """Forward, and forward with backward (forward again where nothing is learned)."""
    frontend = build_frontend(name, SAMPLE_RATE, {name: options})
    generator = torch.Generator().manual_seed(0)
    wavs = 0.1 * torch.randn(CLIPS, SAMPLE_RATE, generator=generator)
    lengths = torch.ones(CLIPS)

    def forward():
        with torch.no_grad():
            frontend(wavs, lengths)

    def forward_backward():
        frontend.zero_grad()
        feats = frontend(wavs, lengths)
        if feats.requires_grad:
            feats.square().mean().backward()

    return {"forward": forward, "forward_backward": forward_backward}


def compare(step, reference, rounds: int) -> tuple[float, float]:
    """Median ratio to the reference, and median milliseconds."""
    _, seconds = in_turn({"mine": step, "theirs": reference}, rounds)
    ratio = statistics.median(ratios(seconds["mine"], seconds["theirs"]))
    return ratio, 1e3 * statistics.median(seconds["mine"])


def measure(rounds: int) -> dict:
    references = steps(REFERENCE, {})
    rows = []
    for name in FRONTENDS.names():
        if name == "waveform":  # no transform to time
            continue
        for options in CONFIGURED.get(name, [{}]):
            row = {"frontend": name, "options": options}
            for what, step in steps(name, options).items():
                ratio, ms = compare(step, references[what], rounds)
                if name == REFERENCE and not options:
                    ratio = 1.0  # by definition; measured, it would show the noise
                row |= {what: round(ratio, 2), f"{what}_ms": round(ms, 2)}
            rows.append(row)
            print(row, flush=True)
    return {
        "reference": REFERENCE,
        "clips": f"{CLIPS} x 1 s at {SAMPLE_RATE} Hz",
        "rounds": rounds,
        "threads": torch.get_num_threads(),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "versions": {name: version(name) for name in ("auricle", "torch", "torchaudio")},
        "rows": rows,
    }


def report(found: dict) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    lines = [
        "# Time of every frontend",
        "",
        f"{found['clips']}, {found['machine']}, {found['threads']} threads, {versions}. Medians of "
        f"{found['rounds']} rounds, each paired with `{found['reference']}`. "
        "Written by `python tests/bench/frontends.py`.",
        "",
        "| frontend | options | forward (ms) | relative | forward + backward (ms) | relative |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in found["rows"]:
        options = ", ".join(f"`{key}={value}`" for key, value in row["options"].items())
        lines.append(
            f"| `{row['frontend']}` | {options} | {row['forward_ms']:.1f} | {row['forward']:.1f} | "
            f"{row['forward_backward_ms']:.1f} | {row['forward_backward']:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = new_parser(__doc__, rounds=9).parse_args()
    keep_freed_memory()
    found = measure(arguments.rounds)
    finish(report(found), arguments.report)
    if arguments.report:
        kept = json.dumps(found, indent=2) + "\n"
        arguments.report.with_suffix(".json").write_text(kept, encoding="utf-8")


if __name__ == "__main__":
    main()
