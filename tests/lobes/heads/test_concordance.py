"""CCC loss: its value, its gradient over ranks and past batches, and where it would break."""

import numpy as np
import pytest
import torch
from refusals import refused
from two_ranks import run_two_ranks

from auricle.lobes.heads.concordance import ConcordanceLoss, RegressionLoss
from auricle.lobes.heads.regression import RegressionHead
from auricle.processing.scoring.regression.moments import concordance


def batch(size=24, seed=0, noise=0.3):
    generator = torch.Generator().manual_seed(seed)
    targets = torch.rand(size, 2, generator=generator) * 1.6 - 0.8
    return 0.7 * targets + noise * torch.randn(size, 2, generator=generator), targets


def direct(p, t):
    """1 - CCC by the definition."""
    covariance = ((p - p.mean(0)) * (t - t.mean(0))).mean(0)
    bias = (p.mean(0) - t.mean(0)) ** 2
    return (1 - 2 * covariance / (p.var(0, correction=0) + t.var(0, correction=0) + bias)).mean()


def gradient(loss, p, *others):
    p = p.detach().clone().requires_grad_()
    loss(p, *others).backward()
    return p.grad


def test_value_is_that_of_the_score_and_gradient_that_of_the_definition():
    p, t = batch()
    expected = np.mean([1 - concordance(p[:, d], t[:, d]) for d in (0, 1)])
    assert float(ConcordanceLoss()(p, t)) == pytest.approx(expected, abs=1e-6)
    torch.testing.assert_close(gradient(ConcordanceLoss(), p, t), gradient(direct, p, t))
    far = [v + 1000 for v in (p, t)]  # moments about zero would lose it all in float32
    assert float(ConcordanceLoss()(*far)) == pytest.approx(expected, abs=1e-3)


def test_double_gradient_check():
    p, t = (v.double() for v in batch(6))
    numeric = torch.zeros_like(p)
    for i in range(6):
        for d in range(2):
            step = torch.zeros_like(p)
            step[i, d] = 1e-5
            numeric[i, d] = (direct(p + step, t) - direct(p - step, t)) / 2e-5
    found = gradient(ConcordanceLoss(), p.float(), t.float())
    torch.testing.assert_close(found.double(), numeric, atol=1e-5, rtol=1e-3)


@pytest.mark.slow
def test_mean_over_batches_underestimates_the_ccc_of_the_set():
    p, t = batch(4800, noise=0.25)
    whole = 1 - float(ConcordanceLoss()(p, t))
    means = {
        size: np.mean(
            [
                1 - float(ConcordanceLoss()(a, b))
                for a, b in zip(p.split(size), t.split(size), strict=True)
            ]
        )
        for size in (4, 12, 32)
    }
    assert means[4] < means[12] - 0.03 < means[32] - 0.03 < whole - 0.03
    # remembering past batches comes closer than the batch does
    windowed = ConcordanceLoss(window=240)
    values = [1 - float(windowed(a, b)) for a, b in zip(p.split(12), t.split(12), strict=True)]
    assert abs(np.mean(values[40:]) - whole) < abs(means[12] - whole) / 3


def test_window_is_the_ccc_with_past_items_and_scales_the_gradient_of_the_new():
    loss = ConcordanceLoss(window=20)
    parts = [batch(12, seed) for seed in range(3)]
    for p, t in parts[:2]:
        loss(p.clone().requires_grad_(), t)
    p, t = parts[2]
    old_p, old_t = (torch.cat([parts[0][k][4:], parts[1][k]]) for k in (0, 1))
    new = p.clone().requires_grad_()
    value = loss(new, t)
    value.backward()
    assert value.item() == pytest.approx(
        float(direct(torch.cat([old_p, p]), torch.cat([old_t, t]))), abs=1e-6
    )

    def with_old(x, y):
        return direct(torch.cat([old_p, x]), torch.cat([old_t, y]))

    torch.testing.assert_close(new.grad, gradient(with_old, p, t) * 32 / 12)
    loss.reset()
    assert float(loss(p, t)) == pytest.approx(float(direct(p, t)), abs=1e-6)


def test_evaluation_neither_uses_nor_fills_the_window():
    loss = ConcordanceLoss(window=50)
    first, second = batch(12, 0), batch(12, 1)
    loss.eval()
    loss(*first)
    loss.train()
    assert float(loss(*second)) == pytest.approx(float(direct(*second)), abs=1e-6)
    loss.eval()
    assert float(loss(*first)) == pytest.approx(float(direct(*first)), abs=1e-6)


def test_a_batch_with_nan_does_not_poison_the_window():
    loss = ConcordanceLoss(window=50)
    p, t = batch(12)
    assert torch.isnan(loss(p * torch.nan, t))
    assert torch.isfinite(loss(p, t))


@pytest.mark.parametrize("size", [1, 2, 12])
def test_constants_give_finite_losses_and_gradients(size):
    _, t = batch(size)
    for p, target in ((torch.zeros(size, 2), t), (t, t * 0), (t * 0, t * 0)):
        found = gradient(ConcordanceLoss(), p, target)
        assert torch.isfinite(found).all()
        assert float(ConcordanceLoss()(p, target)) == pytest.approx(1)
    if size == 12:  # and a constant prediction learns
        assert gradient(ConcordanceLoss(), torch.zeros(size, 2), t).abs().min() > 0


def test_float32_under_autocast():
    p, t = batch()
    with torch.autocast("cpu", torch.bfloat16):
        half, half_t = p.bfloat16(), t.bfloat16()
        loss = ConcordanceLoss()(half, half_t)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(float(direct(half.float(), half_t.float())), abs=1e-6)


@pytest.mark.parametrize("kind", ["ccc", "mse", "mix"])
def test_padding_of_sequences_does_not_count(kind):
    p, t = (v.view(4, 6, 2) for v in batch(24))
    valid = torch.arange(6) < torch.tensor([6, 3, 1, 5])[:, None]
    expected = RegressionLoss(kind)(p[valid], t[valid])
    spoilt = torch.where(valid[..., None], p, 1e3)
    torch.testing.assert_close(RegressionLoss(kind)(spoilt, t, valid), expected)


def test_mix():
    p, t = batch()
    ccc, mse = direct(p, t), (p - t).square().mean()
    for kind, alpha, share in (("ccc", 0.3, 1.0), ("mse", 0.3, 0.0), ("mix", 0.3, 0.3)):
        loss = RegressionLoss(kind, alpha)
        torch.testing.assert_close(loss(p, t), share * ccc + (1 - share) * mse)
        torch.testing.assert_close(loss.combine(1 - ccc, mse), loss(p, t))


RANK = """
import os, sys, torch
from auricle.lobes.heads.concordance import RegressionLoss
rank, port, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
os.environ["RANK"] = str(rank)
torch.distributed.init_process_group(
    "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2
)
x, t = torch.load(out + "/data.pt")
part = slice(0, 7) if rank == 0 else slice(7, 24)  # uneven shares
result = {}
for kind in ("ccc", "mse", "mix"):
    torch.manual_seed(0)
    net = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(3, 2))
    loss = RegressionLoss(kind)(net(x[part]), t[part])
    loss.backward()
    result[kind] = (loss.detach(), net.module.weight.grad, net.module.bias.grad)
# a window of 48 over both: the second step sees the first one's items
torch.manual_seed(0)
net = torch.nn.Linear(3, 2)
loss = RegressionLoss("ccc", window=48)
loss(net(x[part]), t[part])
loss.concordance.save(out + "/past.ckpt")
torch.distributed.barrier()
again = RegressionLoss("ccc", window=48)
again.concordance.load(out + "/past.ckpt")
result["window"] = loss(net(x[part]) * 2, t[part]).detach()
result["resumed"] = again(net(x[part]) * 2, t[part]).detach()
loss.eval()
result["eval"] = loss(net(x[part]), t[part]).detach() if rank == 0 else None  # waits for nobody
torch.save(result, f"{out}/{rank}.pt")
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_ranks_have_the_gradient_of_one_process_with_the_whole_batch(tmp_path):
    _, t = batch(24)
    x = torch.cat([t, torch.randn(24, 1, generator=torch.Generator().manual_seed(1))], 1)
    x += 0.5 * torch.randn(24, 3, generator=torch.Generator().manual_seed(2))
    torch.save((x, t), tmp_path / "data.pt")
    run_two_ranks(RANK, tmp_path)
    found = [torch.load(tmp_path / f"{r}.pt") for r in range(2)]
    for kind in ("ccc", "mse", "mix"):
        torch.manual_seed(0)
        net = torch.nn.Linear(3, 2)
        loss = RegressionLoss(kind)(net(x), t)
        loss.backward()
        for rank in found:
            for mine, one in zip(rank[kind], (loss, net.weight.grad, net.bias.grad), strict=True):
                torch.testing.assert_close(mine, one.detach(), atol=1e-6, rtol=1e-5)
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 2)
    # each rank remembers up to 24 items: all of its own
    expected = direct(torch.cat([net(x), 2 * net(x)]), torch.cat([t, t])).detach()
    assert all(torch.allclose(rank["window"], expected, atol=1e-6) for rank in found)
    assert all(torch.equal(rank["resumed"], rank["window"]) for rank in found)
    alone = ConcordanceLoss(window=48)
    alone.load(tmp_path / "past.ckpt")  # of two ranks: begins as an epoch does
    torch.testing.assert_close(alone(x[:, :2], t), direct(x[:, :2], t))


def test_head_learns_by_ccc_what_is_linear():
    torch.manual_seed(0)
    _, t = batch(200)
    feats = torch.cat([t, torch.randn(200, 4)], 1)  # two of six say it, the others nothing
    head, loss = RegressionHead(6), RegressionLoss("ccc", window=96)
    optimizer = torch.optim.Adam(head.parameters(), 0.03)
    for step in range(150):
        chosen = torch.arange(12) + 12 * (step % 16)
        optimizer.zero_grad()
        loss(head(feats[chosen, None]).squeeze(1), t[chosen]).backward()
        optimizer.step()
    loss.eval()
    assert loss(head(feats[:, None]).squeeze(1), t).item() < 0.1


def test_bad_options_and_shapes():
    for options, said in (
        ({"kind": "rmse"}, "rmse"),
        ({"alpha": 1.5}, "loss_mix"),
        ({"window": -1}, "ccc_window"),
    ):
        refused(said, RegressionLoss, **options)
    refused("shape", RegressionLoss(), torch.zeros(3, 2), torch.zeros(3, 1))
    refused("activation", RegressionHead, 3, activation="relu")
    bounded = RegressionHead(3, 2, activation="tanh")(100 * torch.randn(4, 1, 3))
    assert bounded.abs().max() <= 1 and bounded.shape == (4, 1, 2)
