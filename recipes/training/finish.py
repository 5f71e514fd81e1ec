"""End of a run: results.json, pictures, the bundle, and a summary."""

import dataclasses
import os
from pathlib import Path

from speechbrain.utils.distributed import if_main_process

from ...hparams.loader import shipped_defaults
from ...lobes import bundles, count_frames
from ...lobes.model import count_parameters
from ...processing.filterbank.displacement import displacement
from ...processing.plots.common import save_figure
from ...processing.plots.filters import learned_filters
from ...processing.plots.training import training_curves
from ..reports.results import RunResult, describe_device
from .memory_report import measured_memory
from .messages import tell
from .output_folder import NO_OPTIONS
from .runner import Run


def finish(
    run: Run,
    brain,
    *,
    task: str,
    dataset: str,
    protocol: dict,
    labels: list[str],
    bundled: dict | None = None,
    use: str = "predict BUNDLE FILE.wav",
) -> None:
    """Write everything a finished run leaves behind, from the best epoch's model, on one rank.

    Arguments
    ---------
    run : as `start` gave it
    brain : a trained and tested Brain, its modules holding the best epoch
    task, dataset, protocol : as in `RunResult`
    labels : class names in order
    bundled : what the bundle's description says besides; the task's record says what it must
    use : the command of `auricle` that uses the bundle

    Raises
    ------
    ValueError
        An entry is missing without which the bundle could not answer.
    """
    bundled = bundled or {}
    if missing := [name for name in brain.task.bundled if name not in bundled]:
        raise ValueError(f"a bundle of {brain.task.name} needs {', '.join(missing)} in `bundled`")
    if not if_main_process():
        return
    config, output_folder = run.config, run.output_folder
    plain, history = config.plain, brain.history
    best = next(record for record in history.epochs if record["epoch"] == brain.best_epoch)
    model = brain.model
    options = _options(config)
    before = brain.initial_filters
    after = None if before is None else model.compute_features.filters()
    result = RunResult(
        task=task,
        dataset=dataset,
        protocol=protocol,
        data_digest=run.record.digest,
        corpus=run.corpus,
        counts=run.record.counts,
        frontend=plain["frontend"],
        encoder=plain["encoder"],
        options=options,
        seed=plain["seed"],
        params={
            "frontend": count_parameters(model.compute_features),
            "encoder": count_parameters(model.embedding_model),
            "head": count_parameters(model.classifier),
        },
        metrics={
            "valid": {"epoch": best["epoch"], **(brain.valid_record or best["valid"])},
            "test": brain.test_record,
        },
        epochs=len(history.epochs),
        started=history.started,
        wall_s=round(history.seconds, 1),
        audio_s_per_s=round(history.audio_seconds / max(history.seconds, 1e-9), 1),
        device=describe_device(brain.device),
        filters=None if before is None else displacement(before, after),
        experiment=config.experiment,
        memory=measured_memory(run, brain.device),
    )
    path = result.write(output_folder)
    description = {**_describe(result, run, model, labels), **bundled}
    bundle = bundles.save(output_folder / "bundle", description, model)
    bundles.write_card(bundle, description, result.to_dict())
    brain.keep_predictions(output_folder)
    pictures = _draw(brain, config, output_folder, best["epoch"], result)
    if brain.tracking is not None:
        brain.tracking.log_test(result.metrics["test"], pictures, len(history.epochs))
    _report(brain, result, path, bundle, pictures, use)


def _options(config) -> dict:
    """Every setting that differs from the shipped YAML and changes what is learned."""
    defaults = shipped_defaults(config.schema)
    plain = config.plain
    differing = {
        key: _differing(value, defaults[key])
        for key, value in plain.items()
        if key in defaults and key not in NO_OPTIONS and value != defaults[key]
    }
    # Options of lobes that were not built say nothing about this run.
    for kind in ("frontend", "encoder"):
        differing.pop(f"{kind}_options", None)
        if used := lobe_options(plain, kind):
            differing[f"{kind}_options"] = used
    if used := run_options(config.run_opts):
        differing["run_options"] = used
    return differing


#: Of SpeechBrain's run options, those that leave what is learned and scored as it is, or that have
#: a place of their own in the results (the device).
NO_EFFECT = (
    *("test_only", "device", "distributed_backend", "distributed_launch", "noprogressbar"),
    *("find_unused_parameters", "tqdm_colored_bar", "tqdm_barcolor", "log_config", "param_file"),
    *("overridden_args", "ckpt_interval_minutes", "ckpt_interval_steps"),
)


def run_options(run_opts) -> dict:
    """SpeechBrain's run options that are not at their default and may change a result.

    Beside them "processes", where several trained together: each adds its batch to a step.
    """
    defaults = dataclasses.asdict(type(run_opts)())
    used = {
        name: value
        for name, value in dataclasses.asdict(run_opts).items()
        if name not in NO_EFFECT and value != defaults[name]
    }
    processes = int(os.environ.get("WORLD_SIZE", 1))
    return used | ({"processes": processes} if processes > 1 else {})


#: Licences of data sets as Hugging Face spells them, and what there is to say, by how names begin.
LICENCES = {
    "speech_commands": ("cc-by-4.0", "Speech Commands (Warden, 2018) is under CC BY 4.0"),
    "speechocean762": (
        "other",
        "speechocean762 (openslr.org/101) is free for commercial and non-commercial use",
    ),
}


def _differing(value, default):
    """Of a map, the entries that are not as shipped."""
    if not (isinstance(value, dict) and isinstance(default, dict)):
        return value
    return {key: entry for key, entry in value.items() if entry != default.get(key)}


def _describe(result: RunResult, run: Run, model, labels: list[str]) -> dict:
    plain = run.config.plain
    clip_s = plain.get("clip_s")
    frontend, encoder = model.compute_features, model.embedding_model
    return {
        "task": result.task,
        "dataset": result.dataset,
        "corpus": result.corpus,
        "protocol": result.protocol,
        "data_digest": result.data_digest,
        "test": {
            key: value
            for key, value in result.metrics["test"].items()
            if isinstance(value, (int, float))
        },
        "sample_rate": plain["sample_rate"],
        "clip_s": clip_s,
        "labels": labels,
        "normalization": _normalization(plain["normalization"], frontend),
        "frontend": {
            "name": plain["frontend"],
            "options": frontend.lasting_options(lobe_options(plain, "frontend")),
        },
        "encoder": {
            "name": plain["encoder"],
            "options": encoder.lasting_options(lobe_options(plain, "encoder")),
            "in_frames": count_frames(frontend, clip_s),
        },
        "head": run.head,
        "versions": result.versions,
        **_licence(result),
    }


def _licence(result: RunResult) -> dict:
    """What the model card says of the licence, where the data set is known to have one."""
    if result.corpus["synthetic"]:
        known = ("apache-2.0", "auricle made the recordings")
    else:
        note = f"the licence of the recordings of {result.dataset} holds for what is made of them"
        named = (value for name, value in LICENCES.items() if result.dataset.startswith(name))
        known = next(named, ("other", note))
    return dict(zip(("licence", "licence_note"), known, strict=True))


def lobe_options(plain: dict, kind: str) -> dict:
    """What the YAML sets of the lobe that is built, "frontend" or "encoder"."""
    return (plain[f"{kind}_options"] or {}).get(plain[kind]) or {}


def _normalization(kind: str, frontend) -> str:
    return frontend.normalization if kind == "auto" else kind


def _draw(brain, config, folder: Path, best_epoch: int, result: RunResult) -> list[Path]:
    plain = config.plain
    synthetic = " (synthetic)" if result.corpus["synthetic"] else ""
    name = f"{plain['frontend']} + {plain['encoder']}, {result.corpus['name']}{synthetic}"
    curves = training_curves(brain.history.curves(), name, best_epoch)
    pictures = [
        save_figure(curves, folder / "training_curves.png"),
        *brain.pictures(folder, name),
    ]
    before = brain.initial_filters
    if before is not None:
        frontend = brain.model.compute_features
        after = None if frontend.fixed else frontend.filters()
        figure = learned_filters(before, after, name)
        pictures.append(save_figure(figure, folder / "learned_filters.png"))
    return pictures


def _movement(filters: dict | None) -> str:
    if filters is None:
        return ""
    return (
        "Training moved the filters' centres by {centre_shift_hz:.2f} Hz "
        "({centre_shift_erb:.3f} ERB) and their bandwidths by {bandwidth_shift_hz:.2f} Hz "
        "on average; divergence {divergence:.4f}\n"
    ).format(**filters)


def _report(brain, result: RunResult, path: Path, bundle: Path, pictures: list, use: str) -> None:
    corpus = result.corpus
    warning = " (synthetic mini corpus, not a benchmark)" if corpus["synthetic"] else ""
    tell(
        f"\n{brain.describe_test()}, on {corpus['name']}{warning}\n"
        f"{'' if brain.model.compute_features.fixed else _movement(result.filters)}"
        f"Training took {result.wall_s:.0f} s for {result.epochs} epochs\n"
        f"Results:  {path}\n"
        f"Model:    {bundle}   (auricle {use.replace('BUNDLE', str(bundle))})"
    )
    for picture in pictures:
        tell(f"Picture:  {picture}")
