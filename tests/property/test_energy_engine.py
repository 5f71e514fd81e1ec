"""The energy engine: the direct form against its own definition."""

import pytest
import torch

from auricle.processing.filterbank.energy import direct_energy
from auricle.processing.filterbank.framing import frame_count, frame_offset


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
