"""Audio Spectrogram Transformer for clips of any length, with weights from a local file."""

import torch

from ..options import takes_options_of
from ..registry import register_encoder
from ._patch.positions import resized_positions, square_grid
from ._patch.transformer import PatchTransformer

#: Features that the published positions are made for.
PUBLISHED_FEATURES = 128


@register_encoder(
    "ast",
    paper="Gong et al. 2021, AST: Audio Spectrogram Transformer, arXiv:2104.01778",
    source="transformers.ASTModel 5.23, on the blocks of timm 1.0.31",
)
class AST(PatchTransformer):
    """Transformer over overlapping patches of a log-mel spectrogram (needs the extra `timm`).

    What was trained on AudioSet wants 16 kHz, 128 log-mel features every 10 ms, less their mean
    and divided by twice their standard deviation: (x + 4.2677) / (2 * 4.5690).

    Arguments
    ---------
    in_features : int
        F, values per frame; any number. Published: 128.
    size : str
        "tiny", "small", "base" or "large": widths 192, 384, 768 and 1024. Published: base.
    stride_frames, stride_features : int
        Between patches of 16 x 16, 1 to 16. Published: 10; 16 leaves 2.4 times fewer tokens for
        0.008 less mean average precision on AudioSet.
    frames : int
        Length, in frames, of the clips that the learned positions are made for.
    positions : str
        "cut": a shorter item takes the first positions, for a longer one all are stretched in
        time; "interpolate": they are stretched or shrunk to each item's own length.
    edges : str
        "drop", as published: up to stride - 1 last features and frames, which fill no patch, are
        not read (of 128 features 2, of 64 features 8). "pad": zeros complete the last patch.
    path : str or None
        A `.safetensors` file, or a folder with one: AudioSet's AST as transformers saves it, or a
        distilled DeiT of images, timm's or transformers'. Nothing is downloaded. None: random
        values, which is no AST as published.
    mean, std : float or three floats
        Of the channels of a DeiT, folded exactly into one channel. The default sums the channels,
        as published.
    freeze_blocks, depth, dropout, drop_path, norm_epsilon
        As of the encoder `vit`.
    pooling : str
        "token": mean of class and distillation token; "mean": the mean of the item's patches.

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (B, 1, width), from
    2 + (1 + (F - 16) // stride) (1 + (N - 16) // stride) tokens: 1214 for 1024 frames of 128.
    Parameters of base at 128 features, with a linear head of two outputs: 86,188,802 at 1024
    frames; the layer norm before the published head, 1,536, is not part of the encoder.

    Raises
    ------
    ValueError
        timm is not installed; an option is out of range; the file at `path` is of another
        architecture (says what was found and what was expected).

    References
    ----------
    Followed: transformers' ASTModel, equal to its pooler_output at the length it is built for;
    positions of images are adapted as in YuanGongND/ast: the middle rows, stretched columns.
    Deviations: any length; attention to an item's own patches only; the epsilon of the layer norms
    is 1e-6 as in the paper's code unless a config says otherwise.

    Example
    -------
    >>> AST(in_features=40, depth=1)(torch.randn(2, 101, 40)).shape
    torch.Size([2, 1, 192])
    """

    prefix_tokens, interpolation = 2, "bilinear"

    @takes_options_of(PatchTransformer.__init__)
    def __init__(
        self,
        in_features: int,
        stride_frames: int = 10,
        stride_features: int = 10,
        positions: str = "cut",
        edges: str = "drop",
        **options,
    ):
        stride = stride_features, stride_frames
        super().__init__(in_features, 16, stride, positions, edges, **options)

    def positions_in(self, path: str, weights: dict, about: dict) -> torch.Tensor:
        if "dist_token" not in weights:
            raise ValueError(
                f"path {str(path)!r} has no distillation token: encoder 'ast' takes AST or a "
                "distilled DeiT; for other Vision Transformers there is encoder 'vit'"
            )
        positions = weights["pos_embed"]
        grid = self._grid_of(path, positions.shape[1] - 2, about)
        return resized_positions(positions, 2, grid, self.grid, "cut")

    def _grid_of(self, path: str, places: int, about: dict) -> tuple[int, int]:
        """Rows and columns of a checkpoint's positions."""
        if "num_mel_bins" in about:
            features, frames = about["num_mel_bins"], about.get("max_length", 1024)
            strides = about.get("frequency_stride", 10), about.get("time_stride", 10)
            rows = 1 + (features - self.patch) // strides[0]
            columns = 1 + (frames - self.patch) // strides[1]
        else:  # AST without its config, else a picture
            rows = 1 + (PUBLISHED_FEATURES - self.patch) // self.patch_stride[0]
            columns = places // rows
            side = round(places**0.5)
            if side * side == places or rows * columns != places:
                return square_grid(path, places)
        if rows * columns != places:
            raise ValueError(
                f"path {str(path)!r} has positions for {places} patches, where its config says "
                f"{rows} x {columns}"
            )
        return rows, columns
