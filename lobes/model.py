"""Model: frontend, normalisation, encoder and head as one module, and its lengths.

The one place where the four are called in order. Brains, bundles, distillation, the memory estimate
and training loops of one's own take a Model; none of them calls the parts itself.
"""

from collections.abc import Callable, Iterable

import torch
from torch import nn

from .contracts import Encoder, Frontend

#: The four parts, in order, by SpeechBrain's inference names; keys of weights begin with them.
PARTS = ("compute_features", "mean_var_norm", "embedding_model", "classifier")


def count_parameters(module: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


class Model(nn.Module):
    """Waveforms in, what the head gives out.

    Arguments
    ---------
    frontend : Frontend
    normalization : nn.Module
        (feats (B, N, F), lengths) -> (B, N, F), as `build_normalization` gives it.
    encoder : Encoder
    head : nn.Module or None
        (B, N', D) -> (B, N', C); None hands the embedding on. It may be set later, as `classifier`.

    Attributes
    ----------
    compute_features, mean_var_norm, embedding_model, classifier : nn.Module
        The parts under SpeechBrain's names.
    sample_rate : int
        Of the waveforms, in Hz.

    Shape
    -----
    wavs (B, T), lengths (B,) relative to T or None -> (B, C) with an encoder of utterances,
    (B, N', C) with one of frames, where N' = `embedding_model.num_frames(compute_features.num_frames(T))`

    Example
    -------
    >>> from auricle.lobes import create_model
    >>> model = create_model("mel", "bcresnet", num_classes=12)
    >>> model(torch.zeros(2, 16000)).shape
    torch.Size([2, 12])
    >>> model.embed(torch.zeros(2, 16000)).shape
    torch.Size([2, 1, 32])
    """

    def __init__(
        self,
        frontend: Frontend,
        normalization: nn.Module,
        encoder: Encoder,
        head: nn.Module | None = None,
    ):
        super().__init__()
        self.compute_features = frontend
        self.mean_var_norm = normalization
        self.embedding_model = encoder
        self.classifier = nn.Identity() if head is None else head

    @property
    def sample_rate(self) -> int:
        return self.compute_features.sample_rate

    @property
    def parts(self) -> dict[str, nn.Module]:
        """The four parts by name, in order."""
        return {name: getattr(self, name) for name in PARTS}

    def forward(
        self,
        wavs: torch.Tensor,
        lengths: torch.Tensor | None = None,
        masks: Iterable[Callable[[torch.Tensor], torch.Tensor]] = (),
        with_embedding: bool = False,
    ):
        """The head's output; with `with_embedding` also what the encoder gave for it.

        Arguments
        ---------
        wavs : tensor (B, T)
        lengths : tensor (B,) or None
            Relative to T; None: everything is valid.
        masks : callables
            Augmentations of the frames, applied in order between normalisation and encoder.
        with_embedding : bool
            Return (output, embedding (B, 1, D) or (B, N', D)).
        """
        embedding = self.embed(wavs, lengths, masks)
        output = self.classifier(embedding)
        if self.embedding_model.output == "utterance":
            output = output.squeeze(1)
        return (output, embedding) if with_embedding else output

    def frames(
        self, wavs: torch.Tensor, lengths: torch.Tensor | None = None, masks: Iterable = ()
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Normalised frames (B, N, F) and their relative lengths (B,): what the encoder is given."""
        feats = self.compute_features(wavs, lengths)
        lengths = self.compute_features.frame_lengths(lengths, wavs.shape[1])
        feats = self.mean_var_norm(feats, lengths)
        for mask in masks:
            feats = mask(feats)
        return feats, lengths

    def embed(
        self, wavs: torch.Tensor, lengths: torch.Tensor | None = None, masks: Iterable = ()
    ) -> torch.Tensor:
        """What the encoder gives: (B, 1, D) of utterances or (B, N', D) of frames."""
        return self.embedding_model(*self.frames(wavs, lengths, masks))

    def steps(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """The head's output with its axis of steps: (B, 1, C) of utterances, (B, N', C) of frames."""
        return self.classifier(self.embed(wavs, lengths))

    def num_steps(self, lengths: torch.Tensor, num_samples: int) -> torch.Tensor:
        """Valid steps of the encoder's output for each item, (B,) int64.

        Arguments
        ---------
        lengths : tensor (B,)
            Relative to `num_samples`.
        num_samples : int
            Length of the padded batch, T.
        """
        frames = self.compute_features.frames_of_items(lengths, num_samples).tolist()
        steps = [self.embedding_model.num_frames(n) for n in frames]
        return torch.tensor(steps, device=lengths.device)
