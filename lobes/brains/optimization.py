"""Optimisers, learning-rate schedules and annealing by name.

A schedule is a pure function of the progress of training, so that there is no state to lose when a
run is interrupted.
"""

import copy
import math

import numpy as np
import torch

from ..build import build_frontend
from ..model import PARTS
from ..options import choice, failures, number

OPTIMIZERS = {
    "sgd": lambda groups, momentum, betas: torch.optim.SGD(groups, momentum=momentum),
    "adam": lambda groups, momentum, betas: torch.optim.Adam(groups, betas=betas),
    "adamw": lambda groups, momentum, betas: torch.optim.AdamW(groups, betas=betas),
    "adadelta": lambda groups, momentum, betas: torch.optim.Adadelta(groups, rho=0.95, eps=1e-8),
}


def _cosine(angle: float) -> float:
    return 0.5 * (1 + math.cos(angle))


#: Factor of the learning rate after so many epochs, of so many, with restarts after so many.
SCHEDULES = {
    "constant": lambda epoch, epochs, restart: 1.0,
    "linear": lambda epoch, epochs, restart: max(0.0, 1 - epoch / epochs),
    "cosine": lambda epoch, epochs, restart: _cosine(math.pi * min(epoch / epochs, 1.0)),
    "cosine_restarts": lambda epoch, epochs, restart: _cosine(
        math.pi * (epoch % restart) / restart
    ),
    # From the top, down and up again: what a warm-up leads to, as in the other schedules.
    "cyclic": lambda epoch, epochs, restart: abs(2 * (epoch % restart) / restart - 1),
}


#: Schedules whose rates depend on the number of epochs: a run with one cannot be made longer.
BOUND = ("linear", "cosine")


def build_optimizer(
    modules: dict[str, torch.nn.Module],
    name: str = "adamw",
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    frontend_lr_factor: float = 1.0,
    frontend_step_hz: float = 0.0,
    momentum: float = 0.9,
    betas: tuple = (0.9, 0.999),
) -> torch.optim.Optimizer | None:
    """Everything that is trainable in one optimiser, the frontend in groups of its own.

    Arguments
    ---------
    modules : dict of nn.Module
    name : str
        One of `OPTIMIZERS`.
    lr, weight_decay : float
    frontend_lr_factor : float
        Learning rate of the frontend relative to `lr`. The frontend gets no weight decay: its
        parameters are frequencies and widths, for which zero is no neutral value.
    frontend_step_hz : float
        Above 0: each parameter of the frontend that is a frequency or a width (`hz_per_unit`) is
        a group of its own, with a rate of this many Hz in place of `lr` times the factor. A step
        of Adam at full rate then moves a filter by about so much, whatever the parameter's unit.

    Returns
    -------
    The optimiser; each group has `base_lr` and, when it is the frontend's, `frontend` True. None
    when nothing is trainable.

    Raises
    ------
    ValueError
        A parameter that two modules share (it would be stepped twice); `frontend_step_hz` for a
        frontend without a parameter in Hz.
    """
    seen: dict[int, str] = {}
    groups = []
    for module_name, module in modules.items():
        parameters = [p for p in module.parameters() if p.requires_grad]
        for parameter in parameters:
            if id(parameter) in seen:
                raise ValueError(f"{module_name} and {seen[id(parameter)]} share a parameter")
            seen[id(parameter)] = module_name
        if not parameters:
            continue
        if module_name != PARTS[0]:
            groups.append(_group(parameters, lr, weight_decay))
            continue
        if frontend_step_hz:
            of_unit = _rates_in_hz(module, frontend_step_hz, name)
            named = dict(module.named_parameters())
            groups += [_group([named[key]], rate, frontend=True) for key, rate in of_unit.items()]
            parameters = [p for key, p in named.items() if p.requires_grad and key not in of_unit]
        if parameters:
            groups.append(_group(parameters, lr * frontend_lr_factor, frontend=True))
    if not groups:
        return None
    return OPTIMIZERS[name](groups, momentum, tuple(betas))


def _group(parameters, base_lr: float, weight_decay: float = 0.0, frontend: bool = False) -> dict:
    return {
        "params": parameters,
        "lr": base_lr,
        "base_lr": base_lr,
        "weight_decay": weight_decay,
        "frontend": frontend,
    }


def _rates_in_hz(frontend: torch.nn.Module, step_hz: float, optimizer: str) -> dict[str, float]:
    """Learning rate of each parameter that is a frequency or a width, by its name.

    The aim is to train q, in Hz, where the parameter is p = q / s and s is its `hz_per_unit`. By
    the chain rule dL/dq is dL/dp / s. A step of Adam has the length of its rate, however large
    the gradient: a step of `step_hz` on q is one of step_hz / s on p. A step of SGD is
    proportional to the gradient, so q moves by rate * (dL/dp) / s, and p by 1 / s of that: its
    rate is divided by s squared. (It is then a number of Hz per unit of slope, not per step.)
    """
    hz = hz_per_unit(frontend)
    if not hz:
        raise ValueError(
            "frontend_step_hz is for frontends with a trainable centre frequency, bandwidth or "
            f"width per filter; {type(frontend).__name__} has none: set it to 0"
        )
    power = 2 if optimizer == "sgd" else 1
    return {name: step_hz / value**power for name, value in hz.items()}


@torch.no_grad()
def hz_per_unit(frontend: torch.nn.Module) -> dict[str, float]:
    """How many Hz the filters move per unit of each parameter, measured by moving it.

    Whatever the unit of a parameter is (rad/sample, samples, Hz, a share of the sample rate), what
    counts is what it does to `frontend.filters()`. Looked at is every trainable parameter with one
    value per filter; those that move neither centres nor bandwidths (pooling, compression) are left
    out, and so are kernels, whose values are no frequencies.

    Arguments
    ---------
    frontend : nn.Module
        One without `filters()` has none.

    Returns
    -------
    dict from parameter names to the shift of the centres or of the bandwidths, whichever is
    larger: mean over the filters, in Hz per unit, where the filters are now.

    Example
    -------
    >>> {name: round(hz) for name, hz in hz_per_unit(build_frontend("leaf")).items()}
    {'centre': 2546, 'width': 20}
    """
    if not hasattr(frontend, "filters"):
        return {}
    probe = copy.deepcopy(frontend).cpu()  # the frontend itself is not touched
    size = len(probe.filters())
    hz = {}
    for name, parameter in probe.named_parameters():
        if not parameter.requires_grad or parameter.numel() != size:
            continue
        start = parameter.clone()
        # Large enough to be seen where a centre is read off a grid of frequencies.
        step = 0.01 * float(start.abs().mean()) or 0.01
        ends = []
        for sign in (1, -1):
            parameter.copy_(start + sign * step)
            ends.append(probe.filters())
        parameter.copy_(start)
        shift_hz = max(
            float(np.abs(getattr(ends[0], what) - getattr(ends[1], what)).mean())
            for what in ("centre_hz", "bandwidth_hz")
        )
        # 2 % of a frequency or a width is some Hz; a gain moves what is read off by next to none.
        if shift_hz > 0.01:
            hz[name] = shift_hz / (2 * step)
    return hz


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


ANNEALING = ("none", "newbob", "plateau")


def annealing_factor(
    kind: str, scores: list[float], factor: float, threshold: float = 0.0, patience: int = 0
) -> float:
    """What the learning rate is multiplied by after epochs with these validation scores.

    Arguments
    ---------
    kind : str
        "none"; "newbob": the rate falls after each epoch whose score is not better than the one
        before by the threshold; "plateau": after `patience` + 1 epochs without a score that is
        better than the best by the threshold, and again after as many.
    scores : list of float
        One per finished epoch, lower is better.
    factor : float
        Of one fall.
    threshold : float
        Improvement relative to what is compared with.
    patience : int
        Epochs without improvement that are let pass.

    References
    ----------
    NewBob as speechbrain.nnet.schedulers.NewBobScheduler, plateau as
    torch.optim.lr_scheduler.ReduceLROnPlateau, both as functions of the past: a resumed run has
    the rate that it would have had.

    Example
    -------
    >>> annealing_factor("newbob", [0.9, 0.5, 0.5, 0.4], factor=0.5, threshold=0.0025)
    0.5
    """
    falls, waited = 0, 0
    best = scores[0] if scores else 0.0
    for before, score in zip(scores, scores[1:], strict=False):
        reference = before if kind == "newbob" else best
        improved = (
            reference > 0
            and (reference - score) / reference >= threshold
            and (kind == "newbob" or score < reference)
        )
        waited = 0 if improved else waited + 1
        if waited > patience:
            falls, waited = falls + 1, 0
        best = min(best, score)
    return factor**falls if kind != "none" else 1.0


def annealing_problems(plain: dict) -> list[str]:
    """What is wrong with the annealing of a configuration that has one."""
    return failures(
        plain,
        [
            (choice, "annealing", {"allowed": ANNEALING}),
            (number, "annealing_factor", {"above": 0, "high": 1}),
            (number, "annealing_threshold", {"low": 0}),
            (number, "annealing_patience", {"low": 0}),
        ],
    )


def prepare_step(
    optimizer: torch.optim.Optimizer,
    epoch: float,
    epochs: int,
    schedule: str,
    warmup_epochs: float = 0,
    restart_epochs: float = 1,
    frontend_schedule: str = "same",
    frontend_freeze_epochs: int = 0,
    annealed: float = 1.0,
) -> None:
    """Set the learning rates of the step to come; what is frozen loses its gradients.

    A parameter without a gradient is passed over by the optimiser: neither its value nor its
    running means (of Adam, of the momentum) change by a bit, which a rate of 0 does not achieve.
    The gradients have been computed and exchanged before, so DDP waits for none.

    Arguments
    ---------
    optimizer : as `build_optimizer` gives it
    epoch : float
        Epochs done, fractional, from 0.
    epochs, schedule, warmup_epochs, restart_epochs : as in `learning_rate_factor`
    frontend_schedule : str
        Another schedule for the frontend, over the same epochs and with the same warm-up; "same"
        is that of the rest.
    frontend_freeze_epochs : int
        The frontend does not learn in the first so many epochs.
    annealed : float
        As `annealing_factor` gives it; multiplies every rate.
    """
    for group in optimizer.param_groups:
        own = group["frontend"] and frontend_schedule != "same"
        group["lr"] = annealed * group["base_lr"]
        group["lr"] *= learning_rate_factor(
            frontend_schedule if own else schedule, epoch, epochs, warmup_epochs, restart_epochs
        )
        if group["frontend"] and epoch < frontend_freeze_epochs:
            group["lr"] = 0.0
            for parameter in group["params"]:
                parameter.grad = None


def problems(plain: dict) -> list[str]:
    """What is wrong with the optimisation part of a configuration."""
    positive = ("lr", "number_of_epochs", "batch_size", "restart_epochs")
    problems = failures(
        plain,
        [
            (choice, "optimizing", {"allowed": tuple(OPTIMIZERS)}),
            (choice, "schedule", {"allowed": tuple(SCHEDULES)}),
            (choice, "frontend_schedule", {"allowed": ("same", *SCHEDULES)}),
            (number, "frontend_lr_factor", {"low": 0}),
            (number, "frontend_step_hz", {"low": 0}),
            *(
                (number, key, {"above": 0})
                for key in positive
                if isinstance(plain[key], (int, float))
            ),
        ],
    )
    epochs = plain["number_of_epochs"]
    problems += [
        f"{key} must lie between 0 and number_of_epochs ({epochs}), got {plain[key]!r}"
        for key in ("warmup_epochs", "frontend_freeze_epochs")
        if not 0 <= plain[key] <= epochs
    ]
    if 0 < plain["frontend_step_hz"] < math.inf:
        try:
            frontend = build_frontend(
                plain["frontend"], plain["sample_rate"], plain["frontend_options"]
            )
        except (TypeError, ValueError):
            return problems  # the check of the lobes reports it
        try:
            _rates_in_hz(frontend, plain["frontend_step_hz"], plain["optimizing"])
        except ValueError as error:
            problems.append(str(error))
    return problems
