"""Promises about batches, padding, extreme signals, precision and rates."""

import torch

from ..layers.masks import valid_lengths
from .subject import (
    BF16_TOLERANCE,
    PARTS,
    RATE_HZ,
    SAMPLES,
    Subject,
    promise,
    require,
    require_built_for,
    require_finite,
    require_finite_gradients,
    require_same,
    require_shape,
    shape_of,
)


@promise("frontend", "encoder", title="padding does not change what is valid")
def padding(subject: Subject) -> None:
    lobe = subject.build().eval()
    x = subject.batch()
    sizes = [round(part * subject.size) for part in PARTS]
    lengths = torch.tensor(sizes) / subject.size
    if subject.kind == "frontend":
        got = valid_lengths(lobe.frame_lengths(lengths, subject.size), lobe.num_frames(x.shape[1]))
        want = [lobe.num_frames(size) for size in sizes]
        require(got.tolist() == want, f"frame_lengths {got.tolist()}, not {want}", "correct it")
    noise = 3 * subject.batch(seed=9)
    filled = {"zeros": x.clone(), "noise": x.clone()}
    for item, size in enumerate(sizes):
        filled["zeros"][item, size:] = 0
        filled["noise"][item, size:] = noise[item, size:]
    foreign = ""
    if subject.kind == "encoder":
        foreign = "; a net that knows no lengths: per_item or masked_inside of lobes.layers.foreign"
    got = {filling: lobe(padded, lengths) for filling, padded in filled.items()}
    for item, size in enumerate(sizes):
        steps = lobe.num_frames(size)
        what = f"item of {size} in a batch of {subject.size} with lengths"
        require_same(
            got["noise"][item, :steps],
            got["zeros"][item, :steps],
            subject.tolerance,
            f"{what}, padded with noise against zeros",
            "call mask_padding(x, lengths) first, and give lengths to whatever looks across time"
            + foreign,
        )
        if subject.takes(lobe, size):
            require_same(
                got["zeros"][item, :steps],
                lobe(x[item : item + 1, :size])[0],
                subject.tolerance,
                f"{what} against alone and unpadded",
                "let nothing depend on the padded length: fixed left padding, zeros behind the "
                "end, mask again after every layer that looks across time" + foreign,
            )


@promise("frontend", "encoder", title="a batch gives what a loop over its items gives")
def batch_equals_loop(subject: Subject) -> None:
    lobe = subject.build().eval()
    x = subject.batch() * torch.tensor([1.0, 0.1, 3.0]).view(-1, *[1] * (subject.batch().dim() - 1))
    require_same(
        lobe(x),
        torch.cat([lobe(item[None]) for item in x]),
        subject.tolerance,
        "items together against one by one",
        "compute nothing (maximum, mean, reference level) over the batch axis in eval mode",
    )


@promise("frontend", title="finite, with finite gradients, on silence, DC, full scale, an instant")
def finite(subject: Subject) -> None:
    do = "add a floor before log, division and sqrt (the gradient of sqrt at 0 is infinite)"
    lobe = subject.build().train()
    ramp = torch.arange(SAMPLES)
    signals = {
        "silence": torch.zeros(SAMPLES),
        "DC": torch.full((SAMPLES,), 0.5),
        "a full-scale square wave": (ramp // 40 % 2 * 2 - 1).float(),
        "a full-scale click": (ramp == 2000).float(),
        "one sample more than a window": subject.batch(lobe.window + 1)[0],
    }
    for name, signal in signals.items():
        lobe.zero_grad()
        output = lobe(torch.stack([signal, signal]))
        require_finite(output, f"output on {name}", do)
        require_finite_gradients(lobe, output, f"on {name}", do)
    _shortest(lobe, torch.full((1, 1), 0.1), lobe.num_features, "on one sample", do)


def _shortest(lobe, clip: torch.Tensor, width: int, what: str, do: str) -> None:
    try:
        output = lobe.eval()(clip)
    except ValueError:
        return  # a clear refusal is an answer
    require_shape(
        output,
        (len(clip), lobe.num_frames(1), width),
        f"{what}, where num_frames and the width say",
        "raise ValueError naming the shortest clip, or follow num_frames",
    )
    require_finite(output, f"output {what}", do)


@promise(
    "encoder",
    title="finite, with finite gradients, on zeros, constants and large values",
    name="finite",
)
def encoder_finite(subject: Subject) -> None:
    do = "add a floor before log, division and sqrt; mask with large numbers, not with infinity"
    x = subject.batch()
    inputs = {"zeros": 0 * x, "a constant": 0 * x + 7, "values of 1e3": 1e3 * x}
    for name, values in inputs.items():
        for training in (True, False):
            lobe = subject.build().train(training)
            output = lobe(values)
            require_finite(output, f"output on {name} ({'train' if training else 'eval'})", do)
            if training:
                require_finite_gradients(lobe, output, f"on {name}", do)
    lobe = subject.build()
    if subject.takes(lobe, 1):
        _shortest(lobe, x[:, :1], lobe.out_features, "on one frame", do)


@promise("frontend", "encoder", title="bfloat16 autocast works, with filters built in float32")
def bf16(subject: Subject) -> None:
    do = "build filters and sum energies inside torch.autocast(device_type, enabled=False)"
    lobe = subject.build().eval()
    x = subject.batch()
    want = lobe(x).detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = lobe(x)
    require_finite(got, "output", do)
    off = ((got.float() - want).square().mean() / want.var(correction=0).clamp(min=1e-24)).sqrt()
    require(
        off <= BF16_TOLERANCE,
        f"differs from float32 by {off:.2g} of the output's standard deviation (root mean "
        f"square), allowed {BF16_TOLERANCE}",
        do,
    )
    lobe.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = lobe(x)
    for name, p in lobe.named_parameters():
        require(p.dtype == torch.float32, f"{name} became {p.dtype}", "cast copies, not .data")
    require_finite_gradients(lobe, output, "under autocast", do)


@promise("frontend", title="works at 8, 16 and 22.05 kHz, with parameters scaled to the rate")
def rates(subject: Subject) -> None:
    hop_s = subject.build().hop / RATE_HZ
    for rate_hz in (8000, 22050):
        lobe = subject.build(rate_hz).eval()
        size = rate_hz // 4 + 1
        require_built_for(lobe, "sample_rate", rate_hz, " Hz")
        # A hop of one sample is the waveform itself; any other is a duration.
        require(
            lobe.hop == 1 or abs(lobe.hop / rate_hz / hop_s - 1) < 0.1,
            f"a hop of {1e3 * lobe.hop / rate_hz:.2f} ms at {rate_hz} Hz and {1e3 * hop_s:.2f} ms "
            f"at {RATE_HZ} Hz",
            "give durations in ms and turn them into samples with sample_rate",
        )
        output = lobe(subject.batch(size, items=2))
        require_shape(
            output,
            (2, lobe.num_frames(size), lobe.num_features),
            f"at {rate_hz} Hz where num_frames and num_features declare",
            "compute hop and window from sample_rate",
        )
        require_finite(output, f"output at {rate_hz} Hz", "keep frequencies below sample_rate / 2")


@promise("encoder", title="takes any number of features, or declares which it cannot take")
def feature_counts(subject: Subject) -> None:
    for features in (20, 80):
        why = subject.unfit(features, subject.frames) if subject.unfit else None
        if why:
            require(isinstance(why, str), f"unfit() gave {why!r}", "return a sentence or None")
            continue
        lobe = subject.build(features, subject.frames).train()
        output = lobe(subject.batch(features=features))
        require_finite(output, f"output for {features} features", "see the promise `finite`")
        require(
            output.shape[-1] == lobe.out_features and lobe.in_features == features,
            f"in_features {lobe.in_features} and output {shape_of(output)} when built for {features}",
            "derive every size from in_features, or name the misfit in the classmethod unfit()",
        )
