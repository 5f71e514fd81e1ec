"""The range of every numeric option of the recipes, and the one check of a configuration."""

import math
import re
from collections.abc import Callable, Iterable

from ...processing.system.rules import Rule, is_number, is_whole, or_null, wrong_values

_MANY = 10**6


def _between(least: float, most: float) -> Rule:
    return lambda value: is_number(value, least, most), f"from {least:g} to {most:g}"


def _above(least: float, most: float) -> Rule:
    return (
        lambda value: is_number(value, least, most) and value != least,
        f"above {least:g} and at most {most:g}",
    )


def _below(least: float, most: float) -> Rule:
    return (
        lambda value: is_number(value, least, most) and value != most,
        f"from {least:g} to below {most:g}",
    )


def _count(least: int, most: int = _MANY) -> Rule:
    return (
        lambda value: is_whole(value, least) and value <= most,
        f"a whole number from {least} to {most}",
    )


def _list_of(rule: Rule, size: int | None = None) -> Rule:
    fits, what = rule

    def all_fit(value) -> bool:
        of_size = isinstance(value, (list, tuple)) and size in (None, len(value))
        return of_size and all(map(fits, value))

    return all_fit, f"a list of {size or ''} numbers {what}".replace("  ", " ")


_SHARE, _SEED, _HOUR_S = _between(0, 1), _count(0, 2**32 - 1), 3600

#: Sense, not taste: what lies outside was never meant, whatever the data. Recipes ask for more.
RANGES: dict[str, Rule] = {
    "annealing_factor": _above(0, 1),
    "annealing_patience": _count(0),
    "annealing_threshold": _SHARE,
    "augment_probability": _SHARE,
    "average_checkpoints": _count(1),
    "batch_size": _count(1),
    "beam_size": _count(1, 10_000),
    "betas": _list_of(_below(0, 1), 2),
    "bpe_size": _count(1),
    "cache_gb": _between(0, _MANY),
    "ccc_window": _count(0),
    "clip_s": _above(0, _HOUR_S),
    "crop_s": or_null(_between(0, _HOUR_S)),
    "data_seed": _SEED,
    "early_stopping_epochs": _count(0),
    "eval_batch_s": _above(0, _MANY),
    "frequency_mask_features": _count(0),
    "frequency_masks": _count(0),
    "frontend_freeze_epochs": _between(0, _MANY),
    "frontend_lr_factor": _between(0, _MANY),
    "frontend_step_hz": _between(0, _MANY),
    "gain_db": _between(0, 60),
    "label_smoothing": _below(0, 1),
    "lm_weight": _between(0, 100),
    "loss_mix": _SHARE,
    "lr": _above(0, 100),
    "margin": _between(0, math.pi),
    "margin_end_epoch": _between(0, _MANY),
    "margin_scale": _above(0, _MANY),
    "margin_start_epoch": _between(0, _MANY),
    "max_batch_s": or_null(_above(0, _MANY)),
    "max_per_class": _count(0),
    "max_per_speaker": _count(0),
    "min_duration_s": _between(0, _HOUR_S),
    "mixup_alpha": _between(0, 1000),
    "momentum": _below(0, 1),
    "noise_amplitude": _SHARE,
    "noise_probability": _SHARE,
    "num_workers": _count(0, 1024),
    "number_of_epochs": _count(1),
    "pretrain_epochs": _count(0),
    "rank_limit_s": _between(0, _MANY),
    "restart_epochs": _above(0, _MANY),
    "sample_rate": _between(1000, 768_000),
    "seed": _SEED,
    "silence_amplitude": _SHARE,
    "sorted_epochs": _count(0),
    "speed_factors": _list_of(_between(0.1, 10)),
    "subcenters": _count(1, 1000),
    "test_share": _above(0, 1),
    "time_mask_frames": _count(0),
    "time_masks": _count(0),
    "time_shift_ms": _between(0, 60_000),
    "valid_crop_s": _between(0, _HOUR_S),
    "valid_share": _above(0, 1),
    "valid_speakers": _above(0, _MANY),
    "valid_trials": _count(1, 10**9),
    "warmup_epochs": _between(0, _MANY),
    "weight_decay": _between(0, 10),
    "window_s": or_null(_list_of(_between(0, _MANY), 2)),
}


def checked(
    checks: Iterable[Callable[[dict], list[str]]],
) -> Callable[[dict], list[str]]:
    """One check of all: the given ones, and the ranges of the options that none of them named."""
    checks = tuple(checks)

    def problems(plain: dict) -> list[str]:
        outside = {
            key: wrong_values(plain, {key: rule})
            for key, rule in RANGES.items()
            if key in plain and not rule[0](plain[key])
        }
        if "sample_rate" in outside or "clip_s" in outside:  # nothing of such a size is built
            return [text for texts in outside.values() for text in texts]
        named = [text for check in checks for text in check(plain)]
        ranges = [
            text
            for key, texts in outside.items()
            if not any(re.search(rf"\b{key}\b", said) for said in named)
            for text in texts
        ]
        return named + ranges

    return problems
