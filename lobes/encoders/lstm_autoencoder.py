"""Denoising autoencoder and bidirectional LSTM for speaker embeddings."""

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ...processing.system.operators import is_recorded
from ..contracts import Encoder
from ..layers.batch_norm import TemporalBatchNorm, norm_frames
from ..layers.frame_conv import conv_frames
from ..layers.masks import frame_counts, frame_mask, mask_padding, zero_padding
from ..layers.pooling import AttentiveStatistics
from ..layers.recurrent import LSTM
from ..options import flag, number, whole
from ..registry import register_encoder

KERNEL_FRAMES = 3


@register_encoder(
    "lstm_autoencoder",
    paper="No paper: the teacher of the published mixer's distillation experiment; its pooling is "
    "Okabe et al. 2018, Attentive Statistics Pooling for Deep Speaker Embedding, arXiv:1803.10963",
    source="dimuthuanuraj/voxceleb_trainer@62b558b",
)
class LSTMAutoencoder(Encoder):
    """The latent frames of a denoising autoencoder, a bidirectional LSTM, attentive statistics.

    Convolutions over 3 frames with batch norm, ReLU and dropout turn frames of F values into
    latent ones of 128; two LSTM layers in both directions, layer norm, attentive statistics, a
    dense layer and batch norm turn these into an embedding.

    The other half of the autoencoder, the decoder, is no part of an embedding. It is built with
    ``decoder=True`` and learns in the denoising pre-training alone: see `pretraining_loss`.

    Arguments
    ---------
    in_features : int
        F, values per frame; any number.
    channels : int
        Of the hidden layers of the autoencoder.
    latent : int
        Values of a latent frame.
    lstm_units : int
        Of each direction.
    lstm_layers : int
    embedding_size : int
        D.
    decoder : bool
        Build the decoder, for the pre-training.
    noise : float
        Standard deviation of the Gaussian noise added in the pre-training, in the unit of the
        features, which is the standard deviation of each over a clip where these are normalised.
    dropout : float
        Behind the hidden layers of the autoencoder, in training.
    lstm_dropout : float
        Between the LSTM layers, in training.

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (B, 1, embedding_size) float32.
    Parameters at 80 features: 3,515,776; with the decoder 3,873,744 (published: 3.87 million; the
    source has one more, a bias that the softmax of the pooling cancels).

    Notes
    -----
    Why the decoder is an option: in ordinary training nothing depends on it, so its parameters
    would get no gradient, which every lobe promises and data-parallel training relies on. With
    ``decoder=True`` they have none outside the pre-training (optimisers leave them alone then), and
    those of the LSTM and what follows have none in it; data-parallel training needs
    ``find_unused_parameters`` for that. The parameters of the encoder have the same names with and
    without the decoder: what was pre-trained is loaded into an encoder without one by leaving out
    the keys that begin with ``decoder``.

    Padding: batch norms are over valid frames, convolutions see zeros behind an item's end, both
    directions of the LSTM begin and end with the item.

    References
    ----------
    Followed: models/LSTMAutoencoder.py of the source, whose layers were written anew, initial
    values included; it builds the decoder always. Not published: the noise, and how long the
    pre-training is. Deviations: logarithmic mel and instance norm are a frontend and its
    normalisation; padded frames take no part; a training batch of one clip is taken.

    Example
    -------
    >>> LSTMAutoencoder(in_features=80)(torch.randn(2, 50, 80)).shape
    torch.Size([2, 1, 512])
    """

    def __init__(
        self,
        in_features: int,
        channels: int = 256,
        latent: int = 128,
        lstm_units: int = 256,
        lstm_layers: int = 2,
        embedding_size: int = 512,
        decoder: bool = False,
        noise: float = 0.3,
        dropout: float = 0.2,
        lstm_dropout: float = 0.3,
    ):
        channels, latent = whole("channels", channels), whole("latent", latent)
        units, layers = whole("lstm_units", lstm_units), whole("lstm_layers", lstm_layers)
        embedding_size = whole("embedding_size", embedding_size)
        with_decoder, noise = flag("decoder", decoder), number("noise", noise, low=0)
        dropout = number("dropout", dropout, low=0, below=1)
        lstm_dropout = number("lstm_dropout", lstm_dropout, low=0, below=1)
        super().__init__(in_features, embedding_size, output="utterance")
        self.noise = noise
        self.encoder = ConvolutionStack((in_features, channels, channels, latent), dropout)
        self.lstm = LSTM(
            latent,
            units,
            layers,
            batch_first=True,
            dropout=lstm_dropout if layers > 1 else 0.0,
            bidirectional=True,
        )
        self.norm = nn.LayerNorm(2 * units)
        self.pooling = AttentiveStatistics(2 * units, shared=True)
        self.dense = nn.Linear(4 * units, embedding_size)
        self.embedding_norm = TemporalBatchNorm(embedding_size)
        self.decoder = None
        if with_decoder:
            widths = (latent, channels, channels, in_features)
            self.decoder = ConvolutionStack(widths, dropout, reconstructs=True)
        self.apply(_initialise)

    def forward(
        self, feats: torch.Tensor, lengths: torch.Tensor | None = None, pretraining: bool = False
    ) -> torch.Tensor:
        """Embeddings (B, 1, D); with `pretraining` what `pretraining_loss` gives, (B,)."""
        counts = frame_counts(feats, lengths)
        feats = mask_padding(feats, lengths)
        if pretraining:
            return self._reconstruction_error(feats, counts)
        x = self.norm(self._lstm(self.encoder(feats, counts), counts))
        return norm_frames(self.embedding_norm, self.dense(self.pooling(x, counts)), None)

    def pretraining_loss(
        self, feats: torch.Tensor, lengths: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Mean squared error of the autoencoder in removing added noise.

        Arguments
        ---------
        feats : tensor (B, N, F)
            Clean and normalised. The decoder ends in a tanh, as published: what is beyond -1 and 1
            cannot be reached. Of normally distributed values this alone leaves an error of 0.15.
        lengths : tensor (B,), optional
            Relative to N.

        Shape
        -----
        (B,), mean squared error over an item's valid frames and its features. In eval mode there
        is noise as well; it is drawn for the whole padded batch.

        Raises
        ------
        ValueError
            The encoder was built without the decoder.

        Example
        -------
        >>> encoder = LSTMAutoencoder(in_features=40, decoder=True)
        >>> encoder.pretraining_loss(torch.randn(2, 50, 40)).shape
        torch.Size([2])
        """
        # Through forward, which is what data-parallel training wraps.
        return self(feats, lengths, pretraining=True)

    def _reconstruction_error(
        self, feats: torch.Tensor, counts: torch.Tensor | None
    ) -> torch.Tensor:
        if self.decoder is None:
            raise ValueError(
                "decoder must be True for the denoising pre-training, got False: "
                "encoder_options: {lstm_autoencoder: {decoder: true}}"
            )
        noisy = feats + self.noise * torch.randn_like(feats)
        wrong = self.decoder(self.encoder(noisy, counts), counts).float() - feats.float()
        if counts is None:
            return wrong.square().mean((1, 2))
        wrong = zero_padding(wrong, frame_mask(counts, wrong.shape[1]), axis=1)
        return wrong.square().mean(2).sum(1) / counts

    def _lstm(self, x: torch.Tensor, counts: torch.Tensor | None) -> torch.Tensor:
        if is_recorded():
            return self.lstm.padded(x, counts)
        size = x.shape[1]
        counts = None if counts is None else counts.cpu()
        if counts is None or bool((counts == size).all()):
            return self.lstm(x)[0]
        packed = pack_padded_sequence(x, counts, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=size)[0]


class ConvolutionStack(nn.Module):
    """Half of an autoencoder: convolutions over 3 frames with batch norm, ReLU and dropout.

    Arguments
    ---------
    widths : sequence of int
        Values per frame of the input and of every layer. There is no dropout behind the last.
    dropout : float
    reconstructs : bool
        The last layer has a tanh and no batch norm.

    Shape
    -----
    x (B, N, widths[0]), counts (B,) or None -> (B, N, widths[-1])
    """

    def __init__(self, widths: tuple[int, ...], dropout: float, reconstructs: bool = False):
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv1d(before, after, KERNEL_FRAMES)
            for before, after in zip(widths, widths[1:], strict=False)
        )
        normed = widths[1:-1] if reconstructs else widths[1:]
        self.norms = nn.ModuleList(TemporalBatchNorm(width) for width in normed)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, counts: torch.Tensor | None = None) -> torch.Tensor:
        mask = frame_mask(counts, x.shape[1])
        for index, conv in enumerate(self.convs):
            if index:
                x = self.dropout(x)
            x = conv_frames(zero_padding(x, mask, axis=1), conv)
            if index < len(self.norms):
                x = functional.relu(norm_frames(self.norms[index], x, counts))
            else:
                x = torch.tanh(x)
        return x


def _initialise(module: nn.Module) -> None:
    """The initial values of the source; batch and layer norms begin at 1 and 0 anyway."""
    if isinstance(module, nn.Conv1d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.xavier_normal_(module.weight)
    elif isinstance(module, LSTM):
        for name, values in module.named_parameters():
            if "weight" in name:
                nn.init.xavier_normal_(values)
            else:
                nn.init.zeros_(values)
    if isinstance(module, (nn.Conv1d, nn.Linear)) and module.bias is not None:
        nn.init.zeros_(module.bias)
