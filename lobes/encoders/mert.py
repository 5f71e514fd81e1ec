"""MERT, a HuBERT pretrained on music: one vector per clip, from a local folder."""

import torch
from torch import nn

from ..layers.statistics import masked_mean
from ..options import choice, whole
from ..registry import register_encoder
from ._transformers_folder import config_in, model_in, model_without_folder
from ._waveform_transformer import FROZEN, WaveformTransformer

MERT_RATE_HZ = 24000
#: model_type, and what transformers calls it.
FAMILIES = {"mert_model": "Hubert", "hubert": "Hubert", "wav2vec2": "Wav2Vec2"}
#: Settings of MERT's own code that change the network, and the value at which it is a HuBERT.
OWN_SETTINGS = {
    "feature_extractor_cqt": False,
    "deepnorm": False,
    "feat_proj_layer_norm": True,
}


@register_encoder(
    "mert",
    paper="Li et al. 2023, MERT: Acoustic Music Understanding Model with Large-Scale "
    "Self-supervised Training, arXiv:2306.00107",
    source="transformers.HubertModel",
)
class MERT(WaveformTransformer):
    """A vector per clip from the waveform by a pretrained MERT (needs the extra `transformers`).

    It takes the frontend `waveform` at the rate that the folder's config says, 24 kHz for the
    published MERT-v1 (attribute `rate_hz`), normalised per clip ("sentence").

    Arguments
    ---------
    in_features : int
        1: a frame is a sample.
    path : str or None
        A folder with `config.json` and one `*.safetensors`. Nothing is downloaded, pickles are
        not read, and the Python files that come with MERT are not run: its weights are put into
        transformers' HubertModel, which is the same network for MERT-v0 and v1. None, which
        warns: a small net of random values, to try what is around it.
    layer : int or str
        Which hidden state is averaged over time: 0, before the first block, to the number of
        blocks; negative ones count from the last, -1. "weighted": a learned mean of all of them,
        which starts even.
    freeze : str
        What is not trained: "feature_encoder", the convolutions on the waveform; "none"; "all",
        which also leaves out dropout. With "weighted" the weights of the mean are trained always.
    config : dict or None
        In the place of a path, a network of random values to put weights into, as a bundle does:
        `model_type`, `sample_rate` in Hz and what its `config.json` says of the network.

    Shape
    -----
    feats (B, N, 1), lengths (B,) or None -> (B, 1, D), the mean over the steps of 320 samples of
    an item; D is 768 for 95M, 1024 for 330M, 32 without a path.

    Raises
    ------
    ValueError
        No such folder; nothing but pickles in it; another kind of model; a setting that
        HubertModel does not have (a constant-Q transform beside the convolutions, deep norm, no
        norm before the projection), named; weights that lack or are too many, named; no such layer;
        a config that describes no such model; path and config together.

    Notes
    -----
    A block behind the chosen layer would not learn: such blocks are removed. MERT-v1-330M's
    "attention_relax" shifts scores before the softmax, which changes nothing but rounding.

    References
    ----------
    Followed: transformers' HubertModel (hidden_states), to which the published checkpoint's
    config and names belong. Deviations: as of the encoder `wav2vec2`, the group norm counts an
    item's own samples, and nothing is masked or skipped at random.

    Example
    -------
    >>> MERT(in_features=1)(torch.zeros(2, 24000, 1)).shape
    torch.Size([2, 1, 32])
    """

    def __init__(
        self,
        in_features: int = 1,
        path: str | None = None,
        layer: int | str = -1,
        freeze: str = FROZEN[1],
        config: dict | None = None,
    ):
        choice("freeze", freeze, FROZEN)
        model = model_without_folder("mert", path, config, FAMILIES, also=("sample_rate",))
        if model is None:
            model, rate_hz = _pretrained_model(path)
        else:
            rate_hz = whole("config sample_rate", _rate_hz(config or {"model_type": "mert_model"}))
        blocks = model.config.num_hidden_layers
        if layer != "weighted" and (
            isinstance(layer, bool)
            or not isinstance(layer, int)
            or not -blocks - 1 <= layer <= blocks
        ):
            raise ValueError(
                f'layer must be "weighted" or a whole number from {-blocks - 1} to {blocks}, the '
                f"hidden states of {blocks} blocks, got {layer!r}"
            )
        super().__init__(in_features, model, freeze, "utterance")
        self.rate_hz = rate_hz
        self.layer = layer if layer == "weighted" else layer % (blocks + 1)
        self._leave_out_unused(blocks)
        if self.layer == "weighted":
            self.layer_scores = nn.Parameter(torch.zeros(blocks + 1))
        self.train()  # transformers returns a model in eval mode

    def lasting_options(self, options: dict) -> dict:
        lasting = super().lasting_options(options)
        return {**lasting, "config": {**lasting["config"], "sample_rate": self.rate_hz}}

    def _leave_out_unused(self, blocks: int) -> None:
        """Remove what stands behind the layer and would never get a gradient."""
        encoder = self.model.encoder
        if self.layer == "weighted":
            return
        encoder.layers = encoder.layers[: self.layer]
        # Large models normalise once more behind the last block, and there alone.
        if self.model.config.do_stable_layer_norm and self.layer < blocks:
            encoder.layer_norm = nn.Identity()

    def num_frames(self, num_frames: int) -> int:
        """One: a vector per clip."""
        return 1

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        x, mask = self.projected(feats, lengths)
        if self.layer == "weighted":
            x = self._mean_of_states(x, mask)
        else:
            x = self.model.encoder(x, attention_mask=mask).last_hidden_state
        return masked_mean(x, mask, (1,), axis=1)

    def _mean_of_states(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """The learned mean of what goes into each block and what comes out in the end."""
        states: list[torch.Tensor] = []
        hooks = [
            block.register_forward_pre_hook(lambda _, inputs: states.append(inputs[0]))
            for block in self.model.encoder.layers
        ]
        try:
            states.append(self.model.encoder(x, attention_mask=mask).last_hidden_state)
        finally:
            for hook in hooks:
                hook.remove()
        weights = self.layer_scores.softmax(0)
        return sum(weight * state for weight, state in zip(weights, states, strict=True))


def _pretrained_model(path: str) -> tuple[nn.Module, int]:
    """The model in a folder and its sample rate, every weight of it from `*.safetensors`."""
    conversion = (
        "import torch, safetensors.torch as s; s.save_file({k: v.clone() for k, v in "
        "torch.load('pytorch_model.bin', weights_only=True).items()}, 'model.safetensors')"
    )
    about = config_in(path, tuple(FAMILIES), conversion)
    wrong = {
        name: about[name] for name, value in OWN_SETTINGS.items() if about.get(name, value) != value
    }
    if wrong:
        raise ValueError(
            f"path {str(path)!r} holds a network that transformers' HubertModel is not: it has "
            + ", ".join(
                f"{name} {got!r}, expected {OWN_SETTINGS[name]!r}" for name, got in wrong.items()
            )
        )
    return model_in("mert", path, about, FAMILIES), int(_rate_hz(about))


def _rate_hz(about: dict) -> int:
    """The rate that a config says, in Hz, else that of the published models of its kind."""
    return about.get("sample_rate", MERT_RATE_HZ if about["model_type"] == "mert_model" else 16000)
