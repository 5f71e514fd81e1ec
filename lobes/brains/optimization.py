"""Optimisers and learning-rate schedules by name.

A schedule is a pure function of the progress of training, so that there is no state to lose when a
run is interrupted.
"""

from __future__ import annotations

import math

import torch

__all__ = ["OPTIMIZERS", "SCHEDULES", "build_optimizer", "learning_rate_factor", "problems"]


def _sgd(groups, momentum, betas):
    return torch.optim.SGD(groups, momentum=momentum)


def _adam(groups, momentum, betas):
    return torch.optim.Adam(groups, betas=betas)


def _adamw(groups, momentum, betas):
    return torch.optim.AdamW(groups, betas=betas)


OPTIMIZERS = {"sgd": _sgd, "adam": _adam, "adamw": _adamw}


def _constant(epoch, epochs, restart_epochs):
    return 1.0


def _linear(epoch, epochs, restart_epochs):
    return max(0.0, 1 - epoch / epochs)


def _cosine(epoch, epochs, restart_epochs):
    return 0.5 * (1 + math.cos(math.pi * min(epoch / epochs, 1.0)))


def _cosine_restarts(epoch, epochs, restart_epochs):
    return 0.5 * (1 + math.cos(math.pi * (epoch % restart_epochs) / restart_epochs))


SCHEDULES = {
    "constant": _constant,
    "linear": _linear,
    "cosine": _cosine,
    "cosine_restarts": _cosine_restarts,
}


def build_optimizer(
    modules: dict[str, torch.nn.Module],
    name: str = "adamw",
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    frontend_lr_factor: float = 1.0,
    momentum: float = 0.9,
    betas: tuple = (0.9, 0.999),
    frontend: str = "compute_features",
) -> torch.optim.Optimizer | None:
    """Everything that is trainable in one optimiser, the frontend in a group of its own.

    Arguments
    ---------
    modules : dict of nn.Module
    name : str
        One of `OPTIMIZERS`.
    lr, weight_decay : float
    frontend_lr_factor : float
        Learning rate of the frontend relative to `lr`. The frontend gets no weight decay: its
        parameters are frequencies and widths, for which zero is no neutral value.

    Returns
    -------
    The optimiser; each group has `base_lr`. None when nothing is trainable.

    Raises
    ------
    ValueError
        A parameter that two modules share (it would be stepped twice).
    """
    seen: dict[int, str] = {}
    groups = []
    for module_name, module in modules.items():
        parameters = [p for p in module.parameters() if p.requires_grad]
        for parameter in parameters:
            if id(parameter) in seen:
                raise ValueError(f"{module_name} and {seen[id(parameter)]} share a parameter")
            seen[id(parameter)] = module_name
        if parameters:
            is_frontend = module_name == frontend
            base_lr = lr * (frontend_lr_factor if is_frontend else 1.0)
            groups.append(
                {
                    "params": parameters,
                    "lr": base_lr,
                    "base_lr": base_lr,
                    "weight_decay": 0.0 if is_frontend else weight_decay,
                }
            )
    if not groups:
        return None
    return OPTIMIZERS[name](groups, momentum, tuple(betas))


def learning_rate_factor(
    schedule: str, epoch: float, epochs: int, warmup_epochs: float = 0, restart_epochs: float = 1
) -> float:
    """Learning rate relative to its base after `epoch` (fractional, from 0) of `epochs` epochs.

    Rises linearly over `warmup_epochs`, then follows the schedule over what is left.

    Example
    -------
    >>> [round(learning_rate_factor("cosine", e, 10, warmup_epochs=2), 3) for e in (0, 1, 2, 6, 10)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    if epoch < warmup_epochs:
        return epoch / warmup_epochs
    return SCHEDULES[schedule](
        epoch - warmup_epochs, max(epochs - warmup_epochs, 1e-9), restart_epochs
    )


def problems(plain: dict) -> list[str]:
    """What is wrong with the optimisation part of a configuration."""
    found = []
    for key, known in (("optimizing", OPTIMIZERS), ("schedule", SCHEDULES)):
        if plain[key] not in known:
            found.append(f"{key} must be one of {', '.join(known)}, got {plain[key]!r}")
    for key in ("lr", "number_of_epochs", "batch_size", "restart_epochs"):
        if isinstance(plain[key], (int, float)) and not plain[key] > 0:
            found.append(f"{key} must be above 0, got {plain[key]!r}")
    if plain["warmup_epochs"] < 0 or plain["warmup_epochs"] > plain["number_of_epochs"]:
        found.append(
            f"warmup_epochs must lie between 0 and number_of_epochs ({plain['number_of_epochs']}), "
            f"got {plain['warmup_epochs']!r}"
        )
    return found
