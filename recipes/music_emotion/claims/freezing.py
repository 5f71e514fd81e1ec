"""Compare Vision Transformers with half of their blocks frozen with other numbers of blocks."""

from pathlib import Path

from .finding import DOES_NOT_HOLD, HOLDS, NOT_DECIDED, Finding, Settings
from .runs import FinishedRun, collect, planned
from .seed_pairs import SeedPairs, compare_all

CLAIM = (
    "A ViT with 6 of its 12 blocks frozen reaches a higher CCC than with 0, 4 or 12 frozen: 0.74 "
    "against 0.65, 0.71 and 0.73, published of ImageNet weights."
)

EXPERIMENT = "emotion_freezing"
BEST, OTHERS = 6, (0, 4, 12)
SEEDS = 5
SIGNIFICANT = 0.05


def measure(settings: Settings) -> Finding:
    """CCC by frozen blocks, and 6 against each of the others, paired over seeds."""
    weights = {}
    if settings.pretrained:
        weights = {"encoder_options.vit.path": str(Path(settings.pretrained).resolve())}
    prefix = f"{Path(settings.pretrained).stem}-" if settings.pretrained else ""
    names = {count: f"{prefix}frozen_{count}" for count in sorted((BEST, *OTHERS))}
    variants = {
        name: {**weights, **({"encoder_options.vit.freeze_blocks": count} if count else {})}
        for count, name in names.items()
    }
    collected = collect(planned(EXPERIMENT, variants, settings.seeds or SEEDS), settings)
    runs = {count: collected.runs.get(name, {}) for count, name in names.items()}
    compared, adjusted = compare_all({n: (runs[BEST], runs[n]) for n in OTHERS})
    rows = [_row(count, runs[count], compared.get(count), adjusted.get(count)) for count in runs]
    verdict, because = _judge(compared, adjusted)
    if weights:
        origin = f"the weights are those of {Path(settings.pretrained).name}"
    else:
        origin = (
            "the weights were random, which says nothing of ImageNet's: give a file of a ViT "
            "(tiny) with --pretrained"
        )
    return Finding(rows, verdict, f"{because} Here {origin}.{collected.lacking}")


def _row(count: int, runs: dict[int, FinishedRun], pairs: SeedPairs | None, adjusted: float | None):
    row: dict[str, object] = {"frozen blocks": count}
    if runs:
        row["CCC"] = sum(run.ccc for run in runs.values()) / len(runs)
        row["lowest"] = min(run.ccc for run in runs.values())
        row["highest"] = max(run.ccc for run in runs.values())
    if pairs is None:
        return {**row, "seeds": len(runs)}
    # `difference` is that of 6 frozen blocks less this one.
    columns = pairs.row()
    return {**row, f"{BEST} less it": columns.pop("difference"), **columns, "p (Holm)": adjusted}


def _judge(compared: dict[int, SeedPairs], adjusted: dict[int, float]) -> tuple[str, str]:
    """Holds if 6 beats each other number over seeds; does not if it loses to one."""
    sides = {
        n: pairs.direction if adjusted.get(n, 1) < SIGNIFICANT else 0
        for n, pairs in compared.items()
    }
    better = [n for n, side in sides.items() if side > 0]
    worse = [n for n, side in sides.items() if side < 0]
    if worse:
        verdict = DOES_NOT_HOLD
    else:
        verdict = HOLDS if len(better) == len(OTHERS) else NOT_DECIDED
    seeds = min((len(pairs.differences) for pairs in compared.values()), default=0)
    songs = sum(not p.songs_interval[0] <= 0 <= p.songs_interval[1] for p in compared.values())
    return verdict, (
        f"{len(compared)} of {len(OTHERS)} comparisons, paired over {seeds} seeds or more (95 % "
        f"intervals, p adjusted after Holm). Better than with {BEST} frozen blocks: with "
        f"{_numbers(worse)} of them. Worse: with {_numbers(better)}. Over songs, for these very "
        f"models, {songs} of the intervals leave out 0."
    )


def _numbers(counts: list[int]) -> str:
    return ", ".join(map(str, counts)) or "no other number"
