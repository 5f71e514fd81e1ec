"""Compare three equal normalised channels with one channel and folded weights."""

import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from ....lobes import build_encoder
from ....lobes.encoders._extras import timm
from ....lobes.frontends.spectrogram_image import fold_channels
from .clip import IMAGE_PIXELS
from .finding import Finding, verdict_of

CLAIM = (
    "Copying a spectrogram into three channels and normalising each is the same function as one "
    "channel with other weights of the patches, at a third of the input."
)

#: Mean and standard deviation of each channel. Of ImageNet-21k's ViT, of DeiT, and arbitrary ones.
NORMALIZATIONS = {
    "0.5 and 0.5": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "DeiT's": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "arbitrary": ((-4.3, 0.9, 2.0), (9.1, 0.3, 1.7)),
}
WIDTH, HEADS, PATCH, DEPTH = 192, 3, 16, 2
#: Deviations below these, relative to the largest value, are rounding.
ROUNDING = {torch.float64: 1e-13, torch.float32: 1e-5}


def measure() -> Finding:
    """Largest deviations of the folded from the three-channel patches, and of a whole ViT."""
    rows = []
    for name, (mean, std) in NORMALIZATIONS.items():
        for dtype in ROUNDING:
            rows.append(_row("patches", name, dtype, *fold_deviation(mean, std, dtype)))
    for name, (mean, std) in NORMALIZATIONS.items():
        row = _row("ViT, loaded", name, torch.float32, *loading_deviation(mean, std))
        rows.append(row)
    worst = {
        dtype: max(r["relative"] for r in rows if r["type"] == str(dtype).removeprefix("torch."))
        for dtype in ROUNDING
    }
    same = all(worst[dtype] <= bound for dtype, bound in ROUNDING.items())
    return Finding(
        rows,
        verdict_of(same),
        f"the largest deviation is {worst[torch.float64]:.1e} of the largest value in float64 and "
        f"{worst[torch.float32]:.1e} in float32, "
        f"{'which is rounding' if same else 'which is more than rounding'}. The input has "
        f"{3 * IMAGE_PIXELS**2:,} values with three channels and {IMAGE_PIXELS**2:,} with one.",
    )


def _row(what: str, normalization: str, dtype: torch.dtype, largest: float, value: float) -> dict:
    return {
        "what": what,
        "normalisation": normalization,
        "type": str(dtype).removeprefix("torch."),
        "largest deviation": largest,
        "largest value": value,
        "relative": largest / value,
    }


def fold_deviation(mean, std, dtype: torch.dtype, seed: int = 0) -> tuple[float, float]:
    """Largest deviation of one folded channel from three, and the largest value, of patches."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    weight, bias = draw(WIDTH, 3, PATCH, PATCH), draw(WIDTH)
    image = draw(2, 1, IMAGE_PIXELS, IMAGE_PIXELS)
    three = functional.conv2d(_three_channels(image, mean, std), weight, bias, stride=PATCH)
    folded = fold_channels(weight, bias, mean, std)
    one = functional.conv2d(image, *folded, stride=PATCH)
    return float((one - three).abs().max()), float(three.abs().max())


def loading_deviation(mean, std, seed: int = 0) -> tuple[float, float]:
    """The same of a whole network: timm's with three channels, and the encoder `vit` of its file.

    The encoder gets the image as the frontend `spectrogram_image` gives it: normalised with the
    averages of the channels' means and deviations.
    """
    torch.manual_seed(seed)
    published = (
        timm("vit")
        .models.vision_transformer.VisionTransformer(
            IMAGE_PIXELS, PATCH, num_classes=0, embed_dim=WIDTH, depth=DEPTH, num_heads=HEADS
        )
        .eval()
    )
    with torch.no_grad():
        for p in published.parameters():  # nothing stays at 0, as biases begin
            p.add_(0.05 * torch.randn_like(p))
    options = {"size": "tiny", "depth": DEPTH, "frames": IMAGE_PIXELS, "mean": mean, "std": std}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "vit.safetensors")
        save_file(published.state_dict(), path)
        options["path"] = path
        encoder: nn.Module = build_encoder("vit", IMAGE_PIXELS, options={"vit": options}).eval()
    image = torch.rand(2, 1, IMAGE_PIXELS, IMAGE_PIXELS)
    with torch.no_grad():
        three = published.forward_features(_three_channels(image, mean, std))[:, :1]
        feats = (image[:, 0] - sum(mean) / 3) / (sum(std) / 3)
        one = encoder(feats.transpose(1, 2))
    return float((one - three).abs().max()), float(three.abs().max())


def _three_channels(image: torch.Tensor, mean, std) -> torch.Tensor:
    """(B, 1, H, W) -> (B, 3, H, W), each channel normalised for itself."""
    means, stds = (torch.tensor(v, dtype=image.dtype)[:, None, None] for v in (mean, std))
    return (image.expand(-1, 3, -1, -1) - means) / stds
