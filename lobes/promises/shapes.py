"""Promises about shapes: outputs have the declared sizes for any clip length."""

import torch

from ..contracts import Encoder, Frontend
from ..layers.normalization import KINDS
from .subject import (
    RATE_HZ,
    Subject,
    promise,
    require,
    require_built_for,
    require_same,
    require_shape,
)

TITLE = "declared attributes equal the real shapes, for any clip length"


@promise("frontend", "encoder", title=TITLE)
def shapes(subject: Subject) -> None:
    lobe = subject.build().eval()
    base = Frontend if subject.kind == "frontend" else Encoder
    require(
        isinstance(lobe, base),
        f"an instance of {type(lobe).__mro__[1].__name__}",
        f"derive the class from auricle.lobes.contracts.{base.__name__}",
    )
    if subject.kind == "frontend":
        require_built_for(lobe, "sample_rate", RATE_HZ, " Hz")
        require(
            lobe.normalization in KINDS,
            f"normalization {lobe.normalization!r}",
            f"recommend one of {', '.join(KINDS)}",
        )
        sizes = sorted({lobe.window + 1, 1600, 1601, 7919, 8000, 16000})
        width, declared = lobe.num_features, "samples where num_frames and num_features"
    else:
        require_built_for(lobe, "in_features", subject.features)
        whole = subject.size
        sizes = (whole, whole - 1, whole * 64 // 101, whole * 47 // 101)
        width = lobe.out_features
        declared = f"frames where output={lobe.output!r}, stride={lobe.stride} and out_features"
    for size in sizes:
        if not subject.takes(lobe, size):
            continue
        output = lobe(subject.batch(size, items=2))
        utterance = getattr(lobe, "output", "frames") == "utterance"
        require_shape(
            output,
            (2, 1 if utterance else lobe.num_frames(size), width),
            f"for {size} {declared} promise",
            "correct what it declares, num_frames or the padding",
        )
        require(
            output.dtype == torch.float32,
            f"{output.dtype} for a float32 input",
            "return float32: build filters in it and do not promote to float64",
        )


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
