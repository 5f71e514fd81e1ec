"""Log-mel spectrogram as a one-channel image for image transformers, resized and normalised."""

from collections.abc import Sequence

import torch
from torch.nn import functional

from ...processing.system.operators import is_exported
from ..contracts import check_batch
from ..options import choice, flag, number, whole
from ..registry import register_frontend
from .mel import MelBased, inner_mel

SCALINGS = ("item", "range", "none")


@register_frontend(
    "spectrogram_image",
    paper="Gong et al., AST: Audio Spectrogram Transformer, Interspeech 2021",
    source="torch.nn.functional.interpolate, transformers ASTFeatureExtractor",
)
class SpectrogramImage(MelBased):
    """Log-mel, its values scaled, resized or not, and normalised as a checkpoint expects.

    The image is (B, N, F): axis 1 is time, axis 2 rising frequency, one channel. A network for
    three channels takes it after `fold_channels`, which is exact.

    Arguments
    ---------
    sample_rate : int
        In Hz.
    num_features : int
        F, height of the image.
    image_frames : int or None
        N, width of the image, whatever the clip's length: each item's own valid frames are resized
        to it. None: one column per frame of `mel`.
    num_mels : int or None
        Mel bands before the resize to num_features; None: as many.
    antialias : bool
        Resize with a low-pass (a triangle as wide as the output's pixel). False takes the two
        nearest columns only: when shrinking, faster modulation folds down to slow.
    scaling : str
        "item": each item's lowest and highest value become 0 and 1; "range": `value_range` becomes
        0 to 1, values outside are clipped; "none".
    value_range : (float, float)
        For "range", in the unit of the logarithm.
    mean, std : float or three floats
        The checkpoint's; the image is (x - mean) / std. Where the three channels differ, it is
        normalised with their averages (attributes `mean`, `std`), and `fold_channels` makes up
        for it.
    hop_ms : float
        Distance of the frames before the resize; `hop` is this one.
    mel : dict or None
        Options of the frontend `mel`. Without a convention: 10 log10 above 1e-10, not lower than
        80 dB below the item's maximum, and an FFT of twice the usual length (1024 points at
        16 kHz), because 128 bands are narrower than 31 Hz.

    Shape
    -----
    wavs (B, T), lengths (B,) or None -> (B, image_frames, num_features) float32; without
    image_frames (B, N, num_features), N as `mel` (1 + floor(T / hop) by default).

    Raises
    ------
    ValueError
        For a size below 1, an unknown scaling, an empty value_range, a std that is not positive,
        and the errors of `mel`.

    References
    ----------
    AST's input: {scaling: none, mean: -4.2677393, std: 9.1379948, mel: {convention: kaldi,
    window_shape: hann_symmetric, allow_empty: true}} (YuanGongND/ast divides by twice the
    standard deviation); AST pads clips to 1024 frames, here nothing is padded.

    Example
    -------
    >>> image = SpectrogramImage(num_features=224, image_frames=224, num_mels=128)
    >>> image(torch.zeros(2, 16000)).shape
    torch.Size([2, 224, 224])
    """

    fixed = True
    normalization = "none"

    def __init__(
        self,
        sample_rate: int = 16000,
        num_features: int = 128,
        image_frames: int | None = None,
        num_mels: int | None = None,
        antialias: bool = True,
        scaling: str = "item",
        value_range: Sequence[float] = (-80.0, 0.0),
        mean: float | Sequence[float] = 0.5,
        std: float | Sequence[float] = 0.5,
        hop_ms: float = 10.0,
        mel: dict | None = None,
    ):
        sample_rate = whole("sample_rate", sample_rate)
        whole("num_features", num_features)
        for name, value in (("image_frames", image_frames), ("num_mels", num_mels)):
            if value is not None:
                whole(name, value)
        choice("scaling", scaling, SCALINGS)
        if not isinstance(value_range, (list, tuple)) or len(value_range) != 2:
            raise ValueError(f"value_range must be (low, high) with low < high, got {value_range}")
        low, high = (number("value_range", value) for value in value_range)
        if not low < high:
            raise ValueError(f"value_range must be (low, high) with low < high, got {value_range}")
        if min(_channels("std", std)) <= 0:
            raise ValueError(f"std must be above 0, got {std}")
        defaults = {"hop_ms": hop_ms}
        given = mel if isinstance(mel, dict) else {}
        if given.get("convention", "auricle") == "auricle":
            window_ms = number("mel.window_ms", given.get("window_ms") or 25.0, above=0)
            defaults.update(log="db", log_offset=1e-10, top_db=80.0)
            defaults["n_fft"] = (
                2 * 2 ** (max(int(sample_rate * window_ms / 1000), 1) - 1).bit_length()
            )
        inner = inner_mel(
            sample_rate, num_features if num_mels is None else num_mels, mel, **defaults
        )
        super().__init__(sample_rate, inner.hop, inner.window, num_features)
        self.mel = inner
        self.image_frames = image_frames
        self.antialias = flag("antialias", antialias)
        self.scaling = scaling
        self.value_range = (float(low), float(high))
        self.mean = sum(_channels("mean", mean)) / 3
        self.std = sum(_channels("std", std)) / 3

    def num_frames(self, num_samples: int) -> int:
        """`image_frames`, or the frames of `mel`."""
        return self.image_frames or self.mel.num_frames(num_samples)

    def forward(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        check_batch(wavs, lengths)
        with torch.autocast(wavs.device.type, enabled=False):
            valid = self.mel.valid_frames(lengths, wavs.shape[1], wavs.device)
            image = self.scale(self.mel(wavs, lengths), valid)
            if self.image_frames:
                counts = None if valid is None else valid.sum(1)
                image = resize(image, self.image_frames, self.num_features, self.antialias, counts)
            elif image.shape[2] != self.num_features:
                image = resize(image, image.shape[1], self.num_features, self.antialias)
            return (image - self.mean) / self.std

    def scale(self, level: torch.Tensor, valid: torch.Tensor | None = None) -> torch.Tensor:
        """Levels (B, N, F) to the values of an image; `valid` (B, N) says which frames count."""
        if self.scaling == "none":
            return level
        if self.scaling == "range":
            low, high = self.value_range
            return ((level - low) / (high - low)).clamp(0, 1)
        out = torch.zeros_like(level, dtype=torch.bool) if valid is None else ~valid[:, :, None]
        low = level.masked_fill(out, float("inf")).amin((1, 2), keepdim=True)
        high = level.masked_fill(out, -float("inf")).amax((1, 2), keepdim=True)
        # A clip without any contrast (silence) is black, not its rounding errors blown up.
        scaled = (level - low) / (high - low).clamp(min=1e-3)
        return scaled.masked_fill(out, 0)


def resize(
    image: torch.Tensor,
    num_frames: int,
    num_features: int,
    antialias: bool = True,
    counts: torch.Tensor | None = None,
) -> torch.Tensor:
    """Bilinear resize of each item's own valid frames.

    Arguments
    ---------
    image : tensor (B, N, F)
    num_frames, num_features : int
        Size that comes out.
    antialias : bool
        Low-pass before shrinking.
    counts : int tensor (B,) or None
        Valid frames of each item, from the first; None: all. Of an item without any, the first is
        taken.

    Shape
    -----
    (B, N, F) -> (B, num_frames, num_features)

    Example
    -------
    >>> resize(torch.ones(2, 100, 128), 224, 224, counts=torch.tensor([100, 60])).shape
    torch.Size([2, 224, 224])
    """

    def whole(part: torch.Tensor) -> torch.Tensor:
        size = (num_frames, num_features)
        out = functional.interpolate(part[:, None], size, mode="bilinear", antialias=antialias)
        return out[:, 0]

    if is_exported():
        if counts is None:
            counts = torch.full((1,), image.shape[1], device=image.device)
        frames = _bilinear(counts, image.shape[1], num_frames, antialias)
        size = torch.full((1,), image.shape[2], device=image.device)
        features = _bilinear(size, image.shape[2], num_features, antialias)
        return frames @ image @ features.transpose(1, 2)
    if counts is None:
        return whole(image)
    out = image.new_empty(len(image), num_frames, num_features)
    counts = counts.clamp(min=1)
    for count in counts.unique().tolist():
        same = (counts == count).nonzero().flatten()
        out = out.index_copy(0, same, whole(image[same, :count]))
    return out


def _bilinear(counts: torch.Tensor, size: int, wanted: int, antialias: bool) -> torch.Tensor:
    """What `resize` multiplies an axis with, of which each item's first `counts` count.

    Shape
    -----
    counts (B,) of at least 1 -> (B, wanted, size)
    """
    step = counts.clamp(min=1) / wanted
    centre = (torch.arange(wanted, device=counts.device) + 0.5) * step[:, None]
    place = torch.arange(size, device=counts.device) + 0.5
    reach = step.clamp(min=1.0) if antialias else torch.ones_like(step)
    weights = 1 - (place - centre[..., None]).abs() / reach[:, None, None]
    valid = place < counts.clamp(min=1)[:, None, None]
    weights = torch.where(valid, weights, 0.0).clamp(min=0)
    return weights / weights.sum(2, keepdim=True)


def fold_channels(
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    mean: float | Sequence[float],
    std: float | Sequence[float],
    image_mean: float = 0.0,
    image_std: float = 1.0,
    reduce: str = "sum",
) -> tuple[torch.Tensor, torch.Tensor]:
    """A patch embedding for three normalised channels as one for a single channel, exactly.

    sum_c w_c * (x - mean_c) / std_c + b, with the same x in every channel, is a convolution of x
    with sum_c w_c / std_c and another bias. Exact where the convolution does not pad its input.

    Arguments
    ---------
    weight : tensor (D, 3, P, Q)
        Of the patch embedding.
    bias : tensor (D,) or None
    mean, std : float or three floats
        The checkpoint's normalisation, per channel.
    image_mean, image_std : float
        Present normalisation of the one-channel image: `mean` and `std` of the
        frontend.
    reduce : str
        "sum": the network as it was trained, fed three equal channels. "mean": a third of the
        weights (some ports of ViT to spectrograms).

    Returns
    -------
    weight (D, 1, P, Q), bias (D,), in the type of `weight`.

    Example
    -------
    >>> weight, bias = fold_channels(torch.ones(8, 3, 16, 16), None, 0.5, 0.5, 0.5, 0.5)
    >>> weight.shape, weight[0, 0, 0, 0].item(), bias[0].item()
    (torch.Size([8, 1, 16, 16]), 3.0, 0.0)
    """
    if weight.dim() != 4 or weight.shape[1] != 3:
        raise ValueError(f"weight must be (D, 3, P, Q), got {tuple(weight.shape)}")
    if reduce not in ("sum", "mean"):
        raise ValueError(f'reduce must be "sum" or "mean", got {reduce!r}')
    means = torch.tensor(_channels("mean", mean), dtype=torch.float64, device=weight.device)
    stds = torch.tensor(_channels("std", std), dtype=torch.float64, device=weight.device)
    if stds.min() <= 0 or image_std <= 0:
        raise ValueError(f"std and image_std must be above 0, got {std} and {image_std}")
    each = weight.double() / stds[:, None, None]
    if reduce == "mean":
        each = each / 3
    shift = (each.sum((2, 3)) * (image_mean - means)).sum(1)
    if bias is not None:
        shift = shift + bias.double()
    return (image_std * each.sum(1, keepdim=True)).to(weight.dtype), shift.to(weight.dtype)


def _channels(name: str, value: float | Sequence[float]) -> tuple[float, float, float]:
    """One number for all channels, or one each."""
    values = tuple(value) if isinstance(value, (list, tuple)) else (value,) * 3
    if len(values) != 3:
        raise ValueError(f"{name} must be one number or three, got {value!r}")
    return tuple(number(name, each) for each in values)
