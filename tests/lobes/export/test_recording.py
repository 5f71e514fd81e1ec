"""A graph that is recorded for any size is one, and what depends on a size is refused."""

import pytest
import torch
from torch import nn

from auricle.lobes.export.record import ExportError
from auricle.lobes.export.recording import recorded
from auricle.lobes.frontends import spectrogram_image
from auricle.lobes.frontends.spectrogram_image import resize
from auricle.lobes.layers.clip_windows import cut_windows, mean_of_windows
from auricle.lobes.layers.recurrent import GRU, LSTM
from auricle.processing.filterbank.pcen import PCEN


class Net(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x, lengths):
        return self.function(x, lengths)


def graph(function, steps, features=2, **options):
    lengths = torch.tensor([1.0, 0.6])
    return recorded(Net(function), torch.randn(2, steps, features), lengths, **options).module()


def test_a_way_that_depends_on_a_size_is_refused_unless_it_is_declared():
    def short(x, lengths):
        return x if x.shape[1] < 20 else 2 * x

    with pytest.raises(ExportError, match="at most 19"):
        graph(short, 9)
    assert graph(short, 9, longest=19)(torch.ones(3, 5, 2), torch.ones(3)).sum() == 30


def test_a_way_that_depends_on_a_value_is_refused():
    with pytest.raises(ExportError, match="torch.export cannot record it"):
        graph(lambda x, lengths: x if x.sum() > 0 else -x, 9)


@pytest.mark.slow
def test_one_window_in_the_example_is_not_one_window_always():
    def mean(x, lengths):
        windows, counts = cut_windows(x, lengths, 8)
        return mean_of_windows(windows.mean(1), counts)

    x, lengths = torch.randn(3, 29, 2), torch.tensor([1.0, 0.7, 0.2])
    torch.testing.assert_close(graph(mean, 6)(x, lengths), mean(x, lengths))


@pytest.mark.parametrize("frames", [1, 33, 1100])
def test_plain_pcen_is_pcen(frames):
    pcen, plain = PCEN(2), PCEN(2)
    plain.use_plain_operators_()
    x = torch.randn(3, frames, 2).square()
    torch.testing.assert_close(plain(x), pcen(x))


@pytest.mark.long
def test_plain_pcen_is_recorded_for_any_number_of_frames():
    pcen, plain = PCEN(2).requires_grad_(False), PCEN(2).requires_grad_(False)
    plain.use_plain_operators_()
    program = graph(lambda x, lengths: plain(x), 40)
    for frames in (1, 33, 1100):
        x = torch.randn(3, frames, 2).square()
        torch.testing.assert_close(program(x, torch.ones(3)), pcen(x))


@pytest.mark.long
@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_recurrent_layers_are_recorded_as_loops_of_any_length(kind):
    layer = kind(6, 3, 2, batch_first=True, bidirectional=True).eval().requires_grad_(False)
    net = Net(lambda x, lengths: layer(x)[0])
    net.layer = layer  # a parameter of it, as torch.export wants them
    x = torch.randn(3, 11, 6)
    program = recorded(net, torch.randn(2, 5, 6), torch.ones(2))
    assert not any("lstm" in str(node.target) for node in program.graph.nodes)
    torch.testing.assert_close(program.module()(x, torch.ones(3)), net(x, None))


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("sizes", [(5, 9), (40, 3)])
def test_images_are_resized_by_products(monkeypatch, antialias, sizes):
    image, counts = torch.randn(3, 21, 8), torch.tensor([21, 13, 1])
    wanted = [resize(image, *sizes, antialias, number) for number in (counts, None)]
    monkeypatch.setattr(spectrogram_image, "is_exported", lambda: True)
    for number, want in zip((counts, None), wanted, strict=True):
        torch.testing.assert_close(resize(image, *sizes, antialias, number), want)
