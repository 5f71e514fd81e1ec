"""wav2vec 2.0 and HuBERT of transformers: steps of 20 ms, from a local folder."""

import math

import torch
from torch import nn

from ..layers.masks import zero_padding
from ..options import choice
from ..registry import register_encoder
from ._transformers_folder import config_in, model_in, model_without_folder
from ._waveform_transformer import FROZEN, WaveformTransformer

#: model_type, and what transformers calls it.
FAMILIES = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert"}


@register_encoder(
    "wav2vec2",
    paper="Baevski et al., wav2vec 2.0: A Framework for Self-Supervised Learning, NeurIPS 2020",
    source="transformers.Wav2Vec2Model",
)
class Wav2Vec2(WaveformTransformer):
    """Steps of 20 ms from the waveform by a pretrained wav2vec 2.0 or HuBERT, to be fine-tuned.

    It takes the frontend `waveform` at 16 kHz; the recommended normalisation of that, "sentence",
    is what the large models were trained with.

    Arguments
    ---------
    in_features : int
        1: a frame is a sample.
    path : str or None
        A folder with `config.json` and `*.safetensors`, as transformers saves it. Nothing is
        downloaded, and pickles are not read. None, which warns: a small net of random values, to
        try what is around it.
    freeze : str
        What is not trained: "feature_encoder", the convolutions on the waveform; "none"; "all",
        which also leaves out dropout.
    config : dict or None
        In the place of a path, a network of random values to put weights into, as a bundle does:
        `model_type` and what its `config.json` says of the network.

    Shape
    -----
    feats (B, N, 1), lengths (B,) or None -> (B, N', D), zero behind each item's end, with
    N' = 1 + max(0, N - 400) // 320 of all published models, and D their width: 768 of the base
    ones, 1024 of the large ones, 32 without a path. A clip shorter than a window of 400 samples is
    padded with zeros, at its end, to one window.

    Raises
    ------
    ValueError
        No such folder, nothing but pickles in it, another kind of model, or weights missing;
        a config that describes no such model; path and config together.

    Notes
    -----
    Parameters that are trained: 21,856 without a path; 90 million with a base model.

    References
    ----------
    Followed: transformers' modules, whose parameters and layers are used as they are; equal to
    `last_hidden_state` where nothing is padded. Deviations:

    - The group norm of the base models counts each item's own samples; there it counts the padding
      too, so that a clip's steps depend on its company.
    - There are no masked spans and no dropped layers in training: masks are the augmentation's, and
      distributed training wants a gradient for every parameter.
    - The weight normalisation of the positional convolution is multiplied out.

    Example
    -------
    >>> encoder = Wav2Vec2(in_features=1)
    >>> encoder(torch.zeros(2, 16000, 1)).shape, encoder.num_frames(16000)
    (torch.Size([2, 49, 32]), 49)
    """

    def __init__(
        self,
        in_features: int = 1,
        path: str | None = None,
        freeze: str = FROZEN[1],
        config: dict | None = None,
    ):
        choice("freeze", freeze, FROZEN)
        model = model_without_folder("wav2vec2", path, config, FAMILIES)
        model = _pretrained_model(path) if model is None else model
        super().__init__(in_features, model, freeze, "frames", math.prod(model.config.conv_stride))
        self.train()  # transformers returns a model in eval mode

    def num_frames(self, num_frames: int) -> int:
        """Exact number of steps of `num_frames` samples: 1 + max(0, N - window) // stride."""
        samples = int(num_frames)
        return 1 + max(0, samples - self.window) // self.stride if samples > 0 else 0

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        x, mask = self.projected(feats, lengths)
        x = self.model.encoder(x, attention_mask=mask).last_hidden_state
        return zero_padding(x, mask, axis=1)


def _pretrained_model(path: str) -> nn.Module:
    """The model in a folder, every weight of it from `*.safetensors`."""
    conversion = (
        f"import transformers; transformers.AutoModel.from_pretrained({str(path)!r})"
        ".save_pretrained(NEW_FOLDER)"
    )
    about = config_in(path, tuple(FAMILIES), conversion)
    return model_in("wav2vec2", path, about, FAMILIES)
