"""musicnn: vertical filters for timbre, horizontal ones for rhythm, and pooling over the clip."""

import torch
from torch import nn
from torch.nn import functional as F

from ..contracts import Encoder
from ..layers.batch_norm import TemporalBatchNorm, norm_frames, norm_values
from ..layers.masks import frame_mask, trim_padding, zero_padding
from ..options import choice, number, whole
from ..registry import register_encoder

#: Heights of the vertical filters, as parts of the spectrum; all are 7 frames wide.
HEIGHTS, WIDTH_FRAMES = (0.7, 0.4), 7
#: Lengths of the horizontal filters in each form of the net.
LENGTHS_FRAMES = {"port": (129, 65, 33), "authors": (128, 64, 32)}
EMBEDDINGS = ("activated", "linear")


@register_encoder(
    "musicnn",
    paper="Pons et al. 2018, End-to-end Learning for Music Audio Tagging at Scale, ISMIR, "
    "arXiv:1711.02520",
    source="minzwon/sota-music-tagging-models@06fa058",
)
class MusicNN(Encoder):
    """Vertical filters for timbre, horizontal ones for rhythm, and a residual stack behind them.

    The input is normalised as a whole. Filters over 70% and 40% of the features and 7 frames, of
    which the strongest position along frequency counts, stand beside filters over 129, 65 and 33
    frames of the mean over frequency. Three convolutions over 7 frames follow, the last two with
    what they are given added; all four results together are pooled over the clip, whatever its
    length, by maximum and mean, and go through a dense layer with batch norm and ReLU.

    Arguments
    ---------
    in_features : int
        F, values per frame; any number above 1. Published: 96 mel bands every 16 ms.
    vertical : int
        Filters of each of the two heights. Published: 204.
    horizontal : int
        Filters of each of the three lengths. Published: 51.
    channels : int
        Of the three convolutions. Published: 64 for small data sets, 512 for large ones.
    dense : int
        Width of the dense layer, and D. Published: 200 and 500.
    dropout : float
        Of the output, in training; in the authors' form of the pooled values, too.
    output : str
        "utterance", or "frames": the dense layer on each frame's values, without pooling.
    form : str
        "port": the source's. "authors": the net that its authors trained, which differs in five
        ways. Batch norm follows the ReLU; horizontal filters are 128, 64 and 32 frames long (of an
        even number, one frame more lies behind than before), read every feature by itself, and
        the strongest counts; the pooled values are normalised before the dense layer.
    embedding : str
        "activated": batch norm and ReLU follow the dense layer; "linear": nothing does, which is
        what Essentia calls the embedding of this net.

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (B, 1, dense), or (B, N, dense), zero behind each
    item's end.
    Parameters at 96 features: 774,250 as published for small data sets, with a head of 50 outputs
    784,300; 7,946,950 and 7,972,000 with 512 channels and 500 dense units (published: 787 thousand
    and 7.9 million). 561 channels are in front of the stack. "frames": 623,650. The authors' form
    with a head of 50 outputs: 787,159.

    Notes
    -----
    Batch statistics are those of the valid frames. A training batch of a single clip gives the
    dense layer's normalisation nothing to compare, and its bias comes out. Activations kept for
    training, in float32, of 12 clips of 30 s in 1,876 frames: 3.3 GiB; clips of different
    lengths add copies of them.

    References
    ----------
    Followed: Musicnn of the source, after jordipons/musicnn-training@3c25c6d; the authors' form
    after the graph msd-musicnn-1 of Essentia's models, whose epsilon of 1e-3 is torch's 1e-5 here.
    Deviations: filter heights are parts of any number of features where the source takes those of
    96; padded frames take no part; the output "frames".

    Example
    -------
    >>> MusicNN(96, vertical=8, horizontal=4, channels=8)(torch.randn(2, 300, 96)).shape
    torch.Size([2, 1, 200])
    """

    fewest_features = 2

    def __init__(
        self,
        in_features: int,
        vertical: int = 204,
        horizontal: int = 51,
        channels: int = 64,
        dense: int = 200,
        dropout: float = 0.5,
        output: str = "utterance",
        form: str = "port",
        embedding: str = "activated",
    ):
        tall, long = whole("vertical", vertical), whole("horizontal", horizontal)
        width = whole("channels", channels)
        super().__init__(in_features, whole("dense", dense), output)
        self.form = choice("form", form, tuple(LENGTHS_FRAMES))
        authors, lengths = form == "authors", LENGTHS_FRAMES[form]
        self.input_norm = nn.BatchNorm2d(1)
        self.vertical = nn.ModuleList(
            nn.Conv2d(
                1,
                tall,
                (max(1, int(part * self.in_features)), WIDTH_FRAMES),
                padding=(0, WIDTH_FRAMES // 2),
            )
            for part in HEIGHTS
        )
        self.vertical_norms = nn.ModuleList(nn.BatchNorm2d(tall) for _ in HEIGHTS)
        self.horizontal = nn.ModuleList(
            nn.Conv2d(1, long, (1, frames)) if authors else nn.Conv1d(1, long, frames)
            for frames in lengths
        )
        norm = nn.BatchNorm2d if authors else nn.BatchNorm1d
        self.horizontal_norms = nn.ModuleList(norm(long) for _ in lengths)
        front = len(HEIGHTS) * tall + len(lengths) * long
        self.convolutions = nn.ModuleList(
            nn.Conv1d(before, width, 7, padding=3) for before in (front, width, width)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(3))
        values = (front + 3 * width) * (2 if output == "utterance" else 1)
        self.pooled_norm = TemporalBatchNorm(values) if authors else None
        self.dense = nn.Linear(values, self.out_features)
        activated = choice("embedding", embedding, EMBEDDINGS) == "activated"
        self.dense_norm = TemporalBatchNorm(self.out_features) if activated else None
        self.dropout = nn.Dropout(number("dropout", dropout, low=0, below=1))

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        total = feats.shape[1]
        feats, counts = trim_padding(feats, lengths)
        mask = frame_mask(counts, feats.shape[1])
        x = self._frame_level(feats, mask)
        if self.output == "frames":
            x = zero_padding(self._dense_level(x.transpose(1, 2), counts), mask, axis=1)
            return self.dropout(F.pad(x, (0, 0, 0, total - x.shape[1])))
        mean = x.mean(2) if counts is None else x.sum(2) / counts[:, None]
        largest = zero_padding(x, mask, value=float("-inf")).amax(2)
        pooled = torch.cat([largest, mean.to(x.dtype)], dim=1).unsqueeze(1)
        return self.dropout(self._dense_level(pooled, None))

    def _dense_level(self, x: torch.Tensor, counts: torch.Tensor | None) -> torch.Tensor:
        """(B, N, values) -> (B, N, dense) in float32."""
        if self.pooled_norm is not None:
            x = self.dropout(norm_frames(self.pooled_norm, x, counts))
        x = self.dense(x)
        if self.dense_norm is None:
            return x.float()
        if self.form == "authors":
            return norm_frames(self.dense_norm, F.relu(x), counts)
        return F.relu(norm_frames(self.dense_norm, x, counts))

    def _frame_level(self, feats: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """(B, N, F) -> (B, 561 + 3 channels, N), zero behind each item's end."""
        x = zero_padding(feats.transpose(1, 2).unsqueeze(1), mask)
        x = zero_padding(norm_values(self.input_norm, x, mask), mask)
        front = []
        for convolution, norm in zip(self.vertical, self.vertical_norms, strict=True):
            front.append(self._layer(convolution, norm, x, mask))
        x = x if self.form == "authors" else x.mean(2)
        for convolution, norm in zip(self.horizontal, self.horizontal_norms, strict=True):
            frames = convolution.kernel_size[-1]
            padded = F.pad(x, ((frames - 1) // 2, frames // 2))
            front.append(self._layer(convolution, norm, padded, mask))
        outputs = [zero_padding(torch.cat(front, dim=1), mask)]
        for index, (convolution, norm) in enumerate(
            zip(self.convolutions, self.norms, strict=True)
        ):
            y = zero_padding(self._layer(convolution, norm, outputs[-1], mask), mask)
            outputs.append(y + outputs[-1] if index else y)
        return torch.cat(outputs, dim=1)

    def _layer(self, convolution, norm, x, mask):
        """Convolution, ReLU and batch norm in the form's order, then the maximum over features:
        (B, C, N), or (B, C, F, N) -> (B, C', N)."""
        x = convolution(x)
        if self.form == "authors":
            x = norm_values(norm, F.relu(x), mask)
            return x.amax(2) if x.dim() == 4 else x
        x = norm_values(norm, x, mask)
        # The maximum first: the ReLU after it is of one row and changes no order.
        return F.relu(x.amax(2) if x.dim() == 4 else x)
