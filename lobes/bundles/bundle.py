"""Pretrained bundles: a folder that says what a model is and holds its weights.

A bundle is opened in two ways. `load` reads `bundle.json`, which names registered lobes, and
`model.safetensors`: nothing in it can run code. SpeechBrain's `EncoderClassifier.from_hparams`
reads `hyperparams.yaml`, and HyperPyYAML constructs what such a file asks for, so that way is for
bundles from people you trust.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from speechbrain.dataio.encoder import CategoricalEncoder
from speechbrain.utils.parameter_transfer import Pretrainer
from torch import nn

from ..build import build_encoder, build_frontend, build_normalization
from ..contracts import Encoder, Frontend
from ..heads import build_head
from ..registry import LobeError

__all__ = [
    "Bundle",
    "BundleError",
    "BundlePretrainer",
    "amend",
    "count_parameters",
    "label_encoder",
    "load",
    "save",
]

FORMAT = 1
DESCRIPTION, WEIGHTS, SPEECHBRAIN = "bundle.json", "model.safetensors", "hyperparams.yaml"
#: Tasks whose models label no files, and the command that uses them.
OTHER_USES = {
    "speaker_verification": "auricle verify BUNDLE A.wav B.wav",
    "phone_recognition": "auricle transcribe BUNDLE FILE.wav",
    "music_emotion": "auricle predict BUNDLE SONG.mp3",
}
DEFAULT_HEAD = {"name": "classifier", "options": {}}
#: The four modules, by SpeechBrain's inference names.
PARTS = ("compute_features", "mean_var_norm", "embedding_model", "classifier")


class BundleError(ValueError):
    """A folder that is not a bundle, or one that does not fit what is asked of it."""


def count_parameters(module: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


class Bundle(nn.Module):
    """A trained model and what it needs to be used.

    Attributes
    ----------
    description : dict, what `bundle.json` holds
    labels : list of str, in the order of the classes
    sample_rate : int, in Hz
    clip_s : length of the clips it was trained on, in s, or None

    Shape
    -----
    wavs (B, T), lengths (B,) relative or None -> what the head gives, (B, C): log-probabilities of
    the classifier, cosines of the cosine head
    """

    def __init__(self, description: dict, parts: dict[str, nn.Module]):
        super().__init__()
        self.description = description
        self.labels: list[str] = list(description["labels"])
        self.sample_rate: int = description["sample_rate"]
        self.clip_s: float | None = description["clip_s"]
        self.compute_features: Frontend = parts["compute_features"]
        self.mean_var_norm = parts["mean_var_norm"]
        self.embedding_model: Encoder = parts["embedding_model"]
        self.classifier = parts["classifier"]

    def embed(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """(B, T) -> what the encoder returns, (B, 1, D) or (B, N', D)."""
        feats = self.compute_features(wavs, lengths)
        lengths = self.compute_features.frame_lengths(lengths, wavs.shape[1])
        return self.embedding_model(self.mean_var_norm(feats, lengths), lengths)

    def forward(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        return self.classifier(self.embed(wavs, lengths)).squeeze(1)

    @torch.no_grad()
    def predict_file(self, path: str | os.PathLike) -> tuple[str, float]:
        """Label and probability of one audio file, of any rate, channels and length.

        A file shorter than the training clips is padded with zeros; a longer one is cut into
        overlapping clips, whose probabilities are averaged.

        Raises
        ------
        AudioError
            A file that cannot be read, with the reason.
        BundleError
            A bundle that was not trained to label.
        """
        task = self.description.get("task")
        if task in OTHER_USES:
            raise BundleError(
                f"this bundle was trained for {task} and gives no labels; it is used with: "
                f"{OTHER_USES[task]}"
            )
        from ...processing.data.audio import read_audio

        wav = read_audio(path, self.sample_rate, resample="convert", channels="mix")
        probabilities = self(self._clips(wav)).exp().mean(0)
        best = int(probabilities.argmax())
        return self.labels[best], float(probabilities[best])

    def _clips(self, wav: torch.Tensor) -> torch.Tensor:
        """(T,) -> (B, clip) with half a clip between starts, zeros behind the end."""
        if not self.clip_s:
            return wav[None]
        size = round(self.clip_s * self.sample_rate)
        if len(wav) <= size:
            return nn.functional.pad(wav, (0, size - len(wav)))[None]
        steps = -(-(len(wav) - size) // (size // 2))
        padded = nn.functional.pad(wav, (0, size + steps * (size // 2) - len(wav)))
        return padded.unfold(0, size, size // 2)


def _build_parts(description: dict) -> dict[str, nn.Module]:
    frontend, encoder, head = (description[name] for name in ("frontend", "encoder", "head"))
    compute_features = build_frontend(
        frontend["name"], description["sample_rate"], {frontend["name"]: frontend["options"]}
    )
    embedding_model = build_encoder(
        encoder["name"],
        compute_features.num_features,
        encoder["in_frames"],
        {encoder["name"]: encoder["options"]},
    )
    return {
        "compute_features": compute_features,
        "mean_var_norm": build_normalization(description["normalization"], compute_features),
        "embedding_model": embedding_model,
        "classifier": build_head(
            head["name"], embedding_model.out_features, len(description["labels"]), head["options"]
        ),
    }


def save(folder: str | os.PathLike, description: dict, parts: dict[str, nn.Module]) -> Path:
    """Write a bundle.

    Arguments
    ---------
    folder : where to; made if it is not there
    description : dict with `task`, `sample_rate` (Hz), `clip_s`, `labels`, `normalization`,
        `frontend` {name, options}, `encoder` {name, options, in_frames}, `head` {name, options}
        (default: the classifier); further entries (scores, protocol, digest) are kept.
    parts : the trained modules by SpeechBrain's names (`PARTS`)

    Raises
    ------
    BundleError
        When what the description builds is not what the weights belong to.
    """
    description = {"format": FORMAT, "head": DEFAULT_HEAD, **json.loads(json.dumps(description))}
    weights = _weights(parts)
    built = Bundle(description, _build_parts(description))
    _load_weights(built, weights, "the description")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / (WEIGHTS + ".part")
    save_file(weights, partial)
    partial.chmod(0o644)  # safetensors makes it the owner's alone
    os.replace(partial, folder / WEIGHTS)
    text = json.dumps(description, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")
    (folder / SPEECHBRAIN).write_text(_speechbrain_yaml(description), encoding="utf-8")
    return folder


def _weights(parts: dict[str, nn.Module]) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": value.detach().cpu().contiguous().clone()
        for name in PARTS
        for key, value in parts[name].state_dict().items()
    }


def amend(folder: str | os.PathLike, **entries) -> None:
    """Add entries to the description of a bundle that is there already."""
    path = Path(folder, DESCRIPTION)
    description = json.loads(path.read_text(encoding="utf-8")) | entries
    partial = path.with_suffix(".part")
    text = json.dumps(description, indent=2, ensure_ascii=False, allow_nan=False)
    partial.write_text(text + "\n", encoding="utf-8")
    os.replace(partial, path)


def load(folder: str | os.PathLike) -> Bundle:
    """Open a bundle without running any code that it brings.

    Returns
    -------
    Bundle, in evaluation mode on the CPU.

    Raises
    ------
    BundleError
        Not a bundle; a lobe or an option that this installation does not know (a lobe of
        somebody's own: load its file with `load_plugin` or `--plugin` first, if you trust it);
        weights that do not fit.
    """
    folder = Path(folder)
    missing = [name for name in (DESCRIPTION, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise BundleError(
            f"{folder} is no bundle: {' and '.join(missing)} missing. A run writes one as "
            "<output_folder>/bundle"
        )
    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        if description["format"] != FORMAT:
            raise BundleError(
                f"{folder} has bundle format {description['format']}, this auricle reads {FORMAT}"
            )
        # Bundles from before there were other heads do not name theirs.
        description.setdefault("head", DEFAULT_HEAD)
        bundle = Bundle(description, _build_parts(description))
    except LobeError as error:
        raise BundleError(
            f"{folder} cannot be built here: {error}\nIf the lobe is somebody's own, load its "
            "file first: --plugin FILE.py (this runs that file)"
        ) from None
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise BundleError(f"{folder / DESCRIPTION} is damaged: {error!r}") from None
    try:
        weights = load_file(folder / WEIGHTS)
    except Exception as error:  # safetensors raises its own classes
        raise BundleError(f"{folder / WEIGHTS} is damaged: {error}") from None
    _load_weights(bundle, weights, str(folder))
    return bundle.eval()


def _load_weights(bundle: Bundle, weights: dict[str, torch.Tensor], whose: str) -> None:
    expected = bundle.state_dict()
    wrong = [
        f"{key}: {tuple(weights[key].shape) if key in weights else 'missing'} in the weights, "
        f"{tuple(expected[key].shape) if key in expected else 'unknown'} in {whose}"
        for key in sorted({*expected, *weights})
        if key not in expected or key not in weights or expected[key].shape != weights[key].shape
    ]
    if wrong:
        raise BundleError("weights do not fit the model:\n  " + "\n  ".join(wrong[:10]))
    bundle.load_state_dict(weights)


# -- SpeechBrain -----------------------------------------------------------------------------------


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
        self.paths["model"] = f"{default_source}/{WEIGHTS}"
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


def _speechbrain_yaml(description: dict) -> str:
    """`hyperparams.yaml`; JSON is YAML, so values are written as JSON."""
    frontend, encoder, head = (description[name] for name in ("frontend", "encoder", "head"))
    write = json.dumps
    return f"""# For speechbrain.inference.EncoderClassifier.from_hparams(source=FOLDER).
sample_rate: {description["sample_rate"]}
labels: {write(description["labels"])}
compute_features: !apply:auricle.lobes.build_frontend
    name: {frontend["name"]}
    sample_rate: !ref <sample_rate>
    options: {write({frontend["name"]: frontend["options"]})}
mean_var_norm: !apply:auricle.lobes.build_normalization
    kind: {description["normalization"]}
    frontend: !ref <compute_features>
embedding_model: !apply:auricle.lobes.build_encoder
    name: {encoder["name"]}
    in_features: !ref <compute_features.num_features>
    in_frames: {write(encoder["in_frames"])}
    options: {write({encoder["name"]: encoder["options"]})}
classifier: !apply:auricle.lobes.heads.build_head
    name: {head["name"]}
    in_features: !ref <embedding_model.out_features>
    num_classes: {len(description["labels"])}
    options: {write(head["options"])}
modules:
    compute_features: !ref <compute_features>
    mean_var_norm: !ref <mean_var_norm>
    embedding_model: !ref <embedding_model>
    classifier: !ref <classifier>
label_encoder: !apply:auricle.lobes.bundles.bundle.label_encoder
    labels: !ref <labels>
pretrainer: !new:auricle.lobes.bundles.bundle.BundlePretrainer
    parts: !ref <modules>
"""
