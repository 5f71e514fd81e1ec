"""Losses of regression: concordance correlation over past batches, squared error, their mix."""

from functools import partial

import torch
from speechbrain.utils.checkpoints import mark_as_loader, mark_as_saver, register_checkpoint_hooks
from speechbrain.utils.distributed import if_main_process
from torch import nn

from ..options import choice, number, whole


def _world_size() -> int:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size()
    return 1


def _over_ranks(sums: torch.Tensor) -> torch.Tensor:
    """Sum over all ranks, without a gradient."""
    sums = sums.detach().clone()
    if _world_size() > 1:
        torch.distributed.all_reduce(sums)
    return sums


def _rows(values: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
    """(B, D), or the valid points of (B, N, D), as float32 rows."""
    if values.ndim == 3:
        values = values.flatten(0, 1) if valid is None else values[valid]
    return values.float()


def _check(predictions: torch.Tensor, targets: torch.Tensor) -> None:
    if predictions.shape != targets.shape or predictions.ndim not in (2, 3):
        raise ValueError(
            f"predictions have shape {tuple(predictions.shape)} and targets "
            f"{tuple(targets.shape)}: both must be (B, D) or (B, N, D)"
        )


@partial(register_checkpoint_hooks, save_on_main_only=False)
class ConcordanceLoss(nn.Module):
    """1 - CCC of each dimension, averaged; over the batches of all ranks, and of past steps.

    CCC is no mean over items: over batches of 12 its mean is clearly below that of the whole set,
    and so is its gradient noisy. So in training

    - the moments are summed over all ranks, with the gradient that one process would have with
      the whole batch (once DDP has averaged over the ranks);
    - up to `window` items of past batches, their predictions as they were then, join the moments.
      The gradient of the new items is scaled by their share, so that its size does not depend on
      the window.

    Under autocast the loss is still computed in float32. In evaluation neither of the two is done.

    Arguments
    ---------
    window : int
        Items (clips, or points of sequences) of past batches to remember, over all ranks.
    eps : float
        Added to the denominator, in the squared unit of the targets: a constant prediction of a
        constant target has CCC 0, and a finite gradient.

    Shape
    -----
    predictions, targets (B, D), or (B, N, D) with `valid` (B, N) or None -> scalar, float32.
    In training every rank must call it the same number of times.

    References
    ----------
    L. I. Lin, "A concordance correlation coefficient to evaluate reproducibility", Biometrics 45,
    1989 (moments with 1/n).

    Example
    -------
    >>> loss = ConcordanceLoss()
    >>> round(float(loss(torch.tensor([[2.0], [3.0], [4.0]]), torch.tensor([[1.0], [2.0], [3.0]]))), 4)
    0.4286
    """

    def __init__(self, window: int = 0, eps: float = 1e-8):
        super().__init__()
        self.window = whole("ccc_window", window, low=0)
        self.eps = number("eps", eps, low=0.0)
        self.reset()

    def reset(self) -> None:
        """Forget past batches."""
        self._past: list[tuple[torch.Tensor, torch.Tensor]] = []

    @mark_as_saver
    def save(self, path) -> None:
        """Write the past batches of every rank, so that a run goes on with them where it stopped."""
        ranks = [self._past]
        if _world_size() > 1:
            ranks = [None] * _world_size()
            torch.distributed.all_gather_object(ranks, self._past)
        if if_main_process():
            torch.save(ranks, path)

    @mark_as_loader
    def load(self, path, end_of_epoch=False) -> None:
        """Read this rank's past batches; none where there were another number of ranks."""
        ranks = torch.load(path, map_location="cpu", weights_only=True)
        self.reset()
        if len(ranks) == _world_size():
            rank = torch.distributed.get_rank() if len(ranks) > 1 else 0
            self._past = [tuple(pair) for pair in ranks[rank]]

    def forward(self, predictions, targets, valid=None) -> torch.Tensor:
        _check(predictions, targets)
        new = _rows(predictions, valid), _rows(targets, valid)
        # Sums and products of float32 stay so under autocast, which lowers matrix products only.
        loss = self._loss(*new, self._past if self.training else [])
        if self.training and torch.is_grad_enabled():
            self._remember(*new)
        return loss

    def _loss(self, p: torch.Tensor, t: torch.Tensor, past) -> torch.Tensor:
        gather = _over_ranks if self.training else torch.Tensor.detach
        old_p, old_t = (
            torch.cat([side.new_zeros(0, p.shape[1]), *(v.to(p.device) for v in values)])
            for side, values in ((p, [a for a, _ in past]), (t, [b for _, b in past]))
        )
        count = gather(torch.tensor([len(p), len(old_p)], dtype=p.dtype, device=p.device))
        n = count.sum().clamp(min=1)
        # Moments about the present means, so that nothing cancels. Any fixed shift gives the same
        # value and gradient, so these need no gradient of their own.
        shift_p, shift_t = (
            gather(torch.stack([p.detach().sum(0) + old_p.sum(0), t.sum(0) + old_t.sum(0)])) / n
        )

        def moments(p, t):
            p, t = p - shift_p, t - shift_t
            return torch.stack([p.sum(0), t.sum(0), (p * p).sum(0), (t * t).sum(0), (p * t).sum(0)])

        own = moments(p, t)
        # The value is that of all items. The gradient is that of own, times the number of ranks,
        # by which DDP divides, and over the share of the items that have one.
        scale = (_world_size() if self.training else 1) * n / count[0].clamp(min=1)
        total = gather(own + moments(old_p, old_t)) + scale * (own - own.detach())
        mean_p, mean_t, pp, tt, pt = total / n
        covariance = pt - mean_p * mean_t
        bias = shift_p - shift_t + mean_p - mean_t
        spread = (pp - mean_p**2) + (tt - mean_t**2) + bias**2
        return (1 - 2 * covariance / (spread + self.eps)).mean()

    def _remember(self, p: torch.Tensor, t: torch.Tensor) -> None:
        room = self.window // _world_size()
        if not room:
            return
        finite = torch.isfinite(p.detach()).all(1) & torch.isfinite(t).all(1)
        self._past.append((p.detach()[finite], t.detach()[finite]))
        excess = sum(len(a) for a, _ in self._past) - room
        while excess > 0:
            a, b = self._past[0]
            if len(a) <= excess:
                self._past.pop(0)
            else:
                self._past[0] = a[excess:], b[excess:]
            excess -= len(a)


class RegressionLoss(nn.Module):
    """CCC loss, mean squared error, or alpha of the one and 1 - alpha of the other.

    The squared error too is over the items of all ranks in training. Shapes as for
    `ConcordanceLoss`.

    Arguments
    ---------
    kind : "ccc" (1 - CCC), "mse", or "mix": alpha (1 - CCC) + (1 - alpha) MSE.
    alpha : share of the CCC in "mix", 0 to 1.
    window : items of past batches in the CCC, see `ConcordanceLoss`.

    Raises
    ------
    ValueError
        An option out of range.

    Example
    -------
    >>> x = torch.tensor([[0.1], [0.5]])
    >>> float(RegressionLoss("mse")(x, x))
    0.0
    """

    def __init__(self, kind: str = "ccc", alpha: float = 0.5, window: int = 0):
        super().__init__()
        self.kind = choice("loss", kind, ("ccc", "mse", "mix"))
        alpha = number("loss_mix", alpha, low=0.0, high=1.0)
        self.alpha = {"ccc": 1.0, "mse": 0.0, "mix": alpha}[kind]
        self.concordance = ConcordanceLoss(window)

    def reset(self) -> None:
        self.concordance.reset()

    def combine(self, ccc, mse):
        """The loss of a set whose CCC and mean squared error are known."""
        return self.alpha * (1 - ccc) + (1 - self.alpha) * mse

    def forward(self, predictions, targets, valid=None) -> torch.Tensor:
        _check(predictions, targets)
        loss = predictions.new_zeros((), dtype=torch.float32)
        if self.alpha > 0:
            loss = loss + self.alpha * self.concordance(predictions, targets, valid)
        if self.alpha < 1:
            loss = loss + (1 - self.alpha) * self._squares(predictions, targets, valid)
        return loss

    def _squares(self, predictions, targets, valid) -> torch.Tensor:
        squares = (_rows(predictions, valid) - _rows(targets, valid)).square().mean(1)
        if not self.training or _world_size() == 1:
            return squares.sum() / max(len(squares), 1)
        both = torch.stack([squares.sum(), squares.new_tensor(len(squares))])
        total, n = _over_ranks(both)
        return (total + _world_size() * (both[0] - both[0].detach())) / n.clamp(min=1)
