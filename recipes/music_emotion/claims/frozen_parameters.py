"""Count the trainable parameters of a Vision Transformer whose first blocks are frozen."""

import torch
from torch import nn

from ....lobes import build_encoder
from .clip import IMAGE_PIXELS
from .finding import Finding, verdict_of

CLAIM = (
    "Of the blocks, norm and head of ViT-B/16 with two outputs 85.06 M parameters learn, and "
    "56.71 M, 42.53 M, 28.35 M or 3,074 when the first 4, 6, 8 or 12 blocks are frozen."
)

#: By number of frozen blocks, and the unit that the number is rounded to.
CLAIMED = {
    0: (85.06e6, 1e4),
    4: (56.71e6, 1e4),
    6: (42.53e6, 1e4),
    8: (28.35e6, 1e4),
    12: (3074, 1),
}
OUTPUTS = 2
#: Of a photograph; what is computed from has one.
CHANNELS = 3


def measure() -> Finding:
    """Parameters by number of frozen blocks, counted on the encoder `vit`."""
    rows = []
    for frozen, (claimed, unit) in CLAIMED.items():
        learned, before = _learned(frozen)
        rows.append(
            {
                "frozen blocks": frozen,
                "claimed": int(claimed),
                "blocks, norm, head": learned,
                "patches, positions, token": before,
                "all that learn": learned + before,
                "as claimed": abs(learned - claimed) <= unit / 2,
            }
        )
    right = all(row["as claimed"] for row in rows)
    whole = rows[0]["all that learn"]
    return Finding(
        rows,
        verdict_of(right),
        f"{sum(row['as claimed'] for row in rows)} of {len(rows)} counts are as claimed. With no "
        f"block frozen the patches, positions and the class token learn too: {whole / 1e6:.2f} M "
        f"in all, of three channels. They are frozen together with the first blocks.",
    )


def _learned(frozen: int) -> tuple[int, int]:
    """Trainable parameters of blocks, norm and head, and of what stands before the blocks."""
    options = {"size": "base", "frames": IMAGE_PIXELS, "freeze_blocks": frozen}
    with torch.device("meta"):  # counted, never computed with
        encoder = build_encoder("vit", IMAGE_PIXELS, options={"vit": options})
        head = nn.Linear(encoder.out_features, OUTPUTS)
    behind = [*encoder.blocks.parameters(), *encoder.norm.parameters(), *head.parameters()]
    learned = sum(p.numel() for p in behind if p.requires_grad)
    all_learned = sum(
        p.numel() for part in (encoder, head) for p in part.parameters() if p.requires_grad
    )
    before = all_learned - learned
    weight = encoder.patch_embed.proj.weight
    if weight.requires_grad:  # folded into one channel here
        before += (CHANNELS - weight.shape[1]) * weight.numel() // weight.shape[1]
    return learned, before
