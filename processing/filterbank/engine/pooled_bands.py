"""Pool rectified band signals, forward and backward: the inner loop, in C or in torch operators."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from . import backend
from .backend import LANES
from .pooled_bands_torch import RECTIFIERS, overlap_add, pool_group
from .spectra import Spectra

_FLOATS = {"dtype": torch.float32, "device": "cpu"}  # whatever torch's defaults are
#: Pieces that backward's sums are cut into at least, whatever the number of threads is: the order
#: of a sum, and with it its last digit, then depends on the data alone.
_PIECES = 16


@dataclass(frozen=True, eq=False)
class Accumulator:
    """Sum of the outputs of several groups of bands: a tensor (outputs, clips, frames)."""

    outputs: int
    clips: int
    frames: int


@dataclass(frozen=True, eq=False)
class Bands:
    """A group of bands to cut, filter, transform back, rectify, weight and sum per segment.

    Arguments
    ---------
    spectra : Spectra of R rows
    responses : complex tensor (N, M)
        Factors of the M bins from `starts` on.
    weights : tensor (N, J, M / segments)
        Weights of the rectified samples of a segment.
    starts : N whole numbers
        First bin of each filter's band.
    segments : int
        Number of pieces that the M samples are cut into.
    rectifier : str
        "square", "abs" or "leaky_relu", applied to the real and to the imaginary part.
    paired : bool
        Real and imaginary part are two filters: the first half of the weight rows is for the real
        part, the second for the imaginary part. Otherwise both parts count alike.
    valid : int64 tensor (R, 2) or None
        First and last + 1 of the M samples of each row that count.
    frames, span : int
        With frames > 0, frame t of a row is the sum over j < span of weight row j applied to
        segment t + j. Every `span` weight rows make one output.
    into : Accumulator or None
        Where the outputs go; each clip is R / clips consecutive rows. None: a tensor of their own.
    channels : N whole numbers, with `into`
        Output index of each filter's first output; the others follow.
    first_frame : int64 tensor (R,) or None, with `into`
        Frame index of frame 0 of each row; frames that fall outside are dropped. None: 0.
    stage : int
        0: written; above: subtracted after all groups of a lower stage.
    along_time : bool, with `into`
        The outputs of a filter are consecutive frames of one channel.
    compiled : bool
        In C (float32, no gradient of the spectra); alike for all groups of an accumulator.
    """

    spectra: Spectra
    responses: torch.Tensor
    weights: torch.Tensor
    starts: Sequence[int]
    segments: int
    rectifier: str = "square"
    paired: bool = False
    valid: torch.Tensor | None = None
    frames: int = 0
    span: int = 1
    into: Accumulator | None = None
    channels: Sequence[int] = ()
    first_frame: torch.Tensor | None = None
    stage: int = 0
    along_time: bool = False
    compiled: bool = False

    def __post_init__(self):
        if self.rectifier not in RECTIFIERS:
            allowed = ", ".join(RECTIFIERS)
            raise ValueError(f"rectifier must be one of {allowed}, got {self.rectifier!r}")
        needed = self.frames + self.span - 1 if self.frames else self.span * self.segments
        if needed > self.segments:
            raise ValueError(
                f"{self.frames} frames over {self.span} segments each do not fit {self.segments} "
                "segments"
            )

    @property
    def outputs(self) -> int:
        """Outputs of each filter."""
        return self.weights.shape[1] // self.span

    @cached_property
    def accumulator(self) -> Accumulator:
        if self.into is not None:
            return self.into
        outputs = len(self.weights) * self.outputs
        return Accumulator(outputs, len(self.spectra), self.frames or self.segments)

    @property
    def all_channels(self) -> Sequence[int]:
        """Output index of each filter's first output."""
        if self.into:
            return self.channels
        return range(0, len(self.weights) * self.outputs, self.outputs)


def pooled_bands(groups: Sequence[Bands]) -> list[torch.Tensor]:
    """Pooled band signals of several groups of bands, in one call where they are compiled.

    Shape
    -----
    For each different `into`, in order of appearance: (outputs, clips, frames). For each group
    without one: (N, J, R, segments), or with frames > 0 (N, J / span, R, frames).
    """
    by_accumulator: dict[Accumulator, list[Bands]] = {}
    for group in groups:
        by_accumulator.setdefault(group.accumulator, []).append(group)
    results = {}
    compiled = [group for members in by_accumulator.values() for group in members if group.compiled]
    if compiled:
        # Large tasks first, so that the threads end together.
        compiled.sort(key=lambda group: (group.stage, -group.responses.shape[1]))
        tensors = [tensor for group in compiled for tensor in (group.responses, group.weights)]
        outs = _CompiledBands.apply(compiled, *tensors)
        accumulators = dict.fromkeys(group.accumulator for group in compiled)
        results = dict(zip(accumulators, outs, strict=True))
    pooled = []
    for accumulator, members in by_accumulator.items():
        out = results[accumulator] if accumulator in results else _by_operators(members)
        if members[0].into is None:
            out = out.view(len(members[0].weights), -1, *out.shape[1:])
        pooled.append(out)
    return pooled


def _by_operators(groups: Sequence[Bands]) -> torch.Tensor:
    """The groups of one accumulator, (outputs, clips, frames), by torch operators."""
    total = groups[0].accumulator
    groups = sorted(groups, key=lambda group: group.stage)
    pooled = [pool_group(group) for group in groups]
    channels = [
        [first + i for first in group.all_channels for i in range(group.outputs)]
        if not group.along_time
        else list(group.all_channels)
        for group in groups
    ]
    # Stage 0 writes every channel once, and the rows of a clip follow each other.
    written = sum(group.stage == 0 for group in groups)
    out = torch.cat([part.flatten(0, 1) for part in pooled[:written]])
    order = [channel for part in channels[:written] for channel in part]
    if order != sorted(order):
        out = out.index_select(0, torch.tensor(order, device=out.device).argsort())
    out = out.reshape(total.outputs, total.clips, -1)[..., : total.frames]
    for group, part, rows in zip(
        groups[written:], pooled[written:], channels[written:], strict=True
    ):
        part = overlap_add(part.transpose(1, 3) if group.along_time else part, group, out.shape)
        out = out.index_add(0, torch.tensor(rows, device=out.device), part, alpha=-1)
    return out


class _CompiledBands(torch.autograd.Function):
    """`pooled_bands` in C; backward computes the band signals again."""

    @staticmethod
    def forward(ctx, groups, *tensors):
        ctx.call = _Call(groups)
        outs = ctx.call.forward()
        ctx.wanted = [i for i in range(len(groups)) if any(ctx.needs_input_grad[1 + 2 * i :][:2])]
        learned = {groups[i].accumulator for i in ctx.wanted}
        ctx.mark_non_differentiable(*(out for key, out in outs.items() if key not in learned))
        return tuple(outs.values())

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, *grads):
        of_tensors = [None] * (2 * len(ctx.call.accumulators))
        for i, of_group in zip(ctx.wanted, ctx.call.backward(grads, ctx.wanted), strict=True):
            of_tensors[2 * i : 2 * i + 2] = of_group
        return None, *of_tensors


class _Call:
    """C structures of several groups of bands, and the tensors that they point to.

    Arguments
    ---------
    groups : list of Bands
        By rising stage.
    """

    def __init__(self, groups: Sequence[Bands]):
        self.accumulators = [group.accumulator for group in groups]
        #: The members of each group's structure, which keep their tensors alive.
        self.members = [_members(group) for group in groups]
        self.structures = backend.structures("bands", self.members)

    def forward(self) -> dict[Accumulator, torch.Tensor]:
        """The tensor (outputs, clips, frames) of each different accumulator."""
        outs = {
            key: torch.empty(key.outputs, key.clips, key.frames, **_FLOATS)
            for key in self.accumulators
        }
        for structure, key in zip(self.structures, self.accumulators, strict=True):
            backend.set_pointer(structure, "out", outs[key])
        backend.call("pool_bands", first=self.structures, number=len(self.members))
        return outs

    def backward(self, grads: Sequence[torch.Tensor], wanted: Sequence[int]) -> list[tuple]:
        """Gradients of responses and weights of the `wanted` groups, from those of `forward`."""
        grads = [grad.contiguous() for grad in grads]
        outs = dict(zip(dict.fromkeys(self.accumulators), grads, strict=True))
        results, kept = [], []
        for i in wanted:
            backend.set_pointer(self.structures[i], "out", outs[self.accumulators[i]])
            for name in ("responses", "weights"):
                # One for each part of the rows; C sums them into the first.
                tensor = self.members[i][name]
                kept.append(tensor.new_empty(self.members[i]["parts"], *tensor.shape))
                backend.set_pointer(self.structures[i], f"grad_{name}", kept[-1])
            results.append((kept[-2][0], kept[-1][0]))
        first = backend.structures("bands", [self.structures[i] for i in wanted])
        backend.call("pool_bands_backward", first=first, number=len(wanted))
        return results


def _members(group: Bands) -> dict:
    """The members of a group's structure that do not depend on the direction."""
    total, channels = group.accumulator, group.all_channels
    (filters, size), (_, count, rate) = group.responses.shape, group.weights.shape
    spectra, rows, valid = group.spectra, len(group.spectra), group.valid
    assert rate * group.segments == size and count % group.span == 0
    assert min(group.starts) >= 0 and max(group.starts) + size <= spectra.bins
    assert rows % total.clips == 0 and min(channels) >= 0
    assert max(channels) + (1 if group.along_time else group.outputs) <= total.outputs
    if spectra.picked is None:
        source = {"spectra": spectra.packed}
    else:
        source = {"half": spectra.half, "picked": spectra.picked}
        source["half_bins"] = spectra.half.shape[1]
    first_frame = group.first_frame
    return {
        **source,
        "responses": group.responses.detach().resolve_conj().contiguous(),
        "weights": group.weights.detach().contiguous(),
        "starts": torch.tensor(group.starts, dtype=torch.int64, device="cpu"),
        "valid": None if valid is None else valid.clamp(0, size).contiguous(),
        "roots": backend.roots(size),
        "channels": torch.tensor(channels, dtype=torch.int64, device="cpu"),
        "first_frame": None if first_frame is None else first_frame.contiguous(),
        **{"rows": rows, "bins": spectra.bins, "filters": filters, "size": size},
        **{"segments": group.segments, "real_size": spectra.size, "lowest": spectra.lowest},
        **{"count": count, "span": group.span, "frames": group.frames or group.segments},
        **{"clips": total.clips, "limit": total.frames},
        **{"stage": group.stage, "along_time": group.along_time},
        **{"rectifier": list(RECTIFIERS).index(group.rectifier), "paired": group.paired},
        "parts": min(-(-rows // LANES), -(-_PIECES // filters)),
    }
