"""Vision Transformer of timm on a spectrogram of any size, with weights from a local file."""

import torch

from ..options import takes_options_of
from ..registry import register_encoder
from ._patch.positions import resized_positions, square_grid
from ._patch.transformer import PatchTransformer


@register_encoder(
    "vit",
    paper="Dosovitskiy et al. 2020, An Image is Worth 16x16 Words: Transformers for Image "
    "Recognition at Scale, arXiv:2010.11929",
    source="timm 1.0.31, timm.models.vision_transformer",
)
class ViT(PatchTransformer):
    """Vision Transformer over patches of any frontend's frames (needs the extra `timm`).

    Arguments
    ---------
    in_features : int
        F, rows of the image; any number.
    size : str
        "tiny", "small", "base" or "large": widths 192, 384, 768 and 1024.
    patch : int
        Side of the square patches, in features and frames.
    frames : int
        Length, in frames, of the clips that the learned positions are made for.
    positions : str
        For items of another length: "interpolate" stretches or shrinks the positions in time to
        the item's own length, so that they say where in the clip a patch is; "cut" takes the first
        ones, so that they say how many frames have passed, and stretches for longer items only.
    path : str or None
        A `.safetensors` file, or a folder with one, of timm's or transformers' ViT or DeiT of this
        size and patch. Nothing is downloaded. None: random values.
    mean, std : float or three floats
        What the checkpoint's channels were normalised with; give the frontend `spectrogram_image`
        the same. The three channels are folded into one, exactly.
    freeze_blocks : int
        So many first blocks do not learn, nor do the patches and positions before them; 0: all
        learn.
    depth : int or None
        Number of blocks, the first ones of a checkpoint; None: all of `size`.
    dropout, drop_path : float
        In training: of values; of a whole block (the last; linear from 0 at the first).
    pooling : str
        "token": the class token; "mean": the mean of the item's patches.
    norm_epsilon : float or None
        Of the layer norms. None: what the `config.json` beside the weights says, else 1e-6.

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (B, 1, width), from
    1 + ceil(F / patch) ceil(N / patch) tokens; zeros complete the last patch.
    Parameters without a head at F = frames = 224: 5,426,112 tiny, 21,469,056 small, 85,405,440
    base. Three channels, as published, are 393,216 more for base. Trainable of base with a head
    of two outputs by freeze_blocks: 4: 56,706,050; 6: 42,530,306; 8: 28,354,562; 12: 3,074.

    Raises
    ------
    ValueError
        timm is not installed; an option is out of range; the file at `path` is of another
        architecture (says what was found and what was expected).

    References
    ----------
    Followed: timm's VisionTransformer, equal to its forward_features with dynamic_img_size and
    dynamic_img_pad where nothing is padded. Deviations: attention to an item's own patches only;
    positions are interpolated to an item's own length and not to that of its batch.

    Example
    -------
    >>> ViT(in_features=40, depth=1)(torch.randn(2, 101, 40)).shape
    torch.Size([2, 1, 192])
    """

    prefix_tokens, interpolation = 1, "bicubic"

    @takes_options_of(PatchTransformer.__init__)
    def __init__(
        self, in_features: int, patch: int = 16, positions: str = "interpolate", **options
    ):
        super().__init__(in_features, patch, (patch, patch), positions, "pad", **options)

    def positions_in(self, path: str, weights: dict, about: dict) -> torch.Tensor:
        if "num_mel_bins" in about:
            raise ValueError(
                f"path {str(path)!r} holds an Audio Spectrogram Transformer; set encoder: ast"
            )
        positions = weights["pos_embed"]
        if weights.pop("dist_token", None) is not None:  # DeiT's second token has no place here
            positions = torch.cat([positions[:, :1], positions[:, 2:]], dim=1)
        grid = square_grid(path, positions.shape[1] - 1)
        return resized_positions(positions, 1, grid, self.grid, "bicubic")
