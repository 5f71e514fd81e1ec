"""The energy engine: the direct form against its definition, every other form against it."""

import copy
import pickle

import pytest
import torch

from auricle.processing.filterbank.engine import (
    EnergyEngine,
    corrections,
    plan,
    pooled_bands_torch,
)
from auricle.processing.filterbank.engine.direct import direct_energy
from auricle.processing.filterbank.framing import frame_count, frame_offset
from auricle.processing.filterbank.shapes import (
    gabor_taps,
    gaussian_lowpass,
    leaf_initial_values,
)

HOP, WINDOW, FLOOR = 160, 401, 1e-5


def noise(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(*shape, generator=generator, dtype=torch.float64)


def every_fifth_filter(scale=1.0):
    """Eight of LEAF's forty initial filters, from the truncated first to the shortest."""
    centre, width = leaf_initial_values(40, 16000, 60.0, 7800.0)
    return centre[::5].double(), (width[::5].double() * scale).clamp(1.5, 150.0)


def leaf_filters(scale=1.0):
    pool = gaussian_lowpass(torch.full((8,), 0.4, dtype=torch.float64), WINDOW)
    return gabor_taps(*every_fifth_filter(scale), WINDOW), pool


def deviation(found, expected):
    """Largest relative deviation of any frame and channel, as LEAF sees it: above its floor."""
    found, expected = found.detach().clamp(min=FLOOR), expected.detach().clamp(min=FLOOR)
    return ((found - expected).abs() / expected).max().item()


def by_definition(wavs, taps, pool, hop, offset):
    """Four nested sums over plain numbers."""
    wavs, half = wavs.tolist(), (taps.shape[2] - 1) // 2
    out = torch.zeros(len(wavs), frame_count(len(wavs[0]), hop), len(taps), dtype=torch.float64)
    for item, wav in enumerate(wavs):
        for n in range(len(taps)):
            squares = []
            for t in range(len(wav)):
                square = 0.0
                for part in taps[n].tolist():
                    around = range(max(0, t - half), min(len(wav), t + half + 1))
                    square += sum(wav[s] * part[s - t + half] for s in around) ** 2
                squares.append(square)
            for frame in range(out.shape[1]):
                for k, weight in enumerate(pool[n].tolist()):
                    position = hop * frame - offset + k
                    if 0 <= position < len(wav):
                        out[item, frame, n] += weight * squares[position]
    return out


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("frame_centre", ["centered", "tf_same"])
@pytest.mark.parametrize("num_samples", [3, 29, 30])
def test_direct_form_is_the_definition(parts, frame_centre, num_samples):
    generator = torch.Generator().manual_seed(0)
    wavs = torch.randn(2, num_samples, generator=generator, dtype=torch.float64)
    taps = torch.randn(3, parts, 9, generator=generator, dtype=torch.float64)
    pool = torch.rand(3, 7, generator=generator, dtype=torch.float64)
    offset = frame_offset(num_samples, 7, 5, frame_centre)
    out = direct_energy(wavs, taps, pool, 5, offset)
    torch.testing.assert_close(out, by_definition(wavs, taps, pool, 5, offset))


CASES = [(201, None), (401, None), (1601, (1601, 700)), (9000, None), (24011, (24011, 11000))]


@pytest.mark.parametrize("frame_centre", ["centered", "tf_same"])
@pytest.mark.parametrize("num_samples, ends", CASES)
@pytest.mark.parametrize(
    "backend, dtype, bound",
    [
        ("full_rate", torch.float64, 1e-9),
        ("full_rate", torch.float32, 1e-5),
        ("decimated", torch.float64, 1e-4),
        ("decimated", torch.float32, 1e-4),  # compiled, where there is a compiler
    ],
)
def test_fast_forms_equal_the_direct_form(backend, dtype, bound, num_samples, ends, frame_centre):
    wavs, (taps, pool) = noise(2, num_samples), leaf_filters()
    num_valid = None
    if ends is not None:
        num_valid = torch.tensor(ends)
        wavs = wavs * (torch.arange(num_samples) < num_valid[:, None])
    offset = frame_offset(num_samples, WINDOW, HOP, frame_centre)
    expected = direct_energy(wavs, taps, pool, HOP, offset, num_valid)
    single = (one.to(dtype) for one in (wavs, taps, pool))
    found = EnergyEngine(HOP, backend)(*single, offset, num_valid, FLOOR)
    assert found.shape == expected.shape and found.dtype == dtype
    assert deviation(found, expected) < bound


DTYPES = [torch.float64, torch.float32]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "scale, hop, window",
    [(0.25, 160, 401), (0.5, 160, 401), (2, 160, 401), (1, 80, 201), (1, 220, 551), (1, 7, 31)],
)
def test_decimation_fits_other_widths_hops_and_windows(scale, hop, window, dtype):
    centre, width = every_fifth_filter(scale)
    taps = gabor_taps(centre, width * window / WINDOW, window)
    pool = gaussian_lowpass(torch.full((8,), 0.4, dtype=torch.float64), window)
    wavs, offset = noise(2, 100 * hop), (window - 1) // 2
    single = (one.to(dtype) for one in (wavs, taps, pool))
    found = EnergyEngine(hop, "decimated")(*single, offset, floor=FLOOR)
    assert deviation(found, direct_energy(wavs, taps, pool, hop, offset)) < 1e-4


def test_decimation_saves_work():
    taps, _ = leaf_filters()
    found = plan.make_plan(taps, HOP)
    assert found.rates[0] == HOP  # a Gaussian that its window truncates
    assert max(found.rates[2:]) <= HOP // 4
    assert found.cost < 0.3 * len(taps)


@pytest.fixture
def burst():
    """A quiet low band under a loud burst of high frequencies: what a band leaves out counts."""
    spectrum = torch.fft.rfft(noise(1, 16000))
    spectrum[:, :3000] *= 1e-4
    loud = 30 * torch.fft.irfft(spectrum)
    loud[:, :6000] *= 1e-4
    return loud + 0.01 * noise(1, 16000, seed=1)


def low_truncated_filter():
    centre = torch.tensor([0.1], dtype=torch.float64)
    taps = gabor_taps(centre, torch.tensor([64.0], dtype=torch.float64), WINDOW)
    return taps, gaussian_lowpass(torch.full((1,), 0.4, dtype=torch.float64), WINDOW)


def test_blocks_that_lose_too_much_are_done_again(burst, monkeypatch):
    taps, pool = low_truncated_filter()
    expected = direct_energy(burst, taps, pool, HOP, 200)
    engine = EnergyEngine(HOP, "decimated")
    assert deviation(engine(burst, taps, pool, 200, floor=FLOOR), expected) < 1e-4
    assert engine.plan(taps).rates[0] < HOP
    engine.forget()
    monkeypatch.setattr(corrections, "MAX_LOST", float("inf"))
    assert deviation(engine(burst, taps, pool, 200, floor=FLOOR), expected) > 1e-4


@pytest.mark.slow
def test_what_is_done_again_goes_to_its_place(burst):
    """Several filters, blocks and items, of which a few are too quiet, one at an end."""
    centre = torch.tensor([0.1, 2.0, 0.15], dtype=torch.float64)
    width = torch.tensor([64.0, 20.0, 64.0], dtype=torch.float64)
    taps = gabor_taps(centre, width, WINDOW)
    pool = gaussian_lowpass(torch.full((3,), 0.4, dtype=torch.float64), WINDOW)
    wavs = torch.cat([noise(1, 24000), burst, noise(1, 3000)], dim=1).repeat(2, 1)
    wavs[0, 40123:] = 0.0
    ends = torch.tensor([40123, 43000])
    expected = direct_energy(wavs, taps, pool, HOP, 200, ends)
    engine = EnergyEngine(HOP, "decimated")
    found = engine(wavs, taps, pool, 200, ends, FLOOR)
    assert max(engine.plan(taps).rates) < HOP
    assert deviation(found, expected) < 1e-4


@pytest.mark.parametrize("call_samples", [0, 10**9])
def test_both_ways_to_cut_a_band_are_equal(call_samples, monkeypatch):
    wavs, (taps, pool) = noise(2, 9000), leaf_filters()

    def run():
        inputs = [value.clone().requires_grad_() for value in (wavs, taps, pool)]
        energy = EnergyEngine(HOP, "decimated")(*inputs, 200)
        return [energy, *torch.autograd.grad(energy.square().sum(), inputs)]

    expected = run()
    monkeypatch.setattr(pooled_bands_torch, "CALL_SAMPLES", call_samples)
    for found, one in zip(run(), expected, strict=True):
        torch.testing.assert_close(found, one, rtol=1e-12, atol=1e-18)


def test_kept_edges_belong_to_their_length():
    """Clips of as many frames share a bank, but not what lies behind their ends."""
    wavs, (taps, pool) = noise(2, 16000), leaf_filters()
    engine = EnergyEngine(HOP, "decimated")
    with torch.no_grad():
        for num_samples in (16000, 15901, 16000, 15950):
            kernels = engine.frozen((taps,), lambda: (taps, pool))
            found = engine(wavs[:, :num_samples], *kernels, 200)
            expected = EnergyEngine(HOP, "decimated")(wavs[:, :num_samples], taps, pool, 200)
            assert torch.equal(found, expected)
        assert len(engine._frozen.banks) == 1


@pytest.mark.parametrize("rectifier", ["square", "abs", "leaky_relu"])
@pytest.mark.parametrize("filters, parts", [(3, 1), (2, 2)])
def test_full_rate_takes_any_filter_and_rectifier(rectifier, filters, parts):
    wavs, taps, pool = noise(2, 900), noise(filters, parts, 41, seed=1), noise(filters, 33, seed=2)
    num_valid = torch.tensor([900, 333])
    wavs = wavs * (torch.arange(900) < num_valid[:, None])
    for ends in (None, num_valid):
        expected = direct_energy(wavs, taps, pool, 12, 16, ends, rectifier)
        found = EnergyEngine(12, "auto", rectifier)(wavs, taps, pool, 16, ends)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.long
@pytest.mark.parametrize("rectifier, parts", [("square", 2), ("abs", 1), ("leaky_relu", 2)])
def test_full_rate_gradients(rectifier, parts):
    inputs = noise(2, 61), noise(2, parts, 9, seed=1), noise(2, 7, seed=2)
    num_valid = torch.tensor([61, 30])
    engine = EnergyEngine(5, "full_rate", rectifier)
    inputs = [value.requires_grad_() for value in inputs]

    def run(wavs, taps, pool):
        return engine(wavs, taps, pool, 3, num_valid)

    assert torch.autograd.gradcheck(run, inputs)


@pytest.mark.parametrize("dtype", DTYPES)
def test_decimated_gradients(dtype):
    """Of the input and of every learned value, against the direct form in float64."""
    centre, width = every_fifth_filter()
    pooling = torch.full((8,), 0.4, dtype=torch.float64)
    wavs, num_valid = noise(2, 9000), torch.tensor([9000, 5000])
    inside = torch.arange(9000) < num_valid[:, None]

    def gradients(backend, dtype):
        inputs = [v.detach().to(dtype).requires_grad_() for v in (wavs, centre, width, pooling)]
        taps, pool = gabor_taps(*inputs[1:3], WINDOW), gaussian_lowpass(inputs[3], WINDOW)
        masked = inputs[0] * inside
        energy = EnergyEngine(HOP, backend)(masked, taps, pool, 200, num_valid, FLOOR)
        return torch.autograd.grad(energy.clamp(min=FLOOR).log().square().sum(), inputs)

    for found, expected in zip(
        gradients("decimated", dtype), gradients("direct", torch.float64), strict=True
    ):
        assert (found - expected).norm() < 3e-5 * expected.norm()


@pytest.mark.slow
def test_the_plan_follows_filters_while_they_learn():
    """Widths shrink fourfold and grow back in 16 steps; no step leaves the bound."""
    wavs, engine = noise(1, 4000), EnergyEngine(HOP, "decimated")
    pool = gaussian_lowpass(torch.full((8,), 0.4, dtype=torch.float64), WINDOW)
    centre, width = every_fifth_filter()
    width, costs = width.requires_grad_(), []
    for step in range(16):
        taps = gabor_taps(centre, width, WINDOW)
        found = engine(wavs, taps, pool, 200, floor=FLOOR)
        costs.append(engine.plan(taps).cost)
        assert deviation(found, direct_energy(wavs, taps, pool, HOP, 200)) < 1e-4
        (gradient,) = torch.autograd.grad(found.sum(), width)
        assert gradient.isfinite().all()
        with torch.no_grad():
            width *= 0.25 ** (1 / 8) if step < 8 else 4 ** (1 / 8)
    assert max(costs) > 1.5 * costs[0]
    assert costs[-1] < 0.7 * max(costs)


def test_a_plan_that_does_not_fit_is_seen():
    taps, _ = leaf_filters()
    found = plan.make_plan(taps, HOP)
    assert bool(plan.fits(found, taps))
    assert not bool(plan.fits(found, leaf_filters(0.8)[0]))
    centre, width = every_fifth_filter()
    assert not bool(plan.fits(found, gabor_taps(centre + 0.05, width, WINDOW)))
    # A Gaussian that became too wide for its window is narrow, but leaks everywhere.
    narrow, wide = (
        gabor_taps(torch.tensor([0.5]), torch.tensor([width]), WINDOW) for width in (40.0, 70.0)
    )
    assert not bool(plan.fits(plan.make_plan(narrow, HOP), wide))


def test_memory_does_not_hold_the_filtered_signals():
    centre, width = (value[1:].float().requires_grad_() for value in every_fifth_filter())
    pool = gaussian_lowpass(torch.full((7,), 0.4), WINDOW)

    def held_per_sample(backend):
        """Bytes that wait for backward, per sample of a clip of whole blocks."""
        sizes = []
        for num_samples in (32000, 64000):
            held = {}

            def count(tensor, held=held):
                storage = tensor.untyped_storage()
                held[storage.data_ptr()] = storage.nbytes()
                return tensor

            taps = gabor_taps(centre, width, WINDOW)
            with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
                wavs = noise(2, num_samples).float()
                energy = EnergyEngine(HOP, backend)(wavs, taps, pool, 200)
            del energy
            sizes.append(sum(held.values()))
        return (sizes[1] - sizes[0]) / (2 * 32000)

    filtered = 2 * 7 * 4
    assert held_per_sample("direct") > filtered
    assert held_per_sample("decimated") < filtered / 3


def test_what_is_not_kept_is_computed_again(monkeypatch):
    wavs, (taps, pool) = noise(2, 9000), leaf_filters()

    def run():
        inputs = [value.clone().requires_grad_() for value in (wavs, taps, pool)]
        energy = EnergyEngine(HOP, "decimated")(*inputs, 200)
        return torch.autograd.grad(energy.square().sum(), inputs)

    kept = run()
    monkeypatch.setattr(pooled_bands_torch, "KEEP_BYTES", 0)
    for again, first in zip(run(), kept, strict=True):
        torch.testing.assert_close(again, first, rtol=1e-12, atol=0)


@pytest.mark.parametrize("num_samples", [1, 150])
def test_clips_shorter_than_half_a_filter_are_exact(num_samples):
    """Their tails outweigh them: taking tails away would leave rounding errors."""
    wavs, (taps, pool) = noise(2, num_samples).float(), leaf_filters()
    taps, pool = taps.float(), pool.float()
    expected = direct_energy(wavs, taps, pool, HOP, 200)
    assert torch.equal(EnergyEngine(HOP)(wavs, taps, pool, 200), expected)


def test_learned_taps_are_not_decimated():
    taps, pool = leaf_filters()
    wavs = noise(1, 4000)
    engine = EnergyEngine(HOP)
    expected = torch.autograd.grad(
        direct_energy(wavs, taps.requires_grad_(), pool, HOP, 200).sum(), taps
    )[0]
    found = torch.autograd.grad(engine(wavs, taps, pool, 200).sum(), taps)[0]
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)


def test_frozen_filters_are_kept_until_they_change():
    centre, width = (torch.nn.Parameter(value.float()) for value in every_fifth_filter())
    wavs, engine = noise(1, 8000).float(), EnergyEngine(HOP)

    def build():
        return gabor_taps(centre, width, WINDOW), gaussian_lowpass(torch.full((8,), 0.4), WINDOW)

    def run():
        return engine(wavs, *engine.frozen((centre, width), build), 200)

    with torch.no_grad():
        first = run()
        assert engine.frozen((centre, width), build)[0] is engine.frozen((centre, width), build)[0]
        assert torch.equal(run(), first)
        width.mul_(0.9)
        changed = run()
        assert not torch.equal(changed, first)
        expected = EnergyEngine(HOP)(wavs, *build(), 200)
        torch.testing.assert_close(changed, expected, rtol=1e-5, atol=1e-9)
        for other in (copy.deepcopy(engine), pickle.loads(pickle.dumps(engine))):
            assert other._frozen is None and other.backend == engine.backend
    taps, _ = engine.frozen((centre, width), build)
    assert taps.requires_grad  # training is never given what was kept


def test_wrong_choices_are_named():
    with pytest.raises(ValueError, match="backend must be one of"):
        EnergyEngine(HOP, "quick")
    with pytest.raises(ValueError, match="only squares can be decimated"):
        EnergyEngine(HOP, "decimated", "abs")
