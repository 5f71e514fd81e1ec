"""BC-ResNet with one step per frame, followed by a bidirectional LSTM."""

import torch

from ..contracts import Encoder
from ..options import number, whole
from ..registry import register_encoder
from .bcresnet import BCResNet
from .blstm import BidirectionalLSTM


@register_encoder(
    "bcresnet_blstm",
    paper="Kim et al., Broadcasted Residual Learning for Efficient Keyword Spotting, 2021",
    source="Qualcomm-AI-research/bcresnet@656f947",
)
class BCResNetBLSTM(Encoder):
    """The net for keyword spotting as a net for phones: one step per frame, then an LSTM.

    Arguments
    ---------
    in_features : int
        F of the frontend, at least 8; see `bcresnet`.
    tau : float
        Width of the BC-ResNet, at least 0.125; the published ones are 1, 1.5, 2, 3, 6 and 8.
    hidden : int
        Units of each direction of the LSTM.
    layers : int
        Of the LSTM.
    dropout : float
        In training: of a channel of a block's temporal part, and between the LSTM's layers.
    sub_bands : int
        Frequency sub-bands of the sub-spectral normalisation.

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (B, N, 2 hidden), zero behind each item's end.
    Parameters with a linear head of 40 units at 40 features: 64,172 as it comes, 88,884 with tau 3
    and ``hidden=32``.

    Notes
    -----
    A step sees 58 frames to either side before the LSTM. In training, the batch normalisation of
    the BC-ResNet also sees padded frames. Weights of a trained `bcresnet` can be loaded into `net`.

    Example
    -------
    >>> BCResNetBLSTM(in_features=40)(torch.zeros(2, 101, 40)).shape
    torch.Size([2, 101, 128])
    """

    fewest_features = BCResNet.fewest_features

    def __init__(
        self,
        in_features: int,
        tau: float = 1.0,
        hidden: int = 64,
        layers: int = 1,
        dropout: float = 0.1,
        sub_bands: int = 5,
    ):
        tau, dropout = number("tau", tau, low=0.125), number("dropout", dropout, low=0, below=1)
        super().__init__(in_features, 2 * whole("hidden", hidden), "frames")
        self.net = BCResNet(self.in_features, tau, dropout, whole("sub_bands", sub_bands))
        self.lstm = BidirectionalLSTM(self.net.out_features, hidden, layers, dropout)

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        steps, mask = self.net.steps(feats, lengths)
        return self.lstm(steps.transpose(1, 2), mask)
