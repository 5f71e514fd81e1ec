"""SpeechBrain's speaker networks: checkpoints of ECAPA-TDNN, x-vector and ResNet, or their folder."""

import torch
from speechbrain.lobes.features import Fbank
from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN
from speechbrain.lobes.models.ResNet import ResNet
from speechbrain.lobes.models.Xvector import Xvector

from . import Converted, Source
from .files import SourceFile
from .speaker_description import LEFT_OUT, describe_speakers

#: What SpeechBrain calls the network in a folder.
CHECKPOINT = "embedding_model.ckpt"
#: Tensors that a network alone has.
_MARKS = {
    "ecapa": ("asp.tdnn.conv.conv.weight", "mfa.conv.conv.weight", "fc.conv.weight"),
    "xvector": ("blocks.0.conv.weight", "blocks.12.conv.weight", "blocks.16.w.weight"),
    "resnet34": ("layer4.0.conv3.weight", "norm_stats.weight", "fc_embed.weight"),
}


def _network(file: SourceFile) -> SourceFile:
    """The file with the network, itself or in a folder."""
    inner = file.path / CHECKPOINT
    return SourceFile(inner) if file.format == "folder" and inner.is_file() else file


def _mismatch(file: SourceFile) -> str:
    network = _network(file)
    if network.format == "folder":
        return f"the folder has no {CHECKPOINT}"
    reasons = [network.mismatch(*marks) for marks in _MARKS.values()]
    return "" if "" in reasons else "; ".join(dict.fromkeys(reasons))


def _convert(file: SourceFile, labels: list[str] | None) -> Converted:
    network = _network(file)
    tensors = network.tensors
    name = next(name for name, marks in _MARKS.items() if not network.mismatch(*marks))
    features, options = _SIZES[name](tensors)
    left_out = [LEFT_OUT]
    if file.format == "folder":
        others = sorted(path.name for path in file.path.iterdir() if path.name != CHECKPOINT)
        left_out += [f"{name} of the folder" for name in others]
    mel = {"convention": "speechbrain", "num_features": features}
    description = describe_speakers(mel, name, options, "speechbrain/speechbrain@9c826ef")

    def reference(model, wavs: torch.Tensor) -> torch.Tensor:
        net = _NETWORKS[name](features, options).eval()
        net.load_state_dict(tensors)
        feats = Fbank(n_mels=features)(wavs)
        return net(feats - feats.mean(1, keepdim=True)).flatten(1)

    weights = {f"embedding_model.net.{key}": value for key, value in tensors.items()}
    # Its x-vector adds noise to the mean, in evaluation too.
    tolerance = 3e-3 if name == "xvector" else 1e-4
    about = "SpeechBrain's own modules"
    return Converted(description, weights, left_out, [], reference, about, tolerance)


def _ecapa(tensors: dict[str, torch.Tensor]) -> tuple[int, dict]:
    first, gathered = tensors["blocks.0.conv.conv.weight"], tensors["mfa.conv.conv.weight"]
    blocks = [len(tensors[f"blocks.{number}.tdnn1.conv.conv.weight"]) for number in (1, 2, 3)]
    groups = sum(
        f"blocks.1.res2net_block.blocks.{n}.conv.conv.weight" in tensors for n in range(64)
    )
    return first.shape[1], {
        "channels": [len(first), *blocks, len(gathered)],
        "embedding_size": len(tensors["fc.conv.weight"]),
        "attention_channels": len(tensors["asp.tdnn.conv.conv.weight"]),
        "res2net_scale": groups + 1,
        "se_channels": len(tensors["blocks.1.se_block.conv1.conv.weight"]),
    }


def _xvector(tensors: dict[str, torch.Tensor]) -> tuple[int, dict]:
    layers = [tensors[f"blocks.{number}.conv.weight"] for number in (0, 3, 6, 9, 12)]
    options = {
        "channels": list(map(len, layers)),
        "lin_neurons": len(tensors["blocks.16.w.weight"]),
    }
    return layers[0].shape[1], options


def _resnet34(tensors: dict[str, torch.Tensor]) -> tuple[int, dict]:
    stages = range(1, 5)
    channels = [len(tensors[f"layer{stage}.0.conv3.weight"]) for stage in stages]
    sizes = [
        sum(f"layer{stage}.{block}.conv3.weight" in tensors for block in range(64))
        for stage in stages
    ]
    # Three stages halve the rows; means and deviations of what is left.
    rows = len(tensors["norm_stats.weight"]) // (2 * channels[3])
    embedding = len(tensors["fc_embed.weight"])
    return 8 * rows, {"channels": channels, "block_sizes": sizes, "embedding_size": embedding}


_SIZES = {"ecapa": _ecapa, "xvector": _xvector, "resnet34": _resnet34}
_NETWORKS = {
    "ecapa": lambda features, options: ECAPA_TDNN(
        features,
        lin_neurons=options["embedding_size"],
        **{key: value for key, value in options.items() if key != "embedding_size"},
    ),
    "xvector": lambda features, options: Xvector(
        tdnn_channels=options["channels"], lin_neurons=options["lin_neurons"], in_channels=features
    ),
    "resnet34": lambda features, options: ResNet(
        features,
        channels=options["channels"],
        block_sizes=options["block_sizes"],
        lin_neurons=options["embedding_size"],
    ),
}

SOURCE = Source(
    "speechbrain_speakers",
    "ECAPA-TDNN, x-vector or ResNet of SpeechBrain, embedding_model.ckpt or the folder with it",
    _mismatch,
    _convert,
)
