"""How fast and how exact the filterbank engine is, against the numbers it has to reach.

    python tests/bench/filterbank.py --report tests/bench/filterbank.md

Every pair is timed in turn, round after round, and compared round by round, so that what else the
machine does falls on both. Times are taken twice: as a process starts, and with freed memory kept
as the recipes have it (processing/system/memory.py), which helps forms that fill much memory most. The
goals are held against the first. The exit code is 1 when one is missed by more than its spread.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import threading
from pathlib import Path

import torch
import torchaudio
from measuring import clock, finish, machine, new_parser

from auricle.lobes import build_frontend
from auricle.processing.filterbank.engine import EnergyEngine, backend
from auricle.processing.filterbank.engine.direct import direct_energy
from auricle.processing.filterbank.shapes import gaussian_lowpass
from auricle.processing.system.memory import keep_freed_memory

SAMPLE_RATE, ENERGY_FLOOR = 16000, 1e-5
MEMORY = ("as a process starts", "kept when freed")
CLIPS = {"32 x 1 s": (32, 1), "8 x 10 s": (8, 10)}


def leaf(backend="auto"):
    return build_frontend("leaf", options={"leaf": {"backend": backend}})


def speechbrain_leaf():
    from speechbrain.lobes.features import Leaf

    return Leaf(40, in_channels=1, max_freq=7800.0)


def mel():
    transform = torchaudio.transforms.MelSpectrogram(
        SAMPLE_RATE, n_fft=512, win_length=400, hop_length=160, n_mels=40
    )
    return lambda wavs: torch.log(transform(wavs) + 1e-6)


def nnaudio_mel():
    import nnAudio.features

    return nnAudio.features.MelSpectrogram(
        sr=SAMPLE_RATE, n_fft=512, win_length=400, n_mels=40, hop_length=160, verbose=False
    )


def asteroid_bank():
    """A learned bank of 40 complex filters at full rate, as asteroid-filterbanks has it."""
    from asteroid_filterbanks import Encoder, FreeFB

    encoder = Encoder(FreeFB(80, 401, stride=1, sample_rate=SAMPLE_RATE), padding=200)
    return lambda wavs: encoder(wavs[:, None])


class FreeBank(torch.nn.Module):
    """40 free complex filters of 401 taps, squared and pooled."""

    def __init__(self, backend):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.taps = torch.nn.Parameter(0.05 * torch.randn(40, 2, 401, generator=generator))
        self.register_buffer("pool", gaussian_lowpass(torch.full((40,), 0.4), 401))
        self.engine = EnergyEngine(160, backend)

    def forward(self, wavs):
        return self.engine(wavs, self.taps, self.pool, 200)


def noise(batch, seconds, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(batch, seconds * SAMPLE_RATE, generator=generator)


def speech_like(batch=8, seconds=2):
    """Syllables: harmonics under two resonances, then a loud hiss, then near silence."""
    time_s = torch.arange(seconds * SAMPLE_RATE, dtype=torch.float64) / SAMPLE_RATE
    clips = []
    for item in range(batch):
        generator = torch.Generator().manual_seed(item)
        hiss = torch.randn(len(time_s), generator=generator, dtype=torch.float64)
        hiss = torch.diff(hiss, n=3, prepend=torch.zeros(3, dtype=torch.float64))
        phase = 2 * math.pi * (90 + 15 * item) * time_s + torch.sin(2 * math.pi * 3 * time_s)
        voice = torch.zeros_like(time_s)
        for harmonic in range(1, 40):
            frequency = harmonic * (90 + 15 * item)
            gain = sum(math.exp(-(((frequency - f) / 150) ** 2)) for f in (500 + 40 * item, 1500))
            voice += (gain + 0.01) / harmonic**0.5 * torch.sin(harmonic * phase)
        turn = (time_s * 4 + item / batch) % 1.0
        wave = torch.where(turn < 0.5, 0.3 * voice, 0.0)
        wave = torch.where((turn >= 0.5) & (turn < 0.75), 0.05 * hiss, wave)
        clips.append(wave + 1e-4 * hiss)
    return torch.stack(clips).clamp(-1, 1).float()


def recorded(folder, count=60):
    """Clips of a folder of 16 kHz files, cut or padded to one second."""
    import soundfile

    paths = sorted(p for p in Path(folder).rglob("*") if p.suffix in (".wav", ".flac"))
    paths = paths[:: max(1, len(paths) // count)]
    clips = [torch.from_numpy(soundfile.read(path, dtype="float32")[0]) for path in paths]
    return torch.stack(
        [torch.nn.functional.pad(c[:SAMPLE_RATE], (0, max(0, SAMPLE_RATE - len(c)))) for c in clips]
    )


# -- time --------------------------------------------------------------------------------------


def train_step(module, wavs):
    def run():
        module.zero_grad()
        module(wavs).square().mean().backward()

    return run


def use(module, wavs):
    def run():
        with torch.no_grad():
            module(wavs)

    return run


def by_operators(run):
    """The same on torch operators, as on a machine without a compiler."""

    def slow():
        os.environ["AURICLE_COMPILED"] = "0"
        run()
        os.environ.pop("AURICLE_COMPILED")

    return slow


def compare(ours, theirs, rounds, repeats):
    """Times of `ours` and `theirs`, taken in turn; the ratio theirs / ours per round.

    `repeats` runs of ours go into one round, and their median is taken: it is the short one.
    """
    ours(), theirs()
    ours_s, theirs_s, ratios = [], [], []
    for _ in range(rounds):
        some = [clock(ours) for _ in range(repeats)]
        other = clock(theirs)
        ours_s.append(statistics.median(some))
        theirs_s.append(other)
        ratios.append(other / ours_s[-1])
    spread = statistics.pstdev(ratios) if rounds > 1 else 0.0
    return {
        "ours_ms": 1e3 * statistics.median(ours_s),
        "theirs_ms": 1e3 * statistics.median(theirs_s),
        "ratio": statistics.median(ratios),
        "spread": spread,
    }


def timings(rounds):
    rows = []

    def add(name, clips, ours, theirs, at_least, repeats=5):
        row = {"what": name, "clips": clips, "at_least": at_least}
        row.update(compare(ours, theirs, rounds, repeats))
        rows.append(row)
        print(f"  {name}, {clips}: {row['ratio']:.2f} +- {row['spread']:.2f}", file=sys.stderr)

    for clips, shape in CLIPS.items():
        wavs = noise(*shape)
        add(
            "LEAF forward+backward, SpeechBrain's time over ours",
            clips,
            train_step(leaf(), wavs),
            train_step(speechbrain_leaf(), wavs),
            40,
        )
        add(
            "LEAF forward+backward, the direct form's time over ours",
            clips,
            train_step(leaf(), wavs),
            train_step(leaf("direct"), wavs),
            40,
        )
        add(
            "LEAF forward (filters kept), MelSpectrogram + log's time over ours",
            clips,
            use(leaf(), wavs),
            use(mel(), wavs),
            1 / 4,
        )
        add(
            "LEAF forward+backward, torch operators' time over ours",
            clips,
            train_step(leaf(), wavs),
            by_operators(train_step(leaf(), wavs)),
            None,
        )
    # On noise nothing has to be done again at the full rate; on speech, quiet low bands have.
    wavs = speech_like(32, 1)
    add(
        "LEAF forward+backward, SpeechBrain's time over ours",
        "32 x 1 s, speech-like",
        train_step(leaf(), wavs),
        train_step(speechbrain_leaf(), wavs),
        None,
    )
    wavs = noise(*CLIPS["32 x 1 s"])
    add(
        "40 free complex filters forward+backward, the direct form's time over ours",
        "32 x 1 s",
        train_step(FreeBank("auto"), wavs),
        train_step(FreeBank("direct"), wavs),
        4,
        repeats=1,
    )
    for name, options, at_least in (
        ("sincnet_plus", {}, 3),
        ("sincnet_plus", {"rectifier": "square"}, 20),
        ("tdfbanks", {}, 4),
    ):
        fast, plain = (
            build_frontend(name, options={name: {**options, "backend": backend}})
            for backend in ("auto", "direct")
        )
        words = f"{name}{' (' + options['rectifier'] + ')' if options else ''}"
        add(
            f"{words} forward+backward, the direct form's time over ours",
            "32 x 1 s",
            train_step(fast, wavs),
            train_step(plain, wavs),
            at_least,
            repeats=1,
        )
    for name, build in {
        "nnAudio's mel": nnaudio_mel,
        "asteroid's free bank": asteroid_bank,
    }.items():
        add(
            f"LEAF forward (filters kept), {name}'s time over ours",
            "32 x 1 s",
            use(leaf(), wavs),
            use(build(), wavs),
            None,
        )
    return rows


# -- exactness ---------------------------------------------------------------------------------


def deviations(folder):
    """Largest relative deviation of any frame and channel from the direct form."""
    signals = {"white noise": noise(4, 2), "speech-like": speech_like()}
    if folder:
        signals["recorded speech"] = recorded(folder)
    rows = []
    for name, wavs in signals.items():
        for scale in (0.5, 1.0, 2.0):
            frontend = leaf("decimated")
            with torch.no_grad():
                frontend.width.mul_(scale)
                frontend.project_()
                taps, pool = frontend.kernels()
                expected = direct_energy(wavs, taps, pool, frontend.hop, 200)
                found = frontend.energy(wavs)
            expected = expected.clamp(min=ENERGY_FLOOR)
            found = found.clamp(min=ENERGY_FLOOR)
            apart = (found - expected).abs()
            per_frame = apart.norm(dim=2) / expected.norm(dim=2)
            row = {
                "signal": name,
                "widths": f"initial x {scale:g}",
                "value": (apart / expected).max().item(),
                "frame": per_frame.max().item(),
                "samples_per_sample": frontend.engine.plan(taps).cost,
                "at_most": 1e-4,
            }
            rows.append(row)
            print(f"  {name}, widths x {scale:g}: {row['value']:.1e}", flush=True)
    return rows


# -- memory ------------------------------------------------------------------------------------


def peak_megabytes(backend):
    """Peak memory of one forward and backward of 32 x 3 s, above what the imports take."""
    command = [sys.executable, __file__, "--peak-of", backend]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def resident_megabytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def measure_peak(backend):
    # Sampled and not ru_maxrss: what the imports took for a moment would hide it.
    frontend, wavs = leaf(backend), noise(32, 3)
    train_step(frontend, wavs[:1, :4000])()
    before, peak, done = resident_megabytes(), 0.0, threading.Event()

    def watch():
        nonlocal peak
        while not done.wait(0.001):
            peak = max(peak, resident_megabytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    train_step(frontend, wavs)()
    done.set()
    watcher.join()
    print(peak - before)


# -- report ------------------------------------------------------------------------------------


def missed(found):
    """What is missed by more than its spread."""
    lines = []
    for row in found["time"]["as a process starts"]:
        if row["at_least"] is not None and row["ratio"] + row["spread"] < row["at_least"]:
            lines.append(f"{row['what']}, {row['clips']}: {row['ratio']:.3g} < {row['at_least']:g}")
    for row in found["deviation"]:
        if row["value"] > row["at_most"]:
            lines.append(f"deviation, {row['signal']}, {row['widths']}: {row['value']:.1e}")
    memory = found["memory"]
    if memory["ours_mb"] > memory["direct_mb"] / 8:
        lines.append(f"memory: {memory['ours_mb']:.0f} MB > {memory['direct_mb']:.0f} MB / 8")
    return lines


def markdown(found):
    lines = ["# Filterbank engine", "", "Written by `tests/bench/filterbank.py`.", ""]
    inner = "compiled C" if backend.takes(torch.ones(1)) else "torch operators"
    lines += [f"- {machine()}", f"- inner loop: {inner}"]
    for state, rows in found["time"].items():
        lines += ["", f"## Memory {state}", ""]
        lines += ["| | clips | ours | theirs | ratio | at least |", "|---|---|---|---|---|---|"]
        for row in rows:
            goal = "" if row["at_least"] is None else f"{row['at_least']:g}"
            lines.append(
                f"| {row['what']} | {row['clips']} | {row['ours_ms']:.1f} ms "
                f"| {row['theirs_ms']:.1f} ms | {row['ratio']:.2f} +- {row['spread']:.2f} "
                f"| {goal} |"
            )
    lines += ["", "## Exactness and memory"]
    lines += [
        "",
        "Largest relative deviation from the direct form, of any frame and channel above LEAF's "
        "floor of 1e-5, and of any frame as a whole (at most 1e-4):",
        "",
        "| signal | widths | channel | frame | complex samples per sample |",
        "|---|---|---|---|---|",
    ]
    for row in found["deviation"]:
        lines.append(
            f"| {row['signal']} | {row['widths']} | {row['value']:.1e} | {row['frame']:.1e} "
            f"| {row['samples_per_sample']:.2f} |"
        )
    memory = found["memory"]
    lines += [
        "",
        f"Peak memory of forward and backward, 32 x 3 s: {memory['ours_mb']:.0f} MB, direct form "
        f"{memory['direct_mb']:.0f} MB (1/{memory['direct_mb'] / memory['ours_mb']:.1f}; at most "
        "1/8).",
        "",
        "## Missed",
        "",
    ]
    lines += [f"- {line}" for line in missed(found)] or ["Nothing."]
    return "\n".join(lines) + "\n"


def main():
    parser = new_parser(__doc__, rounds=3)
    parser.add_argument("--threads", type=int, default=0, help="0: as many as torch chooses")
    parser.add_argument("--speech", help="folder of 16 kHz recordings to measure deviations on")
    parser.add_argument("--times-with", choices=MEMORY, help=argparse.SUPPRESS)
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.peak_of:
        measure_peak(options.peak_of)
        return 0
    if options.times_with:
        if options.times_with == "kept when freed":
            keep_freed_memory()
        json.dump(timings(options.rounds), sys.stdout)
        return 0
    found = {}
    print("deviation from the direct form", flush=True)
    found["deviation"] = deviations(options.speech)
    print("memory", flush=True)
    found["memory"] = {
        "ours_mb": peak_megabytes("auto"),
        "direct_mb": peak_megabytes("direct"),
    }
    print(f"  {found['memory']}", flush=True)
    found["time"] = {}
    for state in MEMORY:
        print(f"time, memory {state}", flush=True)
        command = [sys.executable, __file__, "--times-with", state]
        command += ["--rounds", str(options.rounds), "--threads", str(options.threads)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found["time"][state] = json.loads(done.stdout)
    finish(markdown(found), options.report)
    return 1 if missed(found) else 0


if __name__ == "__main__":
    sys.exit(main())
