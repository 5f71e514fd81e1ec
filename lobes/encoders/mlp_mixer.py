"""MLP-Mixer for speaker embeddings, as published or with perceptrons across time."""

import torch
from torch import nn
from torch.nn import functional

from ...processing.system.operators import is_recorded
from ..contracts import Encoder
from ..layers.batch_norm import TemporalBatchNorm, norm_frames
from ..layers.frame_conv import conv_frames, depthwise_frames
from ..layers.masks import frame_counts, frame_mask, mask_padding, zero_padding
from ..layers.pooling import AttentiveStatistics
from ..options import choice, flag, number, whole
from ..registry import register_encoder

KERNEL_FRAMES = 3
#: Rows of the intermediate results of a dense layer that stay in a core's second-level cache.
TILE_FRAMES = 400


@register_encoder(
    "mlp_mixer",
    paper="Heo et al. 2025, A Speaker Verification System Based on a Modified MLP-Mixer Student "
    "Model for Transformer Compression, IEEE Access 13:190371",
    source="dimuthuanuraj/voxceleb_trainer@62b558b",
)
class MLPMixer(Encoder):
    """Blocks of two perceptrons over the channels of a frame, and attentive statistics.

    A stem (convolution over 3 frames, batch norm, ReLU) is followed by blocks of two residual
    parts: layer norm, a depthwise convolution over 3 frames with batch norm around which its input
    is added, and the "token" perceptron, whose two layers see a group of channels each; then layer
    norm and the channel perceptron, with the larger one of two halves (max feature map) and GELU
    between its layers. Layer norm, attentive statistics, one dense layer and batch norm give the
    embedding.

    As published, the "token" perceptron sees one frame at a time: nothing but the convolutions over
    3 frames looks along time, 15 frames altogether with 6 blocks, until the pooling. A perceptron
    over tokens needs one weight per position and therefore one number of frames for ever. With
    ``token_mixing=True`` its hidden units read ``token_frames`` frames, as the hidden units of a
    mixer read all tokens, but with a weight that depends on the distance of a frame and not on its
    position (a Toeplitz matrix in place of a full one), each channel its own: a clip of any length
    can be taken, a shifted clip gives shifted frames, and zeros stand for what is beyond an item's
    ends, so that padding changes nothing. At 31 frames of 10 ms, 6 blocks see 1.95 s.

    Arguments
    ---------
    in_features : int
        F, values per frame; any number.
    hidden : int
        Channels, a multiple of `groups`.
    blocks : int
    expansion : int
        Hidden units of both perceptrons per channel.
    groups : int
        Groups of channels of the "token" perceptron.
    token_mixing : bool
        False: as published. True: see above; `token_frames` * `hidden` more values per block.
    token_frames : int
        Odd; frames that a hidden unit of the token perceptron reads with `token_mixing`.
    convolution : str
        Where the depthwise convolution stands: "branch", in front of the token perceptron (the
        published network on mel), or "trunk", before the block (the published one on sinc filters).
    pooling : str
        First layer of the attention: "tanh", as wide as `hidden` (mel), or "bottleneck", 128 wide
        with ReLU and batch norm (sinc filters).
    embedding_size : int
        D.
    dropout : float
        After both layers of both perceptrons, in training.

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (B, 1, embedding_size) float32.
    Parameters at 80 features: 2,664,576; with expansion 4 3,442,176; hidden 256, 8 blocks and
    expansion 4 7,844,864. On `sinc_conv` with the "trunk" and the "bottleneck", both together:
    2,704,672, with expansion 4 3,482,272. Token mixing: 35,712 more.

    Notes
    -----
    Batch norms are over the valid frames; a training batch of a single clip gives the embedding's
    bias, as its batch norm has nothing to compare. Two biases change nothing, but are counted as
    published: that of the attention's last layer and that of the dense layer before batch norm.
    Outside training, on a CPU, clips are taken a few at a time (400 frames): what is between two
    layers then stays in the cache, and products of matrices run at their full rate.

    References
    ----------
    Followed: models/MLPMixerSpeaker.py and MLPMixerSpeaker_RawWaveform.py of the source, whose
    layers were written anew. Deviations: mel, logarithm and instance norm, and the sinc stack, are
    frontends; padded frames take no part; the variance of the pooling is about its mean.

    Example
    -------
    >>> MLPMixer(in_features=80, blocks=2)(torch.randn(2, 200, 80)).shape
    torch.Size([2, 1, 512])
    """

    def __init__(
        self,
        in_features: int,
        hidden: int = 192,
        blocks: int = 6,
        expansion: int = 3,
        groups: int = 4,
        token_mixing: bool = False,
        token_frames: int = 31,
        convolution: str = "branch",
        pooling: str = "tanh",
        embedding_size: int = 512,
        dropout: float = 0.1,
    ):
        hidden, groups = whole("hidden", hidden), whole("groups", groups)
        if hidden % groups:
            raise ValueError(
                f"hidden must be a multiple of groups, got hidden {hidden} and groups {groups}"
            )
        token_frames = whole("token_frames", token_frames, low=3)
        if token_frames % 2 == 0:
            raise ValueError(f"token_frames must be odd, got {token_frames}")
        blocks, expansion = whole("blocks", blocks), whole("expansion", expansion)
        embedding_size = whole("embedding_size", embedding_size)
        dropout = number("dropout", dropout, low=0, below=1)
        trunk = choice("convolution", convolution, ("branch", "trunk")) == "trunk"
        narrow = choice("pooling", pooling, ("tanh", "bottleneck")) == "bottleneck"
        taps = token_frames if flag("token_mixing", token_mixing) else 0
        super().__init__(in_features, embedding_size, output="utterance")
        self.stem = nn.Conv1d(self.in_features, hidden, KERNEL_FRAMES, bias=False)
        self.stem_norm = TemporalBatchNorm(hidden)
        self.blocks = nn.ModuleList(
            Block(hidden, expansion * hidden, groups, taps, trunk, dropout) for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(hidden)
        self.pooling = (
            AttentiveStatistics(hidden, 128, "relu_norm") if narrow else AttentiveStatistics(hidden)
        )
        self.dense = nn.Linear(2 * hidden, embedding_size)
        self.embedding_norm = TemporalBatchNorm(embedding_size)
        #: Frames that one frame in front of the pooling depends on.
        self.receptive_frames = KERNEL_FRAMES + blocks * (KERNEL_FRAMES - 1 + max(taps - 1, 0))

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        counts = frame_counts(feats, lengths)
        if counts is not None and feats.device.type == "cpu" and not is_recorded():
            counts = None if bool((counts == feats.shape[1]).all()) else counts
        feats = feats if counts is None else mask_padding(feats, lengths)
        items = len(feats)
        if self._in_tiles(feats):
            items = max(1, TILE_FRAMES // feats.shape[1])
        pooled = [
            self._pooled(feats[i : i + items], None if counts is None else counts[i : i + items])
            for i in range(0, len(feats), items)
        ]
        pooled = torch.cat(pooled) if len(pooled) > 1 else pooled[0]
        return norm_frames(self.embedding_norm, self.dense(pooled), None)

    def frame_level(self, feats: torch.Tensor, counts: torch.Tensor | None = None) -> torch.Tensor:
        """Frames before the pooling: (B, N, F), zero in the padding, (B,) or None -> (B, N, hidden)."""
        mask = frame_mask(counts, feats.shape[1])
        x = functional.relu(norm_frames(self.stem_norm, conv_frames(feats, self.stem), counts))
        for block in self.blocks:
            x = block(x, counts, mask)
        return self.norm(x)

    def _pooled(self, feats: torch.Tensor, counts: torch.Tensor | None) -> torch.Tensor:
        return self.pooling(self.frame_level(feats, counts), counts)

    def _in_tiles(self, feats: torch.Tensor) -> bool:
        learning = self.training or torch.is_grad_enabled()
        return not (is_recorded() or learning) and feats.device.type == "cpu" and len(feats) > 1


class Block(nn.Module):
    """Two residual parts: depthwise convolution with token perceptron, and channel perceptron.

    Arguments
    ---------
    channels, width : int
        C, and hidden units of both perceptrons.
    groups : int
        Of the token perceptron.
    taps : int
        Frames that the token perceptron reads; 0: its own.
    trunk : bool
        The convolution stands before the block and not before the token perceptron.
    dropout : float

    Shape
    -----
    x (B, N, C), counts (B,) and mask (B, N) of the valid frames, or None -> (B, N, C)
    """

    def __init__(
        self, channels: int, width: int, groups: int, taps: int, trunk: bool, dropout: float
    ):
        super().__init__()
        self.trunk = trunk
        self.conv = nn.Conv1d(channels, channels, KERNEL_FRAMES, groups=channels, bias=False)
        self.conv_norm = TemporalBatchNorm(channels)
        self.token_norm = nn.LayerNorm(channels)
        self.token_taps = None
        if taps:
            # At the start a token is itself and a little of its neighbours.
            self.token_taps = nn.Parameter(torch.randn(taps, channels) / taps)
            with torch.no_grad():
                self.token_taps[taps // 2] += 1
        self.token_in = nn.Conv1d(channels, width, 1, groups=groups)
        self.token_out = nn.Conv1d(width, channels, 1, groups=groups)
        self.channel_norm = nn.LayerNorm(channels)
        self.channel_in = nn.Linear(channels, 2 * width)
        self.channel_out = nn.Linear(width, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, counts=None, mask=None) -> torch.Tensor:
        if self.trunk:
            x = self._convolved(zero_padding(x, mask, axis=1), counts)
            tokens = self.token_norm(x)
        else:
            tokens = self._convolved(zero_padding(self.token_norm(x), mask, axis=1), counts)
        x = x + self._over_tokens(tokens, mask)
        return x + self._over_channels(self.channel_norm(x))

    def _convolved(self, x: torch.Tensor, counts: torch.Tensor | None) -> torch.Tensor:
        """x + norm(conv(x)); outside training as one filter."""
        taps, norm = self.conv.weight[:, 0].T, self.conv_norm
        if self.training:
            return x + norm_frames(norm, depthwise_frames(x, taps), counts)
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.epsilon)
        identity = torch.zeros_like(taps)
        identity[KERNEL_FRAMES // 2] = 1
        return depthwise_frames(x, taps * scale + identity, norm.bias - norm.running_mean * scale)

    def _over_tokens(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        if self.token_taps is not None:
            x = depthwise_frames(zero_padding(x, mask, axis=1), self.token_taps)
        groups = self.token_in.groups
        rows = x.reshape(-1, groups, x.shape[2] // groups).transpose(
            0, 1
        )  # (groups, B N, C / groups)
        rows = self.dropout(functional.gelu(_grouped(rows, self.token_in)))
        return self.dropout(_grouped(rows, self.token_out).transpose(0, 1).reshape(x.shape))

    def _over_channels(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.gelu(max_feature_map(self.channel_in(x)))
        return self.dropout(self.channel_out(self.dropout(x)))


def _grouped(rows: torch.Tensor, conv: nn.Conv1d) -> torch.Tensor:
    """A grouped convolution over one frame: (groups, R, C / groups) -> (groups, R, D / groups)."""
    weight = conv.weight.view(conv.groups, -1, conv.weight.shape[1]).transpose(1, 2)
    return torch.baddbmm(conv.bias.view(conv.groups, 1, -1), rows, weight)


def max_feature_map(x: torch.Tensor) -> torch.Tensor:
    """The larger one of channel c and channel c + C of 2 C channels.

    Where both are equal, the slope goes to the first. `torch.maximum` halves it, and takes four
    times as long there and back.

    Shape
    -----
    (..., 2 C) -> (..., C)

    References
    ----------
    Wu, He, Sun and Tan 2018, A Light CNN for Deep Face Representation with Noisy Labels.

    Example
    -------
    >>> max_feature_map(torch.tensor([1.0, 5.0, 2.0, 4.0]))
    tensor([2., 5.])
    """
    if torch.is_grad_enabled() and x.requires_grad:
        return _MaxFeatureMap.apply(x)
    return torch.maximum(*x.chunk(2, dim=-1))


class _MaxFeatureMap(torch.autograd.Function):
    """Keeps one byte per value for the way back, and no copy of the halves."""

    @staticmethod
    def forward(ctx, x):
        first, second = x.chunk(2, dim=-1)
        ctx.save_for_backward(first >= second)
        return torch.maximum(first, second)

    @staticmethod
    def backward(ctx, slope):
        (chosen,) = ctx.saved_tensors
        to_first = slope * chosen
        return torch.cat([to_first, slope - to_first], dim=-1)
