"""LEAF and EfficientLEAF, trained in TensorFlow or PyTorch: their variables as a frontend."""

import math
import re

import torch
from torch import nn

from ...processing.system.listing import first_of
from ..build import build_frontend
from ..frontends.efficientleaf import largest_divisor, odd
from . import ConversionError, Converted, Source
from .files import SourceFile

#: Names of variables, `.` for every separator, and auricle's of `leaf`.
_LEAF = {
    r"_?(tfbanks_)?complex_conv\._?kernel": "kernel",
    r"_?(learnable_)?pooling\.(kernel|weights)": "pooling_width",
    r"_?pooling\._bias": "pooling_bias",
    r"(_?compression|_?compress_fn|PCEN)\.(alpha|delta|root)": r"compression.\2",
    r"(_?compression|_?compress_fn|PCEN)\.(ema|EMA)\.(_weights|smooth)": "compression.smooth",
}
_EFFICIENT = {
    r"filterbank\.center_freqs": "centre",
    r"filterbank\.bandwidths": "width",
    r"filterbank\.pooling_widths": "pooling_width",
    r"compression\.log1p\.a": "log_gain",
    r"compression\.TBN\.bn\.(weight|bias|running_mean|running_var)": r"batch_norm.\1",
}
_NEEDED = {
    "leaf": ("kernel", "pooling_width", *(f"compression.{n}" for n in ("alpha", "delta", "root", "smooth"))),
    "efficientleaf": ("centre", "width", "pooling_width", "log_gain", *(
        f"batch_norm.{n}" for n in ("weight", "bias", "running_mean", "running_var"))),
}  # fmt: skip
#: Endings of a TensorFlow checkpoint's names.
_ENDINGS = re.compile(r"(/\.ATTRIBUTES/VARIABLE_VALUE|:0)$")
#: What no file of variables tells, as all four sources have it by default.
_RATE_HZ, _HOP, _WINDOW, _GROUPS, _WINDOW_FACTOR = 16000, 160, 401, 4, 4.77
_ASSUMED = f"a rate of {_RATE_HZ} Hz, windows of 25 ms each 10 ms"


def _variables(
    file: SourceFile, names: dict[str, str]
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Tensors of a frontend by auricle's names, and the names of all that are none of it."""
    found, others = {}, []
    for key, value in file.tensors.items():
        if ".OPTIMIZER_SLOT" in key or key.endswith("num_batches_tracked"):
            continue
        plain = _ENDINGS.sub("", key).replace("/", ".")
        for pattern, new in names.items():
            if match := re.search(rf"(?:^|\.)(?:{pattern})$", plain):
                ours = match.expand(new)
                if ours in found:
                    raise ConversionError(
                        f"{file.path} holds {ours} twice, the second as {key:.200}"
                    )
                found[ours] = value.float()
                break
        else:
            others.append(key)
    return found, others


def _lobe(file: SourceFile) -> tuple[str | None, str]:
    """Which frontend a file holds, or why none."""
    if reason := file.mismatch():
        return None, reason
    lacking = {}
    for lobe, names in (("leaf", _LEAF), ("efficientleaf", _EFFICIENT)):
        found, _ = _variables(file, names)
        lacking[lobe] = [name for name in _NEEDED[lobe] if name not in found]
        if not lacking[lobe]:
            return lobe, ""
    return None, "; ".join(
        f"of {lobe} it lacks {first_of(names)}" for lobe, names in lacking.items()
    )


def _mismatch(file: SourceFile) -> str:
    return _lobe(file)[1]


def _convert(file: SourceFile, labels: list[str] | None) -> Converted:
    lobe, reason = _lobe(file)
    if lobe is None:
        raise ConversionError(f"{file.path}: {reason}")
    values, others = _variables(file, _LEAF if lobe == "leaf" else _EFFICIENT)
    left_out = [f"{_ASSUMED}: taken for granted, no file of variables tells them"]
    if others:
        left_out.append(f"what is not of the frontend: {first_of(sorted(others))}")
    is_port = lobe == "leaf" and not any("/" in key for key in file.tensors)
    if lobe == "leaf":
        options = _leaf(file, values)
        options["frame_centre"] = "centered" if is_port else "tf_same"
    else:
        options = _efficientleaf(file, values)
        left_out.append(
            f"{_GROUPS} groups of filters {_WINDOW_FACTOR} widths long: taken for granted, too; their "
            "lengths and strides are those of these values, and stay"
        )
    description = {
        "task": "verification",
        "sample_rate": _RATE_HZ,
        "clip_s": 1.0,
        "labels": [],
        "normalization": "none",
        "frontend": {"name": lobe, "options": options},
        "encoder": {"name": "linear", "options": {}, "in_frames": _RATE_HZ // _HOP},
        "head": {"name": "none", "options": {}},
        "converted": {
            "followed": _FOLLOWED[lobe],
            "licence": "Apache-2.0 or MIT (the code's; of values, what their owner says)",
        },
    }
    frontend, projected = _projected(file, lobe, options, values)
    state = frontend.state_dict()
    weights = {f"compute_features.{key}": value for key, value in state.items()}
    reference, runtime = None, Converted.runtime
    if is_port:
        reference, runtime = _speechbrain(state), "SpeechBrain's Leaf with the values in range"
    # The fast engine is within 1e-4 of the energies, and PCEN roots their quotient.
    return Converted(description, weights, left_out, projected, reference, runtime, tolerance=1e-3)


_FOLLOWED = {
    "leaf": "google-research/leaf-audio@b130481, SarthakYadav/leaf-pytorch@ecaed50, SpeechBrain 1.1.2",
    "efficientleaf": "CPJKU/EfficientLEAF@5e87fcd",
}


def _leaf(file: SourceFile, values: dict[str, torch.Tensor]) -> dict:
    """Options of `leaf`; the Gabor kernel (N, 2) is divided, and every value made (N,)."""
    kernel = values.pop("kernel")
    if kernel.dim() != 2 or kernel.shape[1] != 2 or not len(kernel):
        raise ConversionError(f"{file.path}: a Gabor kernel of {tuple(kernel.shape)}, not (N, 2)")
    values["centre"], values["width"] = kernel.unbind(1)
    for name, value in values.items():
        flat = value.flatten()
        # One smoothing coefficient may serve all filters.
        values[name] = flat.expand(len(kernel)).clone() if len(flat) == 1 else flat
    return {"num_features": len(kernel), "pooling_bias": "pooling_bias" in values}


def _efficientleaf(file: SourceFile, values: dict[str, torch.Tensor]) -> dict:
    """Options of `efficientleaf`, with the lengths and strides that the source has of these values."""
    count = len(values["centre"])
    if count % _GROUPS or len(values["width"]) != count:
        raise ConversionError(f"{file.path}: {count} filters, not a multiple of {_GROUPS} groups")
    edge, unit = math.pi, math.sqrt(2 * math.log(2)) / math.pi
    widths = values["width"].clamp(2 * unit, _WINDOW * unit).split(count // _GROUPS)
    centres = values["centre"].clamp(0, edge).split(count // _GROUPS)
    return {
        "num_filters": count,
        "group_samples": [odd(float(part.max() * _WINDOW_FACTOR)) for part in widths],
        "group_strides": [largest_divisor(_HOP, edge / float(part.max())) for part in centres],
    }


def _projected(
    file: SourceFile, lobe: str, options: dict, values: dict[str, torch.Tensor]
) -> tuple[nn.Module, list[str]]:
    """The frontend with these values in its ranges, and what was moved."""
    try:
        frontend = build_frontend(lobe, _RATE_HZ, {lobe: options})
        state = frontend.state_dict()
        counts = {k: v for k, v in state.items() if k.endswith("num_batches_tracked")}
        frontend.load_state_dict(values | counts)
    except (RuntimeError, ValueError) as error:
        raise ConversionError(f"{file.path} does not fit {lobe}: {error!s:.300}") from None
    frontend.project_()
    lines = []
    for name, value in values.items():
        moved = (now := frontend.state_dict()[name]) != value
        if moved.any():
            place = int(((now - value).abs() * moved).argmax())
            lines.append(
                f"{name}: {int(moved.sum())} of {len(value)} values, such as {float(value[place]):.4g} "
                f"to {float(now[place]):.4g}"
            )
    return frontend, lines


def _speechbrain(values: dict[str, torch.Tensor]):
    """What SpeechBrain's Leaf gives with these values, (B, frames * N)."""

    def reference(model, wavs: torch.Tensor) -> torch.Tensor:
        from speechbrain.lobes.features import Leaf

        net = Leaf(len(values["centre"]), in_channels=1)
        named = {f"compression.{n}": values[f"compression.{n}"] for n in ("alpha", "delta", "root")}
        named["compression.ema._weights"] = values["compression.smooth"]
        named["complex_conv.kernel"] = torch.stack([values["centre"], values["width"]], 1)
        named["pooling.weights"] = values["pooling_width"].view(1, 1, -1, 1)
        zero = torch.zeros(len(values["centre"]))
        named["pooling._bias"] = values.get("pooling_bias", zero)
        net.load_state_dict(named)
        return net.eval()(wavs).flatten(1)

    return reference


SOURCE = Source(
    "leaf_variables",
    "LEAF's variables (leaf-audio, leaf-pytorch, SpeechBrain) or EfficientLEAF's state dict",
    _mismatch,
    _convert,
)
