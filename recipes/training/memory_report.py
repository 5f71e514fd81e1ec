"""Report the estimated memory of a run before it trains, and the measured peak afterwards."""

import os

from ...lobes.memory.estimate import RunMemory, estimate_run
from ...processing.system.memory import (
    available_bytes,
    give_freed_memory_back,
    peak_memory_bytes,
    size_text,
)
from .messages import tell
from .runner import Run


def report_memory(run: Run, clip_s: float, decoded_s: float = 0.0) -> RunMemory:
    """Say what the run will take at its peak, and warn where that is more than there is.

    Call it before training, with the modules complete; `finish` then records estimate and peak.

    Arguments
    ---------
    run : as `start` gave it; gets `memory`.
    clip_s : longest clip of a training step, in s.
    decoded_s : sound that is read again in every epoch; as much of it as `cache_gb` allows is kept.
    """
    from speechbrain.utils.distributed import infer_device

    hparams = run.hparams
    device = run.config.run_opts.device or infer_device()  # as the Brain will
    batch_items = hparams["batch_size"]
    if max_batch_s := hparams.get("max_batch_s"):
        batch_items = max(1, min(batch_items, int(max_batch_s / clip_s)))
    bytes_of_decoded = 2 * decoded_s * hparams["sample_rate"]  # 16 bits
    run.memory = estimate_run(
        run.model,
        round(clip_s * hparams["sample_rate"]),
        batch_items,
        hparams["optimizing"],
        cache_bytes=round(min(hparams["cache_gb"] * 1e9, bytes_of_decoded)),
        device=device,
    )
    if not run.memory.small:
        give_freed_memory_back()
    available = available_bytes(device)
    on_gpu = str(device).startswith("cuda")
    # Of the process, what is there already is no longer available, nor needed again.
    ranks = 1 if on_gpu else int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    needed = ranks * (run.memory.total - run.memory.process)
    there = "" if available is None else f"; {size_text(available)} available"
    tell(f"Memory: about {run.memory} in training{'' if ranks == 1 else ' of each rank'}{there}")
    if available is not None and needed > available:
        tell(
            f"WARNING: this run needs about {size_text(needed)} more than now, and only "
            f"{size_text(available)} are available: it may be slow or be stopped by the system. "
            "Take a smaller --batch_size, shorter clips or windows, a smaller encoder, or "
            "freeze blocks of it where it has such an option"
        )
    return run.memory


def measured_memory(run: Run, device) -> dict | None:
    """Estimate and peak of a run so far, for its results; None where nothing was estimated."""
    if run.memory is None:
        return None
    return {"estimate_bytes": run.memory.total, "peak_bytes": peak_memory_bytes(device)}
