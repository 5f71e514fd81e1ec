"""Lost energy: the estimate and the flagged frames, in C and by torch operators."""

import math

import pytest
import torch

from auricle.processing.filterbank.engine.backend import takes
from auricle.processing.filterbank.engine.corrections import LOST_BANDS, MAX_LOST, lost_energy
from auricle.processing.filterbank.engine.spectra import make_blocks


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def some(filters=5, clips=3, frames=23):
    """Energies, loudness in wide bands that varies by 80 dB, and filters that leak differently."""
    wide = 10 ** (8 * uniform(LOST_BANDS, clips, frames, seed=1))
    power = 10 ** (-6 - 8 * uniform(2, filters, LOST_BANDS, seed=2))
    return 10 ** (6 * uniform(filters, clips, frames)), wide, power


def blocks(window=401, hop=160, frames=23):
    return make_blocks(frames * hop, hop, window, window, window // 2)


def both(*args):
    return lost_energy(*args, compiled=takes(args[0])), lost_energy(*args)


def by_definition(wide, power, window, hop, frames):
    """Frame by frame, in float64."""
    shift = (window - 1) / 2 / hop
    whole, part = int(shift), shift % 1
    reach = whole + 1
    padded = torch.nn.functional.pad(wide.double(), (reach, reach))
    lost, at_most = [], []
    for t in range(reach, reach + frames):
        ends = sum(
            (1 - part) * padded[..., t + sign * whole] + part * padded[..., t + sign * reach]
            for sign in (-1, 1)
        )
        lost.append(power[0].double() @ ends / 2)
        largest = padded[..., t - reach : t + reach + 1].amax(2)
        at_most.append(power[1].double() @ largest)
    return torch.stack(lost, 2), torch.stack(at_most, 2)


@pytest.mark.parametrize("window, hop", [(401, 160), (201, 160), (321, 160), (1001, 80)])
@pytest.mark.parametrize("frames", [1, 2, 23, 100])
def test_both_forms_are_the_definition(window, hop, frames):
    energy, wide, power = some(frames=frames)
    lost, at_most = by_definition(wide, power, window, hop, frames)
    limit = MAX_LOST * energy.double().clamp(min=300.0)
    sure = (at_most / limit - 1).abs() > 1e-4  # else rounding decides
    assert sure.float().mean() > 0.99
    for found, bad in both(energy, wide, power, blocks(window, hop, frames), 300.0):
        assert ((found - lost).abs() <= 1e-5 * lost).all()
        assert bad.dtype == torch.bool and torch.equal(bad[sure], (at_most > limit)[sure])


def test_no_frame_is_bad_where_the_floor_is_high():
    for lost, bad in both(*some(), blocks(), 1e12):
        assert bad is None and (lost > 0).all()


def test_numbers_that_are_none_stay_where_they_are():
    energy, wide, power = some(frames=40)
    energy[2, 1, 30], wide[3, 2, 20] = math.nan, math.nan
    for lost, bad in both(energy, wide, power, blocks(frames=40), 300.0):
        broken = ~lost.isfinite()
        # The ends of a filter are 1.25 hops away.
        assert torch.equal(broken.any(0).nonzero()[:, 1], torch.tensor([18, 19, 21, 22]))
        assert broken[:, 2].any() and not broken[:, :2].any()
        assert not bad[2, 1, 30]
