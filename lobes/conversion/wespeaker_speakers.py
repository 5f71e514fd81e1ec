"""wespeaker's speaker networks: state dicts of ECAPA-TDNN, ResNet18 and ResNet34, and ReDimNet."""

import re

import torch
from torch.nn.functional import pad

from ...processing.system.listing import first_of
from ..encoders.redimnet import SIZES
from . import ConversionError, Converted, Source
from .files import SourceFile
from .speaker_description import LEFT_OUT, describe_speakers

_NET = "embedding_model."
#: Of its training: the layer with the speakers.
_LEFT = "projection."
_MARKS = {
    "ecapa": ("layer1.conv.weight", "layer4.se_res2block.3.linear1.weight", "pool.linear1.weight"),
    "rvector": ("conv1.weight", "layer4.0.conv2.weight", "seg_1.weight"),
    "redimnet": ("backbone.stem.0.weight", "backbone.inputs_weights.1", "pool.linear1.weight"),
}
#: Kaldi's filterbank of 16-bit numbers, by Hamming windows; the floor is that of numbers up to 1.
_FLOOR = 2.0**-23 / 2**30
Tensors = dict[str, torch.Tensor]


def _mismatch(file: SourceFile) -> str:
    reasons = [file.mismatch(*marks) for marks in _MARKS.values()]
    return "" if "" in reasons else "; ".join(dict.fromkeys(reasons))


def _convert(file: SourceFile, labels: list[str] | None) -> Converted:
    name = next(name for name, marks in _MARKS.items() if not file.mismatch(*marks))
    left = {key for key in file.tensors if key.startswith(_LEFT) or key.endswith("batches_tracked")}
    tensors = {key: value for key, value in file.tensors.items() if key not in left}
    features, options, weights = _NETS[name](tensors)
    mel = {"convention": "kaldi", "num_features": features, "log_offset": _FLOOR}
    mel["window_shape"] = "hamming_symmetric"
    description = describe_speakers(mel, name, options, "wenet-e2e/wespeaker@10868f6")
    weights = {_NET + key: value for key, value in weights.items()}
    return Converted(description, weights, [LEFT_OUT], [], None, "wespeaker is no part of auricle")


def _renamed(tensors: Tensors, rules: list[tuple[str, str]]) -> Tensors:
    """Tensors by auricle's names; `rules` are patterns of whole names and what they become."""
    renamed, unknown = {}, []
    for name, value in tensors.items():
        rule = next((rule for rule in rules if re.fullmatch(rule[0], name)), None)
        if rule is None:
            unknown.append(name)
        elif rule[1]:
            renamed[re.sub(rule[0], rule[1], name)] = value
    if unknown:
        raise ConversionError(f"{first_of(unknown)} have no place in auricle's net")
    return renamed


def _no_norm(name: str, size: int) -> Tensors:
    """A batch normalisation that changes nothing, where the source has none."""
    one, zero = torch.ones(size), torch.zeros(size)
    values = {"weight": one * (1 + 1e-5) ** 0.5, "bias": zero}
    values |= {"running_mean": zero, "running_var": one}
    return {f"{name}.{key}": value for key, value in values.items()}


def _ecapa(tensors: Tensors) -> tuple[int, dict, Tensors]:
    first, gathered = tensors["layer1.conv.weight"], tensors["conv.weight"]
    groups = sum(f"layer2.se_res2block.1.convs.{n}.weight" in tensors for n in range(64))
    block = r"layer([234])\.se_res2block\."
    inside = lambda name: f"net.blocks.LAYER\\1.{name}"  # noqa: E731
    rules = [
        (r"layer1\.conv\.(\w+)", r"net.blocks.0.conv.conv.\1"),
        (r"layer1\.bn\.(\w+)", r"net.blocks.0.norm.norm.\1"),
        *(
            (rf"{block}{place}\.{theirs}\.(\w+)", inside(rf"tdnn{tdnn}.{ours}.\2"))
            for place, tdnn in ((0, 1), (2, 2))
            for theirs, ours in (("conv", "conv.conv"), ("bn", "norm.norm"))
        ),
        (rf"{block}1\.convs\.(\d+)\.(\w+)", inside(r"res2net_block.blocks.\2.conv.conv.\3")),
        (rf"{block}1\.bns\.(\d+)\.(\w+)", inside(r"res2net_block.blocks.\2.norm.norm.\3")),
        (rf"{block}3\.linear([12])\.(\w+)", inside(r"se_block.conv\2.conv.\3")),
        (r"conv\.(\w+)", r"net.mfa.conv.conv.\1"),
        (r"pool\.linear1\.(\w+)", r"net.asp.tdnn.conv.conv.\1"),
        (r"pool\.linear2\.(\w+)", r"net.asp.conv.conv.\1"),
        (r"bn\.(\w+)", r"net.asp_bn.norm.\1"),
        (r"linear\.(\w+)", r"net.fc.conv.\1"),
    ]
    weights = {
        re.sub(r"LAYER(\d)", lambda number: str(int(number[1]) - 1), name): value
        for name, value in _renamed(tensors, rules).items()
    }
    width, scale = len(tensors["layer2.se_res2block.0.conv.weight"]), groups + 1
    for name, value in weights.items():
        # There the last group of channels passes unchanged, in SpeechBrain's net the first.
        if re.search(r"\.tdnn1\.", name):
            weights[name] = value.roll(width // scale, 0)
        elif name.endswith("tdnn2.conv.conv.weight"):
            weights[name] = value.roll(width // scale, 1)
        if name.endswith(("se_block.conv1.conv.weight", "se_block.conv2.conv.weight")):
            weights[name] = value.unsqueeze(-1)
    weights["net.fc.conv.weight"] = weights["net.fc.conv.weight"].unsqueeze(-1)
    weights |= _no_norm("net.mfa.norm.norm", len(gathered))
    narrow = weights["net.asp.tdnn.conv.conv.weight"]
    # Attention that sees the frame alone has no weights for mean and deviation of all.
    weights["net.asp.tdnn.conv.conv.weight"] = pad(
        narrow, (0, 0, 0, 3 * len(gathered) - narrow.shape[1])
    )
    weights |= _no_norm("net.asp.tdnn.norm.norm", len(narrow))
    options = {
        "channels": [len(first), width, width, width, len(gathered)],
        "embedding_size": len(tensors["linear.weight"]),
        "attention_channels": len(narrow),
        "res2net_scale": scale,
        "se_channels": len(tensors["layer2.se_res2block.3.linear1.weight"]),
        "form": "wespeaker",
    }
    return first.shape[1], options, weights


def _rvector(tensors: Tensors) -> tuple[int, dict, Tensors]:
    if "layer1.0.conv3.weight" in tensors:
        raise ConversionError("ResNets of bottlenecks (ResNet50 and deeper) have no net in auricle")
    sizes = [
        sum(f"layer{stage}.{block}.conv2.weight" in tensors for block in range(64))
        for stage in range(1, 5)
    ]
    channels, embedding = len(tensors["conv1.weight"]), len(tensors["seg_1.weight"])
    rules = [
        (r"(conv1|bn1)\.(\w+)", r"\1.\2"),
        (r"layer(\d)\.(\d+)\.(.+)", r"layers.LAYER\1.\2.\3"),
        (r"seg_1\.(\w+)", r"embed.\1"),
    ]
    weights = {
        re.sub(r"LAYER(\d)", lambda number: str(int(number[1]) - 1), name): value
        for name, value in _renamed(tensors, rules).items()
    }
    rows = tensors["seg_1.weight"].shape[1] // (16 * channels)
    options = {"channels": channels, "block_sizes": sizes, "embedding_size": embedding}
    return 8 * rows, options, weights


def _redimnet(tensors: Tensors) -> tuple[int, dict, Tensors]:
    width, channels = (
        tensors["backbone.inputs_weights.1"].shape[2],
        len(tensors["backbone.stem.0.weight"]),
    )
    size = _size(tensors, channels)
    rules = [
        (r"backbone\.inputs_weights\.0", ""),
        (r"backbone\.inputs_weights\.(\d+)", r"mix.LESS\1"),
        (r"backbone\.stem\.0\.(\w+)", r"stem.\1"),
        (r"backbone\.stem\.1\.(\w+)", r"stem_norm.\1"),
        (r"pool\.linear1\.(\w+)", r"attention_in.\1"),
        (r"pool\.linear2\.(\w+)", r"attention_out.\1"),
        (r"seg_1\.(\w+)", r"embed.\1"),
    ]
    for number, (_, blocks, widening, context) in enumerate(SIZES[size][3]):
        here, there = rf"backbone\.stage{number}\.", f"stages.{number}."
        rules.append((rf"{here}0\.(\w+)", rf"{there}enter.\1"))
        for block in range(blocks):
            inner = rf"{here}{block + 1}\.conv_block\."
            rules += [
                (rf"{inner}{theirs}\.(\w+)", rf"{there}blocks.{block}.{ours}.\1")
                for theirs, ours in _BLOCK.items()
            ]
        if widening > 1:
            rules += [
                (rf"{here}{blocks + 1}\.{place}\.(\w+)", rf"{there}leave.{ours}.\1")
                for place, ours in ((0, "convolution"), (1, "norm"), (3, "mix"))
            ]
        if context:
            # Behind the step from a picture to a sequence, which holds nothing.
            inner = rf"{here}{blocks + 2 + (widening > 1)}\."
            rules += [
                (rf"{inner}{theirs}\.(\w+)", rf"{there}context.{ours}.\1")
                for theirs, ours in _CONTEXT.items()
            ]
    weights = {
        re.sub(r"LESS(\d+)", lambda number: str(int(number[1]) - 1), name): value
        for name, value in _renamed(tensors, rules).items()
    }
    for name in [name for name in weights if ".self_attn.q." in name]:
        three = [weights.pop(name.replace(".q.", f".{part}.")) for part in "qkv"]
        weights[name.replace(".q.", ".in_proj_")] = torch.cat(three)
    narrow = weights["attention_in.weight"]
    weights["attention_in.weight"] = pad(narrow, (0, 0, 0, 3 * width - narrow.shape[1]))
    weights |= _no_norm("pool_norm", 2 * width)
    return (
        width // channels,
        {"size": size, "embedding_size": len(tensors["seg_1.weight"])},
        weights,
    )


_BLOCK = {
    r"dwconvs\.0": "convolutions.0",
    "norm": "norm",
    "pwconv1": "mix",
    "conv1": "first",
    "conv1pw": "first_mix",
    "bn1": "first_norm",
    "conv2": "second",
    "conv2pw": "second_mix",
    "bn2": "second_norm",
    r"se\.squeeze": "gate.0",
    r"se\.exitation": "gate.2",
}
_CONTEXT = {
    r"red_dim_conv\.0": "reduce",
    r"red_dim_conv\.1": "norm",
    **{rf"tcm\.{n}\.dwconvs\.0": f"blocks.{n}.convolutions.0" for n in range(4)},
    **{rf"tcm\.{n}\.norm": f"blocks.{n}.norm" for n in range(4)},
    **{rf"tcm\.{n}\.pwconv1": f"blocks.{n}.mix" for n in range(4)},
    **{rf"tcm\.4\.attention\.{part}_proj": f"attention.self_attn.{part}" for part in "qkv"},
    r"tcm\.4\.attention\.out_proj": "attention.self_attn.out_proj",
    r"tcm\.4\.layer_norm": "attention.norm1",
    r"tcm\.4\.feed_forward\.intermediate_dense": "attention.linear1",
    r"tcm\.4\.feed_forward\.output_dense": "attention.linear2",
    r"tcm\.4\.final_layer_norm": "attention.norm2",
    "exp_dim_conv": "expand",
}


def _size(tensors: Tensors, channels: int) -> str:
    """Which of ReDimNet's sizes has these stages."""
    block = "backbone.stage0.1.conv_block."
    if f"{block}pwconv1.weight" in tensors:
        kind, first = "convnext", tensors[f"{block}dwconvs.0.weight"]
    else:
        kind = "gated" if f"{block}se.squeeze.weight" in tensors else "residual"
        first = tensors[f"{block}conv1.weight"]
    stages, before = [], channels
    while (enter := tensors.get(f"backbone.stage{len(stages)}.0.weight")) is not None:
        stride, wide = enter.shape[2], len(enter)
        where = f"backbone.stage{len(stages)}."
        ends = ("conv1.weight", "pwconv1.weight")
        count = sum(
            any(f"{where}{place}.conv_block.{end}" in tensors for end in ends)
            for place in range(1, 64)
        )
        stages.append((stride, count, wide // (stride * before)))
        before *= stride
    for name, (base, of, group, setup) in SIZES.items():
        wide = base * setup[0][0] * setup[0][2]
        together = wide // (wide // group)  # channels that a group of a convolution sees
        if (base, of, together) == (channels, kind, first.shape[1]):
            if [stage[:3] for stage in setup] == stages:
                return name
    raise ConversionError(f"no size of ReDimNet has {channels} channels and the stages {stages}")


_NETS = {"ecapa": _ecapa, "rvector": _rvector, "redimnet": _redimnet}

SOURCE = Source(
    "wespeaker_speakers",
    "ECAPA-TDNN, ResNet18, ResNet34 or ReDimNet of wespeaker, a state dict",
    _mismatch,
    _convert,
)
