"""The LSTM under bfloat16 autocast on a processor without bfloat16."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from auricle.lobes.layers import recurrent


@pytest.fixture
def lstm(monkeypatch):
    monkeypatch.setattr(recurrent, "_has_bfloat16", lambda: False)
    torch.manual_seed(0)
    return recurrent.LSTM(6, 4, batch_first=True, bidirectional=True)


def plain(lstm):
    other = nn.LSTM(6, 4, batch_first=True, bidirectional=True)
    other.load_state_dict(lstm.state_dict())
    return other


def frames():
    return torch.randn(3, 7, 6, generator=torch.Generator().manual_seed(1))


def test_runs_in_float32_with_the_values_and_gradients_of_float32(lstm):
    x = frames()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, _ = lstm(x)
    expected, _ = plain(lstm)(x)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)
    found.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in lstm.parameters())


def test_takes_bfloat16_frames_a_state_and_packed_sequences(lstm):
    x, state = frames().bfloat16(), (torch.ones(2, 3, 4).bfloat16(), torch.zeros(2, 3, 4))
    packed = pack_padded_sequence(x, torch.tensor([7, 5, 2]), batch_first=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with_state, _ = lstm(x, state)
        of_packed, _ = lstm(packed)
    state = tuple(one.float() for one in state)
    assert torch.equal(with_state, plain(lstm)(x.float(), state)[0])
    assert torch.equal(of_packed.data, plain(lstm)(packed.to(torch.float32))[0].data)


def test_is_torchs_own_without_autocast(lstm):
    assert torch.equal(lstm(frames())[0], plain(lstm)(frames())[0])
