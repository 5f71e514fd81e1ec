"""Compare the activations that networks keep for the backward pass of a 30 s clip."""

from dataclasses import dataclass, field
from unittest import mock

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

from ....lobes import build_encoder
from .clip import CLIP_S, IMAGE_PIXELS, NUM_MELS, SAMPLE_RATE_HZ, clip_frontend, clip_samples
from .finding import Finding, verdict_of

CLAIM = (
    "At 30 s a network on the waveform keeps more activations for training than a transformer on "
    "the spectrogram."
)

BATCH = 12
KEPT = f"MiB, batch of {BATCH}"
#: A real forward pass of one clip is made where it keeps at most so much.
MEASURED_BYTES = 2**30
TEN_MS_FRAMES_PER_S = 100


@dataclass(frozen=True)
class Network:
    """An encoder and its input.

    Arguments
    ---------
    label : str
        In the table.
    encoder : str
        Registered name.
    features, frames : int
        F and N of its input.
    options : dict
        Of the encoder.
    reads : str
        "waveform" or "spectrogram".
    whole : bool
        Whether the input is the whole clip; other inputs are in the table, not in the verdict.
    """

    label: str
    encoder: str
    features: int
    frames: int
    options: dict = field(default_factory=dict)
    reads: str = "waveform"
    whole: bool = True

    def build(self) -> nn.Module:
        """The encoder, its values drawn from a fixed seed."""
        torch.manual_seed(0)
        return build_encoder(
            self.encoder, self.features, self.frames, options={self.encoder: self.options}
        )

    def estimated_bytes(self, batch: int, attention: str = "fused") -> int:
        """From the shapes alone; "math" attention keeps the matrix of each layer besides."""
        matrices = []

        def noting(query, key, *args, **kwargs):
            matrices.append(4 * query.shape[:-1].numel() * key.shape[-2])
            return fused(query, key, *args, **kwargs)

        fused = functional.scaled_dot_product_attention
        with (
            FakeTensorMode(),
            mock.patch.object(functional, "scaled_dot_product_attention", noting),
        ):
            kept = self.measured_bytes(batch)
        return kept + (sum(matrices) if attention == "math" else 0)

    def measured_bytes(self, batch: int = 1) -> int:
        """By a forward pass with values."""
        feats = torch.randn(batch, self.frames, self.features)
        return kept_bytes(self.build(), feats)


def networks() -> list[Network]:
    """The networks of the table, on the clip; SampleCNN also on the window it was published for."""
    samples, frames = clip_samples(), clip_frontend("mel").num_frames(clip_samples())
    window = 3**10

    def transformer(label, encoder, features, frames):
        options = {"size": "base", "frames": frames}
        return Network(label, encoder, features, frames, options, "spectrogram")

    fine = CLIP_S * TEN_MS_FRAMES_PER_S
    quiet = {"dropout": 0.0}  # its mask is bytes in memory and floats in the estimate
    slow = {"channels": (32, 32, 64, 64), "stride": 16}
    return [
        transformer("ViT-B, image", "vit", IMAGE_PIXELS, IMAGE_PIXELS),
        transformer("ViT-B, all frames", "vit", NUM_MELS, frames // 16 * 16),
        transformer("AST, hop of 512 samples", "ast", NUM_MELS, frames),
        transformer("AST, hop of 10 ms", "ast", NUM_MELS, fine),
        Network(
            f"SampleCNN, {window / SAMPLE_RATE_HZ:.2f} s",
            "sample_cnn",
            1,
            window,
            quiet,
            whole=False,
        ),
        Network("SampleCNN", "sample_cnn", 1, samples, quiet),
        Network("M5", "m5", 1, samples),
        Network("M5, the tutorial's", "m5", 1, samples, slow),
        Network("dilated, stride 1", "wavenet_dilated", 1, samples, {"stride": 1}),
        Network("dilated, stride 128", "wavenet_dilated", 1, samples),
    ]


def measure() -> Finding:
    """The table, batches of 12 by arithmetic, one clip by arithmetic and measured."""
    chosen = networks()
    rows = [_row(network) for network in chosen]
    raw, image = (
        sorted(
            (row for row, n in zip(rows, chosen, strict=True) if n.reads == kind and n.whole),
            key=lambda row: row[KEPT],
        )
        for kind in ("waveform", "spectrogram")
    )
    worst = max((abs(row["deviation (%)"]) for row in rows if "measured" in row), default=0.0)
    return Finding(
        rows,
        verdict_of(raw[0][KEPT] > image[-1][KEPT]),
        f"on the waveform it is from {raw[0][KEPT]:,.0f} MiB ({raw[0]['network']}) to "
        f"{raw[-1][KEPT]:,.0f} ({raw[-1]['network']}), on the spectrogram from "
        f"{image[0][KEPT]:,.0f} ({image[0]['network']}) to {image[-1][KEPT]:,.0f} "
        f"({image[-1]['network']}), with fused attention, batches of {BATCH} and "
        f"float32. What was measured of one clip deviates by at most {worst:.1g} % from the "
        f"estimate; without a measurement, it would keep more than {MEASURED_BYTES / 2**30:.0f} "
        "GiB. Not included: weights, gradients, optimiser, workspace.",
    )


def _row(network: Network) -> dict:
    one = network.estimated_bytes(1)
    row = {
        "network": network.label,
        "input": f"{network.frames} x {network.features}",
        KEPT: network.estimated_bytes(BATCH) / 2**20,
        "attention as a matrix": None,
        "one clip": one / 2**20,
    }
    if network.reads == "spectrogram":
        row["attention as a matrix"] = network.estimated_bytes(BATCH, "math") / 2**20
    if one <= MEASURED_BYTES:
        measured = network.measured_bytes()
        row["measured"] = measured / 2**20
        row["deviation (%)"] = 100 * (measured / one - 1)
    return row


def kept_bytes(encoder: nn.Module, feats: torch.Tensor) -> int:
    """Distinct memory that a forward pass in training saves, parameters left out."""
    own = {p.untyped_storage()._cdata for p in [*encoder.parameters(), *encoder.buffers()]}
    kept = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage  # held, so that no address comes twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        encoder.train()(feats)
    return sum(storage.nbytes() for storage in kept.values())
