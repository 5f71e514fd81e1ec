"""The engine's compiled inner loop against the torch operators that say the same."""

import math
from dataclasses import replace

import pytest
import torch

from auricle.lobes import build_frontend
from auricle.processing.filterbank.engine import EnergyEngine
from auricle.processing.filterbank.engine import pooled_bands as module
from auricle.processing.filterbank.engine.backend import takes
from auricle.processing.filterbank.engine.bank import BandedBank
from auricle.processing.filterbank.engine.pooled_bands import Bands, pooled_bands
from auricle.processing.filterbank.engine.pooled_bands_torch import LEAKY_SLOPE
from auricle.processing.filterbank.engine.spectra import BlockSpectra, Spectra, make_blocks
from auricle.processing.filterbank.shapes import gabor_taps, gaussian_lowpass

BOUND = 2e-6
#: Where there is no compiler, everything below compares the torch operators with themselves.
COMPILED = takes(torch.ones(1))
FORMS = {True: "_CompiledBands", False: "_PooledBands"}
RECTIFIERS = ["square", "abs", "leaky_relu"]
SIZES = [*range(1, 34), 35, 45, 77, 99, 243, 256, 1080, 1620, 4860]


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def spectra_of(rows, bins, seed=0):
    return Spectra(noise(rows, bins, seed=seed, dtype=torch.complex64))


def some_ends(rows, size):
    """Ends that differ from row to row: nothing, everything, beyond the ends, and in between."""
    begin = (torch.arange(rows) * 5) % (size + 1) - 1
    return torch.stack([begin, begin + 1 + (torch.arange(rows) * 7) % (size + 2)], dim=1)


def random_bands(size, rows=9, segments=1, count=2, filters=3, seed=0, **others):
    others.setdefault("spectra", spectra_of(rows, size + 6, seed))
    others.setdefault("starts", [2 * n for n in range(filters)])
    return Bands(
        responses=noise(filters, size, seed=seed + 1, dtype=torch.complex64) / size,
        weights=noise(filters, count, size // segments, seed=seed + 2),
        segments=segments,
        **others,
    )


def away_from_zero(size, rows, **others):
    """Bands whose signals' parts are never near 0, where a rounding error changes a slope.

    The filters shift the signals in time, and turn them by right angles.
    """
    generator = torch.Generator().manual_seed(size + rows)
    parts = 0.5 + torch.rand(rows, size, 2, generator=generator, dtype=torch.float64)
    parts *= torch.randint(0, 2, parts.shape, generator=generator) * 2 - 1
    inside = torch.fft.fft(torch.view_as_complex(parts))
    spectra = torch.cat([noise(rows, 2, dtype=torch.complex128), inside], 1).to(torch.complex64)
    shift, factor = torch.tensor([[1.0], [3.0]]), torch.tensor([[1.0], [0.7j]])
    turn = shift.double() * torch.arange(size) % size * (2 * math.pi / size)
    responses = torch.polar(torch.ones_like(turn), turn) * factor / size
    made = random_bands(size, filters=2, starts=[2, 2], spectra=Spectra(spectra), **others)
    return replace(made, responses=responses.to(torch.complex64))


def with_leaves(every):
    """Copies whose responses and weights are leaves that want gradients."""
    return [
        replace(
            some,
            responses=some.responses.detach().clone().requires_grad_(),
            weights=some.weights.detach().clone().requires_grad_(),
        )
        for some in every
    ]


def loss(outputs):
    return sum((noise(*out.shape, seed=9) * out).sum() for out in outputs)


def form_of(out):
    """The autograd function that made it, behind changes of shape."""
    node = out.grad_fn
    while not type(node).__name__.startswith("_"):
        node = node.next_functions[0][0]
    return type(node).__name__.removesuffix("Backward")


def run(every, compiled):
    """(outputs, gradient of the responses, gradient of the weights) of each."""
    every = [replace(some, compiled=compiled) for some in with_leaves(every)]
    outputs = pooled_bands(every)
    assert {form_of(out) for out in outputs} == {FORMS[compiled]}
    loss(outputs).backward()
    return [
        (out.detach(), some.responses.grad, some.weights.grad)
        for out, some in zip(outputs, every, strict=True)
    ]


def both(every):
    """Results of the compiled form and of the torch operators for a list of bands."""
    return run(every, COMPILED), run(every, False)


def deviation(found, expected):
    """Norm of the difference, relative to the norm; of NaN and infinity, infinity."""
    assert found.shape == expected.shape and found.dtype == expected.dtype
    if not (found.isfinite().all() and expected.isfinite().all()):
        return math.inf
    size = expected.norm().item()
    return (found - expected).norm().item() / size if size else found.norm().item()


def assert_same(found, expected, bound=BOUND):
    worst = [
        [deviation(*two) for two in zip(*one, strict=True)]
        for one in zip(found, expected, strict=True)
    ]
    assert max(map(max, worst)) < bound, worst


def by_definition(some):
    """Sums of squares in float64, one filter and one row at a time."""
    size, rate = some.responses.shape[1], some.weights.shape[2]
    out = []
    for n, start in enumerate(some.starts):
        cut = some.spectra.rows[:, start : start + size].to(torch.complex128)
        signal = torch.fft.ifft(cut * some.responses[n].to(torch.complex128)) * size
        parts = torch.view_as_real(signal)
        rectified = {
            "square": parts.square(),
            "abs": parts.abs(),
            "leaky_relu": torch.where(parts > 0, parts, LEAKY_SLOPE * parts),
        }[some.rectifier]
        if some.valid is not None:
            place = torch.arange(size)
            inside = (place >= some.valid[:, :1]) & (place < some.valid[:, 1:])
            rectified = rectified * inside[..., None]
        pieces = rectified.view(len(cut), some.segments, rate, 2)
        weights = some.weights[n].double()
        if some.paired:
            real, imaginary = weights.chunk(2)
            every = [real @ pieces[..., 0].mT, imaginary @ pieces[..., 1].mT]
            sums = torch.cat(every, dim=1)
        else:
            sums = weights @ pieces.sum(3).mT
        if some.frames:  # (rows, J, segments) -> (rows, J / span, frames)
            windows = sums.unfold(2, some.frames, 1)[:, :, : some.span]
            groups = windows.view(len(cut), -1, some.span, some.span, some.frames)
            sums = groups.diagonal(dim1=2, dim2=3).sum(-1)
        out.append(sums.transpose(0, 1))
    return torch.stack(out)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_every_size_of_fft(size):
    segments = max(k for k in range(1, 7) if size % k == 0)
    # 17 rows: lanes that are all in use, and one row alone.
    for rows in (1, 8, 17) if size in (1, 8, 30) else (17,):
        variants = [
            {"rectifier": rectifier, "paired": paired, "valid": valid, "segments": segments}
            for rectifier in RECTIFIERS
            for paired in (False, True)
            for valid in (None, some_ends(rows, size))
        ]
        every = [away_from_zero(size, rows, **variant) for variant in variants]
        every += [
            random_bands(size, rows, **{**variant, "rectifier": "square"})
            for variant in variants[:4]
        ]
        found, expected = both(every)
        assert_same(found, expected)
        for some, (out, *_) in zip(every, found, strict=True):
            assert deviation(out, by_definition(some).float()) < BOUND


@pytest.mark.parametrize("rectifier", RECTIFIERS)
@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("with_valid", [False, True])
def test_frames_of_overlapping_segments(rectifier, paired, with_valid):
    valid = some_ends(9, 60) if with_valid else None
    every = [
        random_bands(
            *(60, 9, 12, outputs * span),
            **{"rectifier": rectifier, "paired": paired, "valid": valid},
            **{"span": span, "frames": frames, "seed": 10 * span + outputs},
        )
        for span, frames in [
            (1, 12),
            (1, 5),
            (2, 11),
            (3, 1),
            (4, 9),
            (5, 8),
            (5, 6),
            (6, 7),
            (7, 4),
        ]
        for outputs in ((2, 4) if paired else (1, 2, 3))
    ]
    found, expected = both(every)
    assert_same(found, expected)
    for some, (out, *_) in zip(every, found, strict=True):
        assert out.shape == (3, some.weights.shape[1] // some.span, 9, some.frames)
        assert deviation(out, by_definition(some).float()) < BOUND


@pytest.mark.parametrize("rectifier", RECTIFIERS)
@pytest.mark.parametrize("segments", [1, 12])
@pytest.mark.parametrize("with_valid", [False, True])
def test_any_number_of_weight_rows(rectifier, segments, with_valid):
    valid = some_ends(9, 60) if with_valid else None
    every = [
        random_bands(
            *(60, 9, segments, count),
            **{"rectifier": rectifier, "paired": paired, "valid": valid, "seed": 10 * count},
        )
        for paired in (False, True)
        for count in ((2, 4, 6, 8, 10, 12, 14) if paired else range(1, 8))
    ]
    found, expected = both(every)
    assert_same(found, expected)
    for some, (out, *_) in zip(every, found, strict=True):
        assert deviation(out, by_definition(some).float()) < BOUND


def test_only_some_of_several_bands_need_gradients():
    shared = spectra_of(17, 300)
    sizes = [(60, 12, 5), (7, 1, 1), (240, 12, 5), (16, 4, 2), (105, 5, 3)]
    every = [
        random_bands(size, 17, segments, count, seed=size, spectra=shared)
        for size, segments, count in sizes
    ]
    every[1] = random_bands(7, 3, 1, 1, seed=7)  # with spectra of its own
    wanted = [(0, "responses"), (2, "weights"), (3, "responses"), (3, "weights")]

    def gradients(compiled):
        some = [replace(one, compiled=compiled) for one in every]
        for i, name in wanted:
            tensor = getattr(every[i], name).clone().requires_grad_()
            some[i] = replace(some[i], **{name: tensor})
        outputs = pooled_bands(some)
        assert form_of(outputs[0]) == FORMS[compiled]
        # One that needs a gradient is not used.
        loss([outputs[i] for i in (4, 3, 1, 0)]).backward()
        found = [getattr(some[i], name).grad for i, name in wanted]
        for i, one in enumerate(some):
            for name in ("responses", "weights"):
                assert (i, name) in wanted or getattr(one, name).grad is None
        return [out.detach() for out in outputs], found

    outputs, found = gradients(COMPILED)
    plain_outputs, expected = gradients(False)
    for out, plain in zip(outputs, plain_outputs, strict=True):
        assert deviation(out, plain) < BOUND
    assert found[1] is None or not found[1].any()
    for i in (0, 2, 3):
        assert found[i].any() and deviation(found[i], expected[i]) < BOUND
    for out, some in zip(outputs, every, strict=True):
        (alone,) = pooled_bands([replace(some, compiled=COMPILED)])
        assert not alone.requires_grad and torch.equal(out, alone)


@pytest.mark.parametrize("size", [48, 49])
@pytest.mark.parametrize("lowest, beyond", [(0, 0), (-9, 0), (0, 11), (-9, 11), (-23, 23)])
def test_bins_of_real_rows_beyond_the_half_that_is_given(size, lowest, beyond):
    wavs = noise(17, size)
    spectra = Spectra(torch.fft.rfft(wavs), size, lowest, size // 2 + beyond)
    whole = torch.fft.fft(wavs.double())
    bins = torch.arange(lowest, size // 2 + beyond + 1)
    assert deviation(spectra.rows.to(torch.complex128), whole[:, bins % size]) < BOUND
    ends = [0, len(bins) - 20, (len(bins) - 20) // 2]
    found, expected = both([random_bands(20, segments=4, spectra=spectra, starts=ends)])
    assert_same(found, expected)


@pytest.mark.parametrize("size", [48, 49])
@pytest.mark.parametrize("count", [1, 8, 13])
def test_rows_that_are_picked(size, count):
    """In any order, some of them twice."""
    whole = Spectra(torch.fft.rfft(noise(17, size)), size, -9, size // 2 + 11)
    rows = (torch.arange(count) * 7) % 17
    some = {"segments": 4, "starts": [0, 5, whole.bins - 20], "rows": count}
    every = [
        random_bands(20, spectra=whole.pick(rows), valid=valid, **some)
        for valid in (None, some_ends(count, 20))
    ]
    plain = [replace(one, spectra=Spectra(whole.rows[rows])) for one in every]
    found, expected = both(every)
    assert_same(found, expected)
    assert_same(found, both(plain)[0], 1e-7)


def test_packed_spectra_are_the_rows_side_by_side():
    if not COMPILED:
        return  # there are none
    for rows in (1, 8, 17):
        for size in (48, 49, 1100):
            half = torch.fft.rfft(noise(rows, size))
            spectra = Spectra(half, size, -7, size // 2 + 5)
            groups, bins, *_ = spectra.packed.shape
            parts = torch.view_as_complex(spectra.packed.permute(0, 3, 1, 2).contiguous())
            assert (groups, bins) == (-(-rows // 8), size // 2 + 13)
            assert torch.equal(parts.flatten(0, 1)[:rows], spectra.rows)
            assert not parts.flatten(0, 1)[rows:].any()


@pytest.mark.parametrize("hop, window", [(160, 401), (25, 51), (22, 551)])
@pytest.mark.parametrize("samples", [300, 5000, 16001])
def test_spectra_of_blocks_are_those_of_the_cut_rows(hop, window, samples):
    """One block of a short clip, odd and even sizes, and clips that end inside of a block."""
    blocks = make_blocks(samples, hop, window, window, window // 2, 33)
    wavs = noise(7, samples)
    spectra = BlockSpectra(wavs, blocks, -9, blocks.size // 2 + 5)
    double = Spectra(torch.fft.rfft(blocks.cut(wavs.double())), blocks.size, -9, spectra.highest)
    assert len(spectra) == len(double.rows) == 7 * blocks.num_blocks
    assert deviation(spectra.rows, double.rows.to(torch.complex64)) < BOUND
    if COMPILED:
        fresh = BlockSpectra(wavs, blocks, -9, spectra.highest)
        parts = torch.view_as_complex(fresh.packed.permute(0, 3, 1, 2).contiguous()).flatten(0, 1)
        assert ("half" in fresh.__dict__) == (blocks.size % 2 == 1)
        assert deviation(parts[: len(spectra)], spectra.rows) < BOUND
        assert not parts[len(spectra) :].any()


@pytest.mark.parametrize("filters", [1, 3, 40])
def test_threads_change_no_bit(filters):
    every = [
        random_bands(
            size, 171, 12, 5, filters, seed=size, spectra=spectra_of(171, 6 + 2 * filters + size)
        )
        for size in (60, 24, 240)
    ]
    every.append(
        random_bands(
            *(60, 171, 12, 10, filters),
            **{"rectifier": "leaky_relu", "paired": True, "frames": 8, "span": 5},
            **{"valid": some_ends(171, 60), "spectra": spectra_of(171, 60 + 2 * filters)},
        )
    )
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for some in every:
                some.spectra.__dict__.pop("packed", None)
            found.append(run(every, COMPILED))
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*found, strict=True):
        if COMPILED:
            assert all(map(torch.equal, one, two))
        else:  # torch's own products depend on the threads
            assert_same([one], [two])


def test_a_gradient_of_the_spectra_takes_torch_operators():
    half = noise(9, 31, dtype=torch.complex64).requires_grad_()
    wavs = Spectra(half, 60, -5, 40)
    (some,) = with_leaves(
        [random_bands(24, 9, 4, 3, spectra=wavs, rectifier="square", frames=2, span=3)]
    )
    out, other = pooled_bands([some, random_bands(24, seed=3, compiled=COMPILED)])
    assert form_of(out) == "_PooledBands" and not other.requires_grad
    loss([out]).backward()
    double = half.detach().to(torch.complex128).requires_grad_()
    exact = replace(some, spectra=Spectra(double, 60, -5, 40))
    expected = torch.autograd.grad(
        loss([by_definition(exact)]), [double, some.responses, some.weights]
    )
    for found, one in zip(
        [half.grad, some.responses.grad, some.weights.grad], expected, strict=True
    ):
        assert deviation(found, one.to(found.dtype)) < BOUND
    assert not wavs.detach().half.requires_grad


@pytest.mark.parametrize("rectifier", RECTIFIERS)
@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_broken_row_stays_in_its_place(rectifier, broken):
    rows = noise(17, 70, dtype=torch.complex64)
    rows[11, 30] = broken
    for others in ({}, {"frames": 8, "span": 5}):
        every = [
            random_bands(
                *(60, 17, 12, 10),
                **{"rectifier": rectifier, "paired": paired, "spectra": Spectra(rows.clone())},
                **others,
            )
            for paired in (False, True)
        ]
        for out, *_ in [one for form in both(every) for one in form]:
            seen = ~out.isfinite()
            assert seen[:, :, 11].all()
            seen[:, :, 11] = False
            assert not seen.any()


FRONTENDS = {
    "leaf": ("leaf", {}, BOUND, 1e-5),
    "squares": ("sincnet_plus", {"rectifier": "square"}, BOUND, 1e-5),
    # Near zero leaky_relu's slope may be that of the other side.
    "leaky_relu": ("sincnet_plus", {"rectifier": "leaky_relu"}, BOUND, 1e-3),
    "odd": ("sincnet_plus", {"rectifier": "leaky_relu", "num_features": 7}, BOUND, 1e-3),
    "tdfbanks": ("tdfbanks", {}, BOUND, 1e-5),
}


@pytest.mark.parametrize("name, options, bound, gradient_bound", FRONTENDS.values(), ids=FRONTENDS)
@pytest.mark.parametrize("lengths", [None, torch.tensor([1.0, 0.47, 0.9])], ids=["whole", "padded"])
def test_whole_frontends(name, options, bound, gradient_bound, lengths, monkeypatch):
    torch.manual_seed(0)
    frontend = build_frontend(name, options={name: options})
    wavs, calls = 0.1 * noise(3, 12001), []
    if lengths is not None:
        wavs = wavs * (torch.arange(12001) < (lengths * 12001).round()[:, None])
    forward = module._Call.forward
    monkeypatch.setattr(module._Call, "forward", lambda call: calls.append(1) or forward(call))

    def run_frontend():
        frontend.zero_grad()
        feats = frontend(wavs, lengths)
        (noise(*feats.shape, seed=1) * feats).sum().backward()
        grads = {key: p.grad.clone() for key, p in frontend.named_parameters()}
        with torch.no_grad():
            return feats.detach(), frontend(wavs, lengths), grads

    feats, evaluated, grads = run_frontend()
    assert bool(calls) == COMPILED
    monkeypatch.setenv("AURICLE_COMPILED", "0")
    calls.clear()
    plain_feats, plain_evaluated, plain_grads = run_frontend()
    assert not calls
    assert deviation(feats, plain_feats) < bound
    assert deviation(evaluated, plain_evaluated) < bound
    worst = {key: deviation(grad, plain_grads[key]) for key, grad in grads.items()}
    assert len(worst) > 1 and max(worst.values()) < gradient_bound, worst


def test_frames_that_are_done_again(monkeypatch):
    """A quiet low band under a loud burst, in one of two clips, one of which ends early."""
    spectrum = torch.fft.rfft(noise(2, 30000))
    spectrum[:, :6000] *= 1e-4
    wavs = 3 * torch.fft.irfft(spectrum)
    wavs[:, :9000] *= 1e-4
    wavs[1, 12000:] *= 1e-4
    wavs += 1e-3 * noise(2, 30000, seed=1)
    ends = torch.tensor([30000, 20011])
    wavs *= torch.arange(30000) < ends[:, None]
    recomputed, calls = BandedBank._recomputed, []
    monkeypatch.setattr(
        BandedBank, "_recomputed", lambda *args: calls.append(1) or recomputed(*args)
    )

    def run_engine():
        centre = torch.tensor([0.1, 2.0, 0.15]).requires_grad_()
        width = torch.tensor([64.0, 20.0, 64.0]).requires_grad_()
        taps = gabor_taps(centre, width, 401)
        pool = gaussian_lowpass(torch.full((3,), 0.4), 401)
        energy = EnergyEngine(160, "decimated")(wavs, taps, pool, 200, ends, 1e-5)
        gradients = torch.autograd.grad(energy.clamp(min=1e-5).log().sum(), [centre, width])
        return energy.detach().clamp(min=1e-5).log(), *gradients

    found = run_engine()
    monkeypatch.setenv("AURICLE_COMPILED", "0")
    expected = run_engine()
    assert len(calls) == 2
    assert (found[0] - expected[0]).abs().max() < 1e-5
    for one, plain in zip(found[1:], expected[1:], strict=True):
        assert deviation(one, plain) < 1e-5
