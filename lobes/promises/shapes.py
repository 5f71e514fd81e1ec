"""Promises about shapes: outputs have the declared sizes for any clip length."""

from __future__ import annotations

import torch

from ..contracts import Encoder, Frontend
from ..layers.normalization import KINDS
from .subject import (
    RATE_HZ,
    Subject,
    promise,
    require,
    require_same,
    require_shape,
)


@promise("frontend", title="declared attributes equal the real shapes, for any clip length")
def shapes(subject: Subject) -> None:
    lobe = subject.build().eval()
    require(
        isinstance(lobe, Frontend),
        f"an instance of {type(lobe).__mro__[1].__name__}",
        "derive the class from auricle.lobes.contracts.Frontend",
    )
    require(
        lobe.sample_rate == RATE_HZ,
        f"sample_rate {lobe.sample_rate} when built for {RATE_HZ} Hz",
        "hand the argument sample_rate on to super().__init__",
    )
    require(
        lobe.normalization in KINDS,
        f"normalization {lobe.normalization!r}",
        f"recommend one of {', '.join(KINDS)}",
    )
    for size in sorted({lobe.window + 1, 1600, 1601, 7919, 8000, 16000}):
        output = lobe(subject.batch(size, items=2))
        require_shape(
            output,
            (2, lobe.num_frames(size), lobe.num_features),
            f"for {size} samples where (2, num_frames({size}), num_features) is",
            "correct num_frames, num_features or the padding",
        )
        require(
            output.dtype == torch.float32,
            f"{output.dtype} for a float32 waveform",
            "return float32: build filters in it and do not promote to float64",
        )


@promise(
    "encoder", title="declared attributes equal the real shapes, for any clip length", name="shapes"
)
def encoder_shapes(subject: Subject) -> None:
    lobe = subject.build().eval()
    require(
        isinstance(lobe, Encoder),
        f"an instance of {type(lobe).__mro__[1].__name__}",
        "derive the class from auricle.lobes.contracts.Encoder",
    )
    require(
        lobe.in_features == subject.features,
        f"in_features {lobe.in_features} when built for {subject.features}",
        "hand the argument in_features on to super().__init__",
    )
    whole = subject.size
    for size in (whole, whole - 1, whole * 64 // 101, whole * 47 // 101):
        if not subject.takes(lobe, size):
            continue
        output = lobe(subject.batch(size, items=2))
        steps = 1 if lobe.output == "utterance" else lobe.num_frames(size)
        require_shape(
            output,
            (2, steps, lobe.out_features),
            f"for {size} frames where output={lobe.output!r}, stride={lobe.stride} and "
            "out_features promise",
            "correct output, stride, num_frames or out_features",
        )
        require(output.dtype == torch.float32, f"{output.dtype}", "return float32")


@promise("frontend", "encoder", title="no lengths means that everything is valid")
def no_lengths(subject: Subject) -> None:
    lobe = subject.build().eval()
    x = subject.batch()
    require_same(
        lobe(x, torch.ones(len(x))),
        lobe(x),
        subject.tolerance,
        "lengths of 1.0 against lengths=None",
        "treat lengths=None as all ones (mask_padding and valid_lengths do)",
    )
