"""Measure the receptive field of a stack of dilated convolutions."""

import torch

from ....lobes import build_encoder
from .clip import CLIP_S, SAMPLE_RATE_HZ, clip_samples
from .finding import Finding, verdict_of

CLAIM = "Three stacks of ten dilated layers see 3,070 steps, 139 ms of a waveform at 22.05 kHz."

CLAIMED_STEPS, CLAIMED_MS = 3_070, 139
STRIDES_SAMPLES = (1, 128)


def measure() -> Finding:
    """Samples with a gradient from the last step of the encoder `wavenet_dilated`."""
    rows = []
    for stride in STRIDES_SAMPLES:
        steps, samples = steps_seen(
            stride, min(clip_samples() // stride, 2 * CLAIMED_STEPS) * stride
        )
        rows.append(
            {
                "stride before it (samples)": stride,
                "steps": steps,
                "samples": samples,
                "ms": 1000 * samples / SAMPLE_RATE_HZ,
                "share of the clip": samples / clip_samples(),
            }
        )
    steps = rows[0]["steps"]
    ms = 1000 * steps / SAMPLE_RATE_HZ
    right = steps == CLAIMED_STEPS and round(ms) == CLAIMED_MS
    return Finding(
        rows,
        verdict_of(right),
        f"the layers see {steps:,} steps; of samples these are {ms:.0f} ms, {ms / 10 / CLIP_S:.1f} "
        f"% of the clip. (The convolution before them reads two strides of samples.) Behind "
        f"a stride of {rows[1]['stride before it (samples)']} samples the same stack sees "
        f"{rows[1]['ms'] / 1000:.1f} s.",
    )


def steps_seen(stride: int, num_samples: int) -> tuple[int, int]:
    """Steps that the layers look at, and samples, from the gradient of the last output step."""
    torch.manual_seed(0)
    options = {"stride": stride, "channels": 8, "skip_channels": 8, "output": "frames"}
    encoder = build_encoder("wavenet_dilated", 1, options={"wavenet_dilated": options}).double()
    steps = []

    def watch(module, inputs, output):
        output.retain_grad()
        steps.append(output)

    encoder.front.register_forward_hook(watch)
    wavs = torch.randn(1, num_samples, 1, dtype=torch.float64, requires_grad=True)
    encoder(wavs)[0, -1].sum().backward()
    return _reach(steps[0].grad.abs().sum((0, 1))), _reach(wavs.grad.abs().sum((0, 2)))


def _reach(gradient: torch.Tensor) -> int:
    """From the first place with a gradient to the end."""
    return len(gradient) - int(gradient.nonzero()[0])
