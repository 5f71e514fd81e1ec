"""Write the `hyperparams.yaml` with which SpeechBrain's pretrained interface opens a bundle."""

import json

from safetensors.torch import load_file
from speechbrain.dataio.encoder import CategoricalEncoder
from speechbrain.utils.parameter_transfer import Pretrainer
from torch import nn

from ..model import PARTS


class BundlePretrainer(Pretrainer):
    """SpeechBrain's Pretrainer, filling the modules from `model.safetensors`.

    Arguments
    ---------
    parts : dict of the four modules
    """

    def __init__(self, parts: dict[str, nn.Module]):
        self._model = nn.ModuleDict(parts)
        super().__init__(
            loadables={"model": self._model}, custom_hooks={"model": _fill_from_safetensors}
        )

    def collect_files(self, default_source=None, **kwargs):
        """Fetch the weights from where the YAML came from."""
        self.paths["model"] = f"{default_source}/model.safetensors"
        return super().collect_files(default_source, **kwargs)


def _fill_from_safetensors(model: nn.Module, path) -> None:
    # SpeechBrain may have linked the file under another name, which safetensors does not mind.
    model.load_state_dict(load_file(str(path)))
    model.eval()


def label_encoder(labels: list[str]) -> CategoricalEncoder:
    """SpeechBrain's encoder with these labels in this order."""
    encoder = CategoricalEncoder()
    for index, label in enumerate(labels):
        encoder.enforce_label(label, index)
    encoder.expect_len(len(labels))
    return encoder


def hyperparams_text(description: dict) -> str:
    """`hyperparams.yaml` of a bundle's description; JSON is YAML, so values are written as JSON."""
    frontend, encoder, head = (description[name] for name in ("frontend", "encoder", "head"))
    write = json.dumps
    parts = "\n".join(f"{name}: !ref <model.{name}>" for name in PARTS)
    modules = "\n".join(f"    {name}: !ref <{name}>" for name in PARTS)
    return f"""# For speechbrain.inference.EncoderClassifier.from_hparams(source=FOLDER).
sample_rate: {description["sample_rate"]}
labels: {write(description["labels"])}
model: !apply:auricle.lobes.build_model
    frontend: {frontend["name"]}
    encoder: {encoder["name"]}
    sample_rate: !ref <sample_rate>
    normalization: {description["normalization"]}
    frontend_options: {write({frontend["name"]: frontend["options"]})}
    encoder_options: {write({encoder["name"]: encoder["options"]})}
    in_frames: {write(encoder["in_frames"])}
    head: {head["name"]}
    num_outputs: {len(description["labels"])}
    head_options: {write(head["options"])}
{parts}
modules:
{modules}
label_encoder: !apply:auricle.lobes.bundles.speechbrain.label_encoder
    labels: !ref <labels>
pretrainer: !new:auricle.lobes.bundles.speechbrain.BundlePretrainer
    parts: !ref <modules>
"""
