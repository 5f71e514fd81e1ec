"""Compare ViT and AST, both with random or both with pretrained weights."""

from dataclasses import replace
from pathlib import Path

from .finding import DOES_NOT_HOLD, HOLDS, NOT_DECIDED, Finding, Settings
from .runs import collect, planned
from .seed_pairs import SeedPairs, compare_all

CLAIM = (
    "A ViT scores higher than an AST, which was said of a ViT with ImageNet weights and an AST from "
    "random ones; here both have the same weights."
)

EXPERIMENT = "emotion_freezing"
ENCODERS = ("vit", "ast")
SEEDS = 5
SIGNIFICANT = 0.05
NEEDED = (
    "--pretrained takes the weights of a distilled DeiT (tiny, patch 16, 224 x 224) trained on "
    "ImageNet, as timm's deit_tiny_distilled_patch16_224 in a .safetensors file: ViT and AST "
    "both start from it"
)


def measure(settings: Settings) -> Finding:
    """Four systems; ViT less AST with equal weights, and what the weights give to each."""
    sources = {"random": None}
    if settings.pretrained:
        sources["pretrained"] = Path(settings.pretrained).resolve()
    variants = {}
    for source, path in sources.items():
        for encoder in ENCODERS:
            options: dict[str, object] = {"encoder": encoder}
            if path is not None:
                options[f"encoder_options.{encoder}.path"] = str(path)
            variants[_variant(encoder, source, settings)] = options
    if settings.pretrained is None and not settings.dry:
        # Half of the claim decides nothing: show what is there.
        settings = replace(settings, dry=True)
    collected = collect(planned(EXPERIMENT, variants, settings.seeds or SEEDS), settings)
    runs = {
        (encoder, source): collected.runs.get(_variant(encoder, source, settings), {})
        for source in sources
        for encoder in ENCODERS
    }
    rows: list[dict[str, object]] = []
    for (encoder, source), seeds in runs.items():
        row: dict[str, object] = {"system": f"{encoder}, {source}", "seeds": len(seeds)}
        if seeds:
            row["CCC"] = sum(run.ccc for run in seeds.values()) / len(seeds)
        rows.append(row)
    sides = [((("vit", s), ("ast", s)), f"vit less ast, {s}") for s in sources]
    if settings.pretrained:
        sides += [(((e, "pretrained"), (e, "random")), f"{e}, what weights give") for e in ENCODERS]
    compared, adjusted = compare_all({name: (runs[a], runs[b]) for (a, b), name in sides})
    for name, pairs in compared.items():
        rows.append({"system": name, **pairs.row(), "p (Holm)": adjusted.get(name)})
    if settings.pretrained is None:
        return Finding(
            rows,
            NOT_DECIDED,
            f"there are no pretrained weights. {NEEDED}. Shown are the runs with random weights "
            "that are in the results folder.",
        )
    verdict = _judge(compared.get("vit less ast, pretrained"), adjusted)
    return Finding(
        rows,
        verdict,
        f"{len(compared)} comparisons, paired over seeds (95 % intervals, p adjusted after Holm); "
        f"the weights are those of {Path(settings.pretrained).name}. The verdict is on ViT less "
        f"AST with these weights.{collected.lacking}",
    )


def _variant(encoder: str, source: str, settings: Settings) -> str:
    if source == "random":  # the same runs as those of the claim `freezing` without frozen blocks
        return "frozen_0" if encoder == "vit" else "ast"
    return f"{encoder}-{Path(settings.pretrained).stem}"


def _judge(pairs: SeedPairs | None, adjusted: dict[str, float]) -> str:
    if pairs is None or adjusted.get("vit less ast, pretrained", 1) >= SIGNIFICANT:
        return NOT_DECIDED
    return {1: HOLDS, -1: DOES_NOT_HOLD, 0: NOT_DECIDED}[pairs.direction]
