"""Time of a compiled model's step against the plain one's: torch.compile with inductor, on a CPU.

    python tests/bench/compiled.py [--rounds 15] [--report FILE.md]

A step is forward, loss and backward of a batch of 32 clips of 1 s, without an optimiser; use is
forward without gradients. Plain and compiled take turns in one process.
"""

import torch
from measuring import Row, clock, finish, in_turn, new_parser, ratios, report
from torch.nn import functional

from auricle.lobes import create_model

#: (frontend, encoder, at most): what is asked of a compiled step's time over a plain one's.
MODELS = [("leaf", "bcresnet", 1.0), ("mel", "bcresnet", None), ("leaf", "xvector", None)]
WAVS = 0.1 * torch.randn(32, 16000, generator=torch.Generator().manual_seed(0))
TARGETS = torch.arange(32) % 12


def train_step(model):
    def run():
        model.zero_grad()
        functional.nll_loss(model(WAVS), TARGETS).backward()

    return run


@torch.no_grad()
def use(model):
    return model(WAVS)


def main():
    args = new_parser(__doc__, rounds=15).parse_args()
    rows = []
    for frontend, encoder, at_most in MODELS:
        torch.manual_seed(0)
        plain = create_model(frontend, encoder, num_classes=12, sample_rate=16000)
        compiled = torch.compile(plain, fullgraph=True)
        for what, limit in (("step", at_most), ("use", None)):
            plain.train(what == "step")
            steps = {
                name: train_step(model) if what == "step" else lambda model=model: use(model)
                for name, model in (("plain", plain), ("compiled", compiled))
            }
            compilation = clock(steps["compiled"])
            for _ in range(3):
                in_turn(steps, 1)
            times = in_turn(steps, args.rounds)[1]
            name = f"{frontend} + {encoder}, {what}"
            rows += [
                Row(f"{name}, inductor over plain", ratios(times["compiled"], times["plain"]),
                    at_most=limit),
                Row(f"{name}, plain", [1e3 * t for t in times["plain"]], "ms"),
                Row(f"{name}, compilation", [compilation], "s"),
            ]  # fmt: skip
    notes = ["32 clips of 1 s, noise; ratios by round: median (least to most)."]
    return finish(report("Compiled models", __file__, notes, rows), args.report, rows)


if __name__ == "__main__":
    raise SystemExit(main())
