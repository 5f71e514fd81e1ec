"""The exported form of a model: its parts' exported forms in a row, with one output."""

import copy

import torch
from torch import nn

from ..model import Model

#: What an exported model can give, see `ExportedModel`.
OUTPUTS = ("scores", "embedding", "frames")


class ExportedModel(nn.Module):
    """A model as it is exported: in evaluation, without gradients, with one output.

    Arguments
    ---------
    model : Model
        Copied, and left as it is.
    output : str
        One of `OUTPUTS`: what the head gives; what the encoder gives; the normalised frames.

    Shape
    -----
    wavs (B, T), lengths (B,) relative to T ->
    scores (B, C), of an encoder of frames (B, N', C); embedding (B, D) or (B, N', D);
    frames (B, N, F)

    Example
    -------
    >>> from auricle.lobes import create_model
    >>> exported = ExportedModel(create_model("mel", "bcresnet", num_classes=12), "embedding")
    >>> exported(torch.zeros(2, 16000), torch.tensor([1.0, 0.5])).shape
    torch.Size([2, 32])
    """

    def __init__(self, model: Model, output: str = "scores"):
        super().__init__()
        if output not in OUTPUTS:
            raise ValueError(f"output must be one of {', '.join(OUTPUTS)}, got {output!r}")
        model = copy.deepcopy(model).eval().requires_grad_(False)
        self.output = output
        self.frontend = model.compute_features.exported()
        self.normalization = model.mean_var_norm
        self.encoder = None if output == "frames" else model.embedding_model.exported()
        self.head = model.classifier if output == "scores" else None
        self.per_utterance = model.embedding_model.output == "utterance"
        self._frame_lengths = model.compute_features.frame_lengths
        self.eval().requires_grad_(False)

    def forward(self, wavs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        feats = self.frontend(wavs, lengths)
        lengths = self._frame_lengths(lengths, wavs.shape[1])
        output = self.normalization(feats, lengths)
        if self.encoder is not None:
            output = self.encoder(output, lengths)
            if self.head is not None:
                output = self.head(output)
            if self.per_utterance:
                output = output.squeeze(1)
        return output
