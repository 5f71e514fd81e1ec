"""wav2vec 2.0 and HuBERT from a local folder, with padding that changes nothing."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path

import torch
from torch import nn

from ..contracts import Encoder, mask_padding, valid_lengths
from ..options import choice
from ..padded_layers import even_weights, moments, zero_outside
from ..registry import register_encoder

__all__ = ["Wav2Vec2"]

FROZEN = ("none", "feature_encoder", "all")
#: What a model of random values is built with where no folder is given.
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
#: What would draw at random in training, leave parameters without a gradient, or change the stride.
SETTINGS = {
    "apply_spec_augment": False,
    "mask_time_prob": 0.0,
    "mask_feature_prob": 0.0,
    "layerdrop": 0.0,
    "add_adapter": False,
}


@register_encoder(
    "wav2vec2",
    paper="Baevski et al., wav2vec 2.0: A Framework for Self-Supervised Learning, NeurIPS 2020",
    source="transformers.Wav2Vec2Model",
)
class Wav2Vec2(Encoder):
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

    Shape
    -----
    feats (B, N, 1), lengths (B,) or None -> (B, N', D), zero behind each item's end, with
    N' = 1 + max(0, N - 400) // 320 of all published models, and D their width: 768 of the base
    ones, 1024 of the large ones, 32 without a path. A clip shorter than a window of 400 samples is
    padded with zeros, at its end, to one window.

    Raises
    ------
    ValueError
        No such folder, nothing but pickles in it, another kind of model, or weights missing.

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

    #: Sizes of the input it is described and tested with.
    example_features, example_frames = 1, 4801

    def __init__(self, in_features: int = 1, path: str | None = None, freeze: str = FROZEN[1]):
        if in_features != 1:
            raise ValueError(f"in_features must be 1, the samples themselves, got {in_features!r}")
        choice("freeze", freeze, FROZEN)
        model = _random_model() if path is None else _pretrained_model(path)
        config = model.config
        super().__init__(in_features, config.hidden_size, "frames", math.prod(config.conv_stride))
        self._adopt(model, freeze)
        self.train()  # transformers returns a model in eval mode

    def _adopt(self, model: nn.Module, freeze: str) -> None:
        """Take a model over: the samples of its steps, what can be pickled, what is frozen."""
        self.window, self.hop = 1, 1
        for kernel, stride in zip(model.config.conv_kernel, model.config.conv_stride, strict=True):
            self.window += (kernel - 1) * self.hop
            self.hop *= stride
        self.freeze = freeze
        positions = model.encoder.pos_conv_embed
        positions.conv = _plain(positions.conv)
        self.model = model.float()
        if freeze != "none":
            frozen = model if freeze == "all" else model.feature_extractor
            frozen.requires_grad_(False)

    @classmethod
    def unfit(cls, in_features: int, in_frames: int | None, **options) -> str | None:
        if in_features != 1:
            return "it reads the waveform itself; set frontend: waveform."
        return None

    def num_frames(self, num_frames: int) -> int:
        """Exact number of steps of `num_frames` samples: 1 + max(0, N - window) // stride."""
        samples = int(num_frames)
        return 1 + max(0, samples - self.window) // self.stride if samples > 0 else 0

    def train(self, mode: bool = True) -> Wav2Vec2:
        super().train(mode)
        if self.freeze == "all":
            self.model.eval()
        return self

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        x, inside = self._projected(feats, lengths)
        x = self.model.encoder(x, attention_mask=inside).last_hidden_state
        return zero_outside(x, inside, axis=1)

    def _projected(
        self, feats: torch.Tensor, lengths: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What the transformer reads, (B, N', D), and which steps are valid; None: all."""
        wavs = mask_padding(feats.squeeze(2), lengths)
        samples = None
        if lengths is not None:
            samples = valid_lengths(lengths.to(wavs.device), wavs.shape[1]).clamp(min=self.window)
        x = nn.functional.pad(wavs, (0, max(0, self.window - wavs.shape[1])))
        x = self._convolved(x[:, None], samples).transpose(1, 2)
        inside = None
        if samples is not None:
            steps = 1 + (samples - self.window) // self.hop
            inside = torch.arange(x.shape[1], device=x.device) < steps[:, None]
        x = self.model.feature_projection(x)
        return (x[0] if isinstance(x, tuple) else x), inside  # HuBERT's gives no pair

    def _convolved(self, x: torch.Tensor, samples: torch.Tensor | None) -> torch.Tensor:
        """The convolutions, none of which reads behind an item's last step: (B, C, N')."""
        for layer in self.model.feature_extractor.conv_layers:
            norm = getattr(layer, "layer_norm", None)
            if samples is None or not isinstance(norm, nn.GroupNorm):
                x = layer(x)
                continue
            x = layer.conv(x)
            valid = (samples - layer.conv.kernel_size[0]) // layer.conv.stride[0] + 1
            inside = torch.arange(x.shape[2], device=x.device) < valid[:, None]
            x = layer.activation(_normed(norm, x, inside))
        return x


def _normed(norm: nn.GroupNorm, x: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Each channel of (B, C, N) with mean and variance of each item's valid steps."""
    mean, variance = moments(x, even_weights(x, inside))
    gain = norm.weight[:, None] * (variance + norm.eps).rsqrt()
    return (x - mean) * gain + norm.bias[:, None]


def _plain(conv: nn.Conv1d) -> nn.Conv1d:
    """The convolution without weight normalisation, which cannot be pickled."""
    plain = nn.Conv1d(
        conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding,
        groups=conv.groups,
    )  # fmt: skip
    with torch.no_grad():
        plain.weight.copy_(conv.weight)
        plain.bias.copy_(conv.bias)
    return plain


def _transformers():
    try:
        import transformers
    except ImportError as error:
        raise ValueError(
            "encoder 'wav2vec2' needs the package transformers: pip install 'auricle[transformers]'"
        ) from error
    return transformers


def _random_model() -> nn.Module:
    transformers = _transformers()
    warnings.warn(
        "encoder 'wav2vec2' without a path is a small net of random values; a pretrained one: "
        "encoder_options: {wav2vec2: {path: FOLDER}}",
        stacklevel=3,
    )
    return transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**SMALL, **SETTINGS))


def _pretrained_model(path: str) -> nn.Module:
    """The model in a folder, every weight of it from `*.safetensors`."""
    folder = Path(path).expanduser()
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"path must be a folder with config.json and *.safetensors, got {str(path)!r}, which "
            f"{'has no config.json' if folder.is_dir() else 'is no folder'}; nothing is downloaded"
        )
    if not list(folder.glob("*.safetensors")):
        raise ValueError(
            f"path {str(path)!r} holds no *.safetensors; pickles (pytorch_model.bin) can run code "
            'and are not read. Where you trust one, convert it once: python -c "import '
            f"transformers; transformers.AutoModel.from_pretrained({str(path)!r})"
            '.save_pretrained(NEW_FOLDER)"'
        )
    transformers = _transformers()
    kinds = {
        "wav2vec2": (transformers.Wav2Vec2Config, transformers.Wav2Vec2Model),
        "hubert": (transformers.HubertConfig, transformers.HubertModel),
    }
    kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    if kind not in kinds:
        raise ValueError(
            f"path must hold a model of one of {tuple(kinds)}, got model_type {kind!r} in {folder}"
        )
    config_class, model_class = kinds[kind]
    config = config_class.from_pretrained(folder, local_files_only=True, **SETTINGS)
    model, report = model_class.from_pretrained(
        folder,
        config=config,
        local_files_only=True,
        use_safetensors=True,
        output_loading_info=True,
    )
    if report["missing_keys"]:
        raise ValueError(
            f"path {str(path)!r} lacks weights of {kind}: {', '.join(sorted(report['missing_keys']))}"
        )
    return model
