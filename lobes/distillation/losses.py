"""Distillation losses per item: distances of embeddings, divergences of class logits."""

import torch
from torch.nn import functional as F


def cosine_distance(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """1 - cos of embeddings: (B, D), (B, D) -> (B,).

    Example
    -------
    >>> cosine_distance(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 3.0]]))
    tensor([1.])
    """
    return 1 - (F.normalize(student, dim=-1) * F.normalize(teacher, dim=-1)).sum(-1)


def squared_distance(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Squared distance of length-normalised embeddings: (B, D), (B, D) -> (B,).

    Summed over the dimensions, it equals 2 - 2 cos, twice `cosine_distance`, for every D. The
    mean over 512 dimensions of embeddings divided by a temperature of 4, as some experiments took
    it, is 1 / (512 * 16) of that, about 1e-4: too small for embeddings to learn from it.

    Example
    -------
    >>> squared_distance(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 3.0]]))
    tensor([2.])
    """
    return (F.normalize(student, dim=-1) - F.normalize(teacher, dim=-1)).square().sum(-1)


def divergence(
    student: torch.Tensor, teacher: torch.Tensor, temperature: float = 1.0
) -> torch.Tensor:
    """Kullback-Leibler divergence of the student's classes from the teacher's, times T squared.

    The factor makes up for the gradient, which the temperature divides by about T squared.

    Shape
    -----
    class logits (B, C), (B, C) -> (B,)

    References
    ----------
    Hinton et al. 2015, Distilling the Knowledge in a Neural Network, arXiv:1503.02531.
    """
    ours = F.log_softmax(student / temperature, -1)
    theirs = F.log_softmax(teacher / temperature, -1)
    return temperature**2 * (theirs.exp() * (theirs - ours)).sum(-1)


def decoupled_divergence(
    student: torch.Tensor,
    teacher: torch.Tensor,
    classes: torch.Tensor,
    temperature: float = 1.0,
    beta: float | torch.Tensor = 8.0,
) -> torch.Tensor:
    """Divergence of true class against the rest, plus beta times that among the other classes.

    With p the teacher's probability of the true class, beta = 1 - p gives `divergence`, where the
    other classes weigh less the surer the teacher is. Here their weight is the constant `beta`.

    Arguments
    ---------
    student, teacher : tensor (B, C)
        Class logits.
    classes : int64 tensor (B,)
        Targets.
    temperature : float
    beta : float or tensor (B,)

    Returns
    -------
    (B,), times T squared.

    References
    ----------
    Zhao et al. 2022, Decoupled Knowledge Distillation, CVPR, equation 7 with alpha = 1; beta = 8
    is theirs for most pairs of networks. The true class is masked out exactly, where the authors'
    code subtracts 1000 from its logit.
    """
    true = F.one_hot(classes, student.shape[-1]).bool()

    def parts(logits):
        log_p = F.log_softmax(logits / temperature, -1)
        log_rest = log_p.masked_fill(true, -torch.inf).logsumexp(-1, keepdim=True)
        binary = torch.cat([log_p.gather(1, classes[:, None]), log_rest], -1)
        # Zero for the true class in both, so that it adds nothing.
        return binary, (log_p - log_rest).masked_fill(true, 0.0)

    (binary, others), (their_binary, their_others) = parts(student), parts(teacher)
    of_true = (their_binary.exp() * (their_binary - binary)).sum(-1)
    of_others = (their_others.exp() * (their_others - others)).sum(-1)
    return temperature**2 * (of_true + beta * of_others)


def gradient_shares(losses: dict[str, torch.Tensor], embedding: torch.Tensor) -> dict[str, float]:
    """Share of each loss in the gradient of the embeddings.

    Arguments
    ---------
    losses : dict of scalar tensors
        Already weighted. A loss that does not depend on the embedding has share 0.
    embedding : tensor
        Input of the losses; the backward passes end here and cost little.

    Returns
    -------
    Norm of each loss's gradient relative to the sum of norms; they add up to 1 (or are all 0 where
    no loss has a gradient). The graph is kept for the training step.

    Example
    -------
    >>> x = torch.ones(2, 3, requires_grad=True)
    >>> shares = gradient_shares({"a": x.sum(), "b": 3 * x.sum()}, x)
    >>> {name: round(share, 3) for name, share in shares.items()}
    {'a': 0.25, 'b': 0.75}
    """
    norms = {}
    for name, loss in losses.items():
        gradient = None
        if loss.requires_grad:
            (gradient,) = torch.autograd.grad(loss, embedding, retain_graph=True, allow_unused=True)
        norms[name] = 0.0 if gradient is None else float(gradient.float().norm())
    total = sum(norms.values())
    return {name: norm / total if total else 0.0 for name, norm in norms.items()}
