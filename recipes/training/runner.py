"""Start of a run: command line, processes, corpus, output folder, memory estimate.

Written once, so that a recipe's `train.py` holds only what is particular to its data set.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ...hparams.loader import Config, ConfigError, load_hparams, usage
from ...lobes.build import (
    build_encoder,
    build_frontend,
    build_normalization,
    count_frames,
    option_problems,
    options_of,
)
from ...lobes.registry import ENCODERS, FRONTENDS
from ...lobes.tasks import find_task
from ...processing.system.busy_cores import busy_cores_note
from ...processing.system.files import read_json, write_json
from ...processing.system.memory import (
    available_bytes,
    give_freed_memory_back,
    keep_freed_memory,
    peak_memory_bytes,
    size_text,
    use_large_pages,
)
from .preparation import PreparationError

if TYPE_CHECKING:
    from ...lobes.memory.estimate import RunMemory
    from ...lobes.model import Model
    from .record import Record

__all__ = [
    "RecipeError",
    "Run",
    "claim_folder",
    "lobe_problems",
    "measured_memory",
    "report_memory",
    "resolve_corpus",
    "run_recipe",
    "start",
    "tell",
    "training_objects",
]

#: Keys that may change between two starts of one run.
FREE_KEYS = (
    "cache_gb",
    "num_workers",
    "fresh",
    "download",
    "data_folder",
    "official_test_folder",
    "decoded_folder",
)
#: Keys that are no options of a result: those above, and what has a place of its own there.
NO_OPTIONS = (
    *FREE_KEYS,
    "frontend",
    "encoder",
    "seed",
    "output_folder",
    "results_folder",
    "protocol",
    "mini_size",
)


class RecipeError(Exception):
    """A run that cannot go on, in words for the person who started it."""


def lobe_problems(plain: dict, output: str | None = None) -> list[str]:
    """What is wrong with the lobes and their options in a configuration.

    Arguments
    ---------
    plain : plain values of the YAML.
    output : what the recipe needs of an encoder, "utterance" or "frames"; None: either will do.
    """
    problems = option_problems(
        FRONTENDS, plain["frontend"], plain["frontend_options"]
    ) + option_problems(ENCODERS, plain["encoder"], plain["encoder_options"])
    if problems:
        return problems
    # Values are the lobes' own business: building them now tells before data is prepared.
    try:
        frontend = build_frontend(
            plain["frontend"], plain["sample_rate"], plain["frontend_options"]
        )
        build_normalization(plain["normalization"], frontend)
    except (TypeError, ValueError) as error:
        return [f"frontend {plain['frontend']}: {error}"]
    clip_s = plain.get("clip_s")
    try:
        encoder = _sketch(plain["encoder"], frontend, clip_s, plain["encoder_options"])
    except (TypeError, ValueError) as error:
        return [f"encoder {plain['encoder']}: {error}"]
    if output and encoder.output != output:
        fit = [
            name
            for name in ENCODERS.names()
            if _output_of(name, frontend, clip_s, plain["encoder_options"]) == output
        ]
        name, way = plain["encoder"], ""
        if "output" in options_of(ENCODERS, name):
            way = f"--encoder_options.{name}.output {output} makes it give them. "
        return [
            f"encoder {name} gives {_OUTPUTS[encoder.output]}, and {_OUTPUTS[output]} are needed. "
            f"{way}Encoders that give them: {', '.join(fit) or 'none'}"
        ]
    return []


_OUTPUTS = {"utterance": "vectors of whole utterances", "frames": "frames"}


def _sketch(name: str, frontend, clip_s, options: dict):
    """An encoder without memory or initial values, where its making allows that."""
    import torch

    frames = count_frames(frontend, clip_s)
    try:
        with torch.device("meta"):
            return build_encoder(name, frontend.num_features, frames, options)
    except (NotImplementedError, RuntimeError):  # some nets read a value while they are made
        return build_encoder(name, frontend.num_features, frames, options)


def _output_of(name: str, frontend, clip_s, options: dict) -> str:
    try:
        return _sketch(name, frontend, clip_s, options).output
    except (TypeError, ValueError):  # does not fit this frontend, or is broken
        return ""


def run_recipe(
    recipe: str,
    train: Callable[[Config], None],
    checks: Iterable[Callable[[dict], list[str]]],
    argv: list[str] | None = None,
    task: str = "classification",
    output: Callable[[dict], str | None] | None = None,
) -> int:
    """Read the command line, set up the processes, train; errors of the user end in one message.

    Arguments
    ---------
    recipe : its folder and its YAML; or the path of a YAML of somebody's own recipe.
    train : what is run with the checked configuration.
    checks : what else a configuration has to pass, as for `load_hparams`.
    argv : the command line, by default the process'.
    task : whose record says what is needed of an encoder.
    output : what says so of a configuration instead: "utterance", "frames", or None (either).

    Returns
    -------
    Exit status: 0 done, 1 stopped while running, 2 wrong input.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    if any(word in ("-h", "--help") for word in argv):
        print(usage(recipe, f"recipes/{recipe}/train.py"))
        return 0
    # SpeechBrain's modules read their level from here when they are imported.
    os.environ.setdefault("SB_LOG_LEVEL", "WARNING")
    use_large_pages()
    try:
        needed = output or (lambda plain: find_task(task).output)
        config = load_hparams(
            argv, recipe, [lambda plain: lobe_problems(plain, needed(plain)), *checks]
        )
    except ConfigError as error:
        return _stop(error, 2)
    _set_up_logging()
    keep_freed_memory()
    _note_busy_cores()
    try:
        _init_processes(config)
        train(config)
        if os.environ.get("RANK") is not None:
            _leave_together()
    except (RecipeError, ValueError, OSError, FloatingPointError) as error:
        if os.environ.get("AURICLE_TRACEBACK"):
            raise
        return _stop(
            error, 2 if isinstance(error, (RecipeError, ConfigError, PreparationError)) else 1
        )
    finally:
        _end_processes()
    return 0


def _note_busy_cores() -> None:
    import torch

    note = busy_cores_note(torch.get_num_threads())
    if note is not None and int(os.environ.get("RANK", 0)) == 0:
        logging.getLogger("auricle").warning(note)


def _stop(error: Exception, status: int) -> int:
    if int(os.environ.get("RANK", 0)) == 0 or status == 1:
        print(f"auricle: {error}", file=sys.stderr)
        if status == 1:
            print("(AURICLE_TRACEBACK=1 shows where it happened)", file=sys.stderr)
    return status


def _set_up_logging() -> None:
    """Warnings of everybody, progress of auricle, and of SpeechBrain only the line per epoch."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    per_epoch = logging.getLogger("speechbrain.utils.train_logger")
    # It misses torchvision for pictures that nobody here asks it for.
    per_epoch.addFilter(lambda record: "torchvision" not in record.getMessage())
    importlib.import_module("speechbrain.utils.train_logger")  # sets its level
    for logger in (per_epoch, logging.getLogger("auricle")):
        logger.setLevel(logging.INFO)


def _init_processes(config: Config) -> None:
    """Join the other ranks when torchrun has started several; on CPUs they talk by gloo."""
    import torch
    from speechbrain.utils.distributed import ddp_init_group

    if os.environ.get("RANK") is None:
        return
    on_cpu = config.run_opts.device == "cpu" or not torch.cuda.is_available()
    if on_cpu:
        given = {"distributed_backend": "gloo", "device": "cpu"}
        config.run_opts = dataclasses.replace(
            config.run_opts, **given, overridden_args=config.run_opts.overridden_args | set(given)
        )
    ddp_init_group(config.run_opts)


def _leave_together() -> None:
    """End a rank whose work is done, after the others' is done too.

    Not by returning: when a process that has used gloo ends, torch's own clean-up now and then
    destroys a thread that still runs ("terminate called without an active exception", 2 of about 40
    runs on a busy machine), and torchrun reports a finished run as failed.
    """
    from speechbrain.utils.distributed import ddp_barrier

    ddp_barrier()
    _end_processes()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _end_processes() -> None:
    if "torch" in sys.modules:
        import torch

        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def resolve_corpus(config: Config, recipe: str) -> tuple[Path, dict]:
    """The data folder, made first when it is the mini corpus, and what the results say about it.

    Returns
    -------
    folder, {"name", "synthetic"}
    """
    from speechbrain.utils.distributed import run_on_main

    from ...processing.data.synthetic import is_mini

    wanted = str(config.plain["data_folder"])
    if wanted == "mini":
        from ...processing.data.mini import cached_mini

        run_on_main(cached_mini, [recipe, config.plain["mini_size"]])
        folder = cached_mini(recipe, config.plain["mini_size"])
        name = f"mini-{config.plain['mini_size']}"
    else:
        folder = Path(wanted).expanduser()
        name = folder.resolve().name
    synthetic = folder.is_dir() and is_mini(folder)
    what = "auricle's own synthetic mini corpus, not a benchmark" if synthetic else "a real corpus"
    tell(f"Corpus: {name} ({what})")
    return folder, {"name": name, "synthetic": synthetic}


@dataclasses.dataclass
class Run:
    """A run that is about to train.

    Attributes
    ----------
    config : Config
    hparams : dict, what the YAML builds, and what a Brain needs besides
    output_folder : Path, claimed for this run
    record : what the recipe's `prepare` returned
    corpus : {"name", "synthetic", "complete"}
    memory : RunMemory or None, what `report_memory` estimated
    head : {"name", "options"} of the model's head, as `build_head` takes them
    """

    config: Config
    hparams: dict
    output_folder: Path
    record: Record
    corpus: dict
    memory: RunMemory | None = None
    head: dict | None = None

    @property
    def model(self) -> Model:
        return self.hparams["model"]

    def add_head(self, task: str, num_outputs: int, **options) -> None:
        """Give the model the task's head, which is built when the data says what it gives."""
        from ...lobes.heads import build_head

        self.head = {"name": find_task(task).head, "options": options}
        width = self.model.embedding_model.out_features
        self.model.classifier = build_head(self.head["name"], width, num_outputs, options)

    def build_brain(self, task: str, *args, **kwargs):
        """The task's Brain around the model; further arguments are the Brain's own."""
        return find_task(task).build_brain(
            self.model,
            *args,
            hparams=self.hparams,
            run_opts=self.config.run_opts,
            checkpointer=self.hparams["checkpointer"],
            **kwargs,
        )


def start(config: Config, recipe: str, prepare_from: Callable) -> Run:
    """Find and prepare the data, say what it is, build the YAML's objects, claim the folder.

    Arguments
    ---------
    config : the checked configuration.
    recipe : whose mini corpus "mini" stands for.
    prepare_from : (plain values, data folder) -> Record.
    """
    folder, corpus = resolve_corpus(config, recipe)
    record = prepare_from(config.plain, folder)
    tell(record.describe())
    hparams = config.build()
    hparams = {**training_objects(hparams), **hparams}
    output_folder = claim_folder(config, hparams["output_folder"], record.digest)
    hparams["checkpointer"].sweep()
    corpus = {**corpus, "complete": record.completeness == "complete"}
    return Run(config, hparams, output_folder, record, corpus)


def training_objects(hparams: dict) -> dict:
    """What a Brain needs besides the model, from the values of the YAML; the same in every recipe."""
    from speechbrain.utils.epoch_loop import EpochCounter
    from speechbrain.utils.train_logger import FileTrainLogger

    from ...lobes.brains.checkpoints import AtomicCheckpointer
    from ...processing.data.augmentation.spec_augment import feature_masks

    folder = Path(hparams["output_folder"])
    counter = EpochCounter(limit=hparams["number_of_epochs"])
    masks = ("time_masks", "time_mask_frames", "frequency_masks", "frequency_mask_features")
    return {
        "feature_masks": feature_masks(**{name: hparams[name] for name in masks}),
        "epoch_counter": counter,
        "checkpointer": AtomicCheckpointer(folder / "checkpoints", {"epoch_counter": counter}),
        "train_logger": FileTrainLogger(str(folder / "train_log.txt")),
    }


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

    from ...lobes.memory.estimate import estimate_run

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


def tell(text: str) -> None:
    """Print on the main process."""
    from speechbrain.utils.distributed import if_main_process

    if if_main_process():
        print(text, flush=True)


def claim_folder(config: Config, output_folder: str, data_digest: str) -> Path:
    """Make the output folder this run's own, or go on with the same run.

    A folder that holds a run with other settings or other data is refused, so that no run ever
    resumes another one's checkpoint.

    Raises
    ------
    RecipeError
        Naming each setting that differs.
    """
    from speechbrain.utils.distributed import ddp_barrier, if_main_process

    folder = Path(output_folder)
    mine = {key: value for key, value in config.plain.items() if _is_setting(key, value)}
    mine["data_digest"] = data_digest
    mine = json.loads(json.dumps(mine))
    problem = ""
    if if_main_process():
        if config.plain["fresh"] and folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        record = folder / "settings.json"
        if record.is_file():
            theirs = {k: v for k, v in read_json(record).items() if _is_setting(k, v)}
            differing = [
                f"{key}: {theirs.get(key)!r} there, {mine.get(key)!r} now"
                for key in sorted({*mine, *theirs})
                if mine.get(key) != theirs.get(key)
            ]
            if differing:
                problem = (
                    f"{folder} holds a run with other settings:\n  "
                    + "\n  ".join(differing)
                    + "\nGive another --output_folder, or --fresh true to delete that run"
                )
        else:
            write_json(record, mine)
    ddp_barrier()
    if problem:
        raise RecipeError(problem)
    return folder


def _is_setting(key: str, value) -> bool:
    """Whether a value of the YAML makes a run another one."""
    if key in (*FREE_KEYS, "output_folder", "results_folder") or isinstance(value, Path):
        return False
    # What is built from other keys is described by them.
    return not _is_reference(value)


def _is_reference(value) -> bool:
    """A tag of the YAML, or a map or list of nothing but such."""
    if isinstance(value, (dict, list)):
        members = value.values() if isinstance(value, dict) else value
        return bool(members) and all(map(_is_reference, members))
    return isinstance(value, str) and value.startswith("!")
