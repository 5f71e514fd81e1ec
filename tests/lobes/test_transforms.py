"""A whole model under torch.func, torch.utils.checkpoint and torch.export gives its plain results."""

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from auricle.lobes import build_frontend, create_model

WAVS = 0.1 * torch.randn(3, 4000, generator=torch.Generator().manual_seed(0))
LENGTHS = torch.tensor([1.0, 0.8, 0.5])


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return create_model("leaf", "bcresnet", num_classes=12, sample_rate=16000).eval()


def loss(model, wavs, lengths):
    return model(wavs, lengths).logsumexp(1).sum()


@pytest.fixture(scope="module")
def expected(model):
    parameters = dict(model.named_parameters())
    gradients = torch.autograd.grad(loss(model, WAVS, LENGTHS), parameters.values())
    return dict(zip(parameters, gradients, strict=True))


def test_gradients_of_torch_func_and_per_item(model, expected):
    parameters = {name: value.detach() for name, value in model.named_parameters()}

    def function(parameters, wavs, lengths):
        given = wavs, lengths
        return torch.func.functional_call(model, parameters, given).logsumexp(1).sum()

    found = torch.func.grad(function)(parameters, WAVS, LENGTHS)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    each = torch.func.vmap(torch.func.grad(function), in_dims=(None, 0, 0))(
        parameters, WAVS[:, None], LENGTHS[:, None]
    )
    found = {name: value.sum(0) for name, value in each.items()}
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_checkpoint(model, expected):
    output = checkpoint(model, WAVS, LENGTHS, use_reentrant=False)
    found = torch.autograd.grad(output.logsumexp(1).sum(), list(model.parameters()))
    torch.testing.assert_close(list(found), list(expected.values()), rtol=1e-4, atol=1e-6)


OTHERS = ("mel", "leaf", "gammatone", "tdfbanks", "sincnet_plus", "pcen_mel")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ("whole model", *[pytest.param(name, marks=pytest.mark.long) for name in OTHERS])
)
def test_an_exported_graph_takes_other_batches_and_lengths(model, name):
    module = model if name == "whole model" else build_frontend(name, sample_rate=16000).eval()
    dims = {0: torch.export.Dim("batch", max=64), 1: torch.export.Dim("time", min=400, max=99999)}
    program = torch.export.export(
        module, (WAVS, LENGTHS), dynamic_shapes=(dims, {0: dims[0]}), strict=False
    )
    wavs, lengths = torch.cat([WAVS, WAVS], 1)[:2, :6789], LENGTHS[:2]
    torch.testing.assert_close(
        program.module()(wavs, lengths), module(wavs, lengths), rtol=1e-4, atol=1e-4
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["leaf", "tdfbanks"])
def test_compiled_training_reads_the_filters_at_the_rates_of_the_plain_one(name):
    """Another rate would be within the tolerances, and several times slower."""
    frontend = build_frontend(name, sample_rate=16000)
    compiled = torch.compile(frontend, backend="eager", fullgraph=True)
    assert torch.equal(compiled(WAVS, LENGTHS), frontend(WAVS, LENGTHS))
