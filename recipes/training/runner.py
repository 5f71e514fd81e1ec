"""Run a recipe: command line, processes, corpus, objects that a Brain needs.

Written once, so that a recipe's `train.py` holds only what is particular to its data set.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ...hparams.loader import Config, ConfigError, load_hparams, usage
from ...lobes.brains import interruption, standstill
from ...lobes.tasks import find_task
from ...processing.system.busy_cores import busy_cores_note
from ...processing.system.memory import keep_freed_memory, use_large_pages
from ..reports.printing import print_error
from .lobe_checks import common_problems
from .messages import RecipeError, tell
from .option_ranges import checked
from .output_folder import claim_folder, release_folder
from .preparation import PreparationError

if TYPE_CHECKING:
    from ...lobes.memory.estimate import RunMemory
    from ...lobes.model import Model
    from .record import Prepared


#: Exit status of a run that was stopped and goes on when it is started again (EX_TEMPFAIL).
AGAIN = 75


@dataclasses.dataclass
class Rehearsal:
    """What is known of a run that ends before it trains; see `rehearse`.

    Attributes
    ----------
    status : of the command.
    errors : what it printed as errors.
    data_digest : of the prepared data, "" where it was not prepared.
    """

    prepares: bool
    status: int = 0
    errors: str = ""
    data_digest: str = ""


class _RehearsedError(BaseException):
    """The end of a rehearsal. No error of the run, so no Exception."""


_rehearsal: Rehearsal | None = None


def rehearse(main: Callable, argv: list[str], prepares: bool) -> Rehearsal:
    """Do what a training command does before it claims its folder.

    Arguments
    ---------
    main : of a recipe that runs by `run_recipe`.
    argv : the command line.
    prepares : whether the data is prepared too, or the configuration is only checked.
    """
    global _rehearsal
    _rehearsal = rehearsal = Rehearsal(prepares)
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            rehearsal.status = main(argv)
    except _RehearsedError:
        rehearsal.status = 0
    finally:
        _rehearsal = None
    rehearsal.errors = errors.getvalue().strip()
    return rehearsal


def run_recipe(
    recipe: str | Path,
    train: Callable[[Config], None],
    checks: Iterable[Callable[[dict], list[str]]] = (),
    argv: list[str] | None = None,
    task: str = "classification",
    output: Callable[[dict], str | None] | None = None,
) -> int:
    """Read the command line, set up the processes, train; errors of the user end in one message.

    Arguments
    ---------
    recipe : the name of its folder and its YAML; or the path of a YAML, which may lie anywhere and
        say with `include` which keys it shares with auricle's own (`auricle.hparams.include`).
    train : what is run with the checked configuration.
    checks : what else than lobes and optimisation a configuration has to pass, as for
        `load_hparams`.
    argv : the command line, by default the process'.
    task : whose record says what is needed of an encoder.
    output : what says so of a configuration instead: "utterance", "frames", or None (either).

    Returns
    -------
    Exit status: 0 done, 1 stopped while running, 2 wrong input, 75 (`AGAIN`) stopped by SIGTERM or
    SIGUSR1 after a checkpoint, or because another rank stands still (the same command goes on), 130
    interrupted from the keyboard.
    """
    with interruption.handled():
        try:
            return _run(recipe, train, checks, argv, task, output)
        except interruption.StopRequested:
            name = interruption.requested() or "another process"
            return _stopped(
                f"stopped by {name}; the same command goes on from the last step", AGAIN
            )
        except KeyboardInterrupt:
            return _stopped("interrupted; the same command goes on from the last checkpoint", 130)


def _stopped(text: str, status: int) -> int:
    """End after a signal, with one line of the main process; a rank does not wait for others."""
    if int(os.environ.get("RANK", 0)) == 0:
        print(f"auricle: {text}", file=sys.stderr)
    if os.environ.get("RANK") is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def _run(recipe, train, checks, argv, task, output) -> int:
    argv = sys.argv[1:] if argv is None else list(argv)
    if any(word in ("-h", "--help") for word in argv):
        print(usage(recipe, _program(recipe)))
        return 0
    # SpeechBrain's modules read their level from here when they are imported.
    os.environ.setdefault("SB_LOG_LEVEL", "WARNING")
    use_large_pages()
    try:
        needed = output or (lambda plain: find_task(task).output)
        every = [lambda plain: common_problems(plain, needed(plain)), *checks]
        config = load_hparams(argv, recipe, [checked(every)])
        _check_logger(config.logger)
        if _rehearsal and not _rehearsal.prepares:
            return 0
    except ConfigError as error:
        return _stop(error, 2)
    _set_up_logging()
    keep_freed_memory()
    _note_busy_cores()
    try:
        watch = _init_processes(config)
        train(config)
        if os.environ.get("RANK") is not None:
            _leave_together(watch)
    except (RecipeError, ValueError, OSError, FloatingPointError) as error:
        if os.environ.get("AURICLE_TRACEBACK"):
            raise
        return _stop(
            error, 2 if isinstance(error, (RecipeError, ConfigError, PreparationError)) else 1
        )
    except RuntimeError as error:
        if os.environ.get("AURICLE_TRACEBACK") or not _has_lost_a_rank(error):
            raise
        _end_without(f"another rank has ended ({str(error).rpartition('] ')[2]})")
    finally:
        release_folder()
        if not isinstance(sys.exc_info()[1], (interruption.StopRequested, KeyboardInterrupt)):
            _end_processes()  # else the others may be gone, who would be waited for
    return 0


def _check_logger(name: str | None) -> None:
    """Raise a ConfigError where a tracker is not known, or not installed."""
    from ...lobes.brains.trackers import TRACKERS, missing_package

    if name is None:
        return
    if name not in TRACKERS:
        raise ConfigError([f"--logger {name}: there are {', '.join(TRACKERS)}"])
    if package := missing_package(name):
        raise ConfigError(
            [
                f"--logger {name} needs {package}: pip install 'auricle[trackers]' (or {package} alone)"
            ]
        )


def _program(recipe: str | Path) -> str:
    """What was typed to run a recipe."""
    script = Path(sys.argv[0])
    if script.stem in ("auricle", "__main__") and len(sys.argv) > 2:
        return f"auricle {sys.argv[1]} {sys.argv[2]}"
    own = Path(recipe).suffix
    return script.name if own else f"recipes/{recipe}/train.py"


def _note_busy_cores() -> None:
    import torch

    note = busy_cores_note(torch.get_num_threads())
    if note is not None and int(os.environ.get("RANK", 0)) == 0:
        logging.getLogger("auricle").warning(note)


def _stop(error: Exception, status: int) -> int:
    if int(os.environ.get("RANK", 0)) == 0 or status == 1:
        print_error(error)
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


def _init_processes(config: Config) -> standstill.Watch | None:
    """Join the other ranks when torchrun has started several; on CPUs they talk by gloo.

    Returns
    -------
    What ends this rank when another one stands still; None where there are no others.
    """
    import torch
    from speechbrain.utils.distributed import ddp_init_group

    if os.environ.get("RANK") is None:
        return None
    on_cpu = config.run_opts.device == "cpu" or not torch.cuda.is_available()
    if on_cpu:
        given = {"distributed_backend": "gloo", "device": "cpu"}
        config.run_opts = dataclasses.replace(
            config.run_opts, **given, overridden_args=config.run_opts.overridden_args | set(given)
        )
    ddp_init_group(config.run_opts)
    limit_s = config.plain["rank_limit_s"]
    if not limit_s:
        return None
    return standstill.Watch(limit_s, lambda missing: _end_without(f"{missing} (rank_limit_s)"))


def _has_lost_a_rank(error: RuntimeError) -> bool:
    """Whether a collective has failed because the connection to another rank broke."""
    broken = r"Connection (closed|reset)|Broken pipe|[Tt]imed out"
    return os.environ.get("RANK") is not None and re.search(broken, str(error)) is not None


def _end_without(missing: str) -> None:
    """End this rank, which others can only wait for."""
    print(
        f"auricle: rank {os.environ['RANK']} ends: {missing}; "
        "the same command goes on from the last checkpoint",
        file=sys.stderr,
        flush=True,
    )
    os._exit(AGAIN)


def _leave_together(watch: standstill.Watch | None) -> None:
    """End a rank whose work is done, after the others' is done too.

    Not by returning: when a process that has used gloo ends, torch's own clean-up now and then
    destroys a thread that still runs ("terminate called without an active exception", 2 of about 40
    runs on a busy machine), and torchrun reports a finished run as failed.
    """
    from speechbrain.utils.distributed import ddp_barrier

    ddp_barrier()
    if watch:
        watch.close()
    release_folder()
    _end_processes()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _end_processes() -> None:
    if "torch" in sys.modules:
        import torch

        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def resolve_corpus(config: Config, recipe: str, quiet: bool = False) -> tuple[Path, dict]:
    """The data folder, made first when it is the mini corpus, and what the results say about it.

    It is printed, too, unless `quiet`.

    Returns
    -------
    folder, {"name", "synthetic"}
    """
    from speechbrain.utils.distributed import run_on_main

    from ...processing.data.synthetic import is_mini

    wanted = str(config.plain["data_folder"])
    if wanted == "mini":
        from ...processing.data.mini import CORPORA, cached_mini

        if recipe not in CORPORA:
            raise RecipeError(
                f"there is no mini corpus of {recipe}, only of {', '.join(CORPORA)}: give the folder "
                "of the data with --data_folder"
            )
        run_on_main(cached_mini, [recipe, config.plain["mini_size"]])
        folder = cached_mini(recipe, config.plain["mini_size"])
        name = f"mini-{config.plain['mini_size']}"
    else:
        folder = Path(wanted).expanduser()
        name = folder.resolve().name
    synthetic = folder.is_dir() and is_mini(folder)
    what = "auricle's own synthetic mini corpus, not a benchmark" if synthetic else "a real corpus"
    if not quiet:
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
    record : what the recipe's `prepare` returned, as `auricle.recipes.training.record.Prepared`
    corpus : {"name", "synthetic", "complete"}, and "overlap" where splits share recordings
    memory : RunMemory or None, what `report_memory` estimated
    head : {"name", "options"} of the model's head, as `build_head` takes them
    """

    config: Config
    hparams: dict
    output_folder: Path
    record: Prepared
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

    def fit_and_test(self, brain, sets: dict, loader: dict, training: dict | None = None) -> None:
        """Train, choose the epoch by the task's headline score, and score the test set.

        Arguments
        ---------
        brain : as `build_brain` gave it.
        sets : datasets "train", "valid" and "test".
        loader : options of the loaders, as SpeechBrain's `Brain.fit` takes them.
        training : those of the training set that are others.
        """
        training = {**loader, **(training or {})}
        counter = self.hparams["epoch_counter"]
        brain.fit(counter, sets["train"], sets["valid"], None, training, loader)
        best = "max_key" if brain.task.higher_is_better else "min_key"
        brain.evaluate(sets["test"], **{best: brain.headline}, test_loader_kwargs=loader)

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
    prepare_from : (plain values, data folder) -> Prepared.

    Raises
    ------
    RecipeError
        The data folder is "mini", and the recipe has no mini corpus; the output folder holds
        another run, or files of others, or is in use.
    """
    folder, corpus = resolve_corpus(config, recipe)
    record = prepare_from(config.plain, folder)
    tell(record.describe())
    if _rehearsal:
        _rehearsal.data_digest = record.digest
        raise _RehearsedError
    hparams = config.build()
    output_folder = claim_folder(config, hparams["output_folder"], record.digest)
    hparams = {**training_objects(hparams), **hparams}
    hparams["checkpointer"].sweep()
    hparams["tracking"] = _tracking(config, output_folder)
    corpus = {**corpus, "complete": record.completeness == "complete"}
    if overlap := getattr(record, "overlap", {}):
        corpus["overlap"] = overlap
    return Run(config, hparams, output_folder, record, corpus)


def _tracking(config: Config, output_folder: Path):
    """The tracker that follows a run; of runs in one results folder, the curves are side by side."""
    from ...lobes.brains.trackers import Tracking

    if config.logger is None:
        return None
    folder = Path(config.plain["results_folder"])
    try:
        name = output_folder.resolve().relative_to(folder.resolve()).as_posix().replace("/", "-")
    except ValueError:
        name = output_folder.name
    values = {key: value for key, value in config.plain.items() if not key.endswith("_folder")}
    options = {key: value for key, value in values.items() if not str(value).startswith("!")}
    return Tracking(config.logger, output_folder, folder, name, options)


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
