"""Runs of a recipe's train.py: in processes that start warm, in this one, or by the command line."""

import contextlib
import dataclasses
import io
import json
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from auricle.recipes.reports.results import load_results

REPOSITORY = Path(__file__).resolve().parents[2]
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
#: What a run imports before it begins: 5 s of CPU time that forked processes share.
WARM = ["speechbrain", "torch._dynamo", "matplotlib.pyplot", "auricle.recipes.training.finish"]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "SB_LOG_LEVEL": "WARNING"}
SAVE_FIGURE = "matplotlib.figure.Figure.savefig"

#: Forks processes that have imported `WARM`.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(WARM)


def train_script(recipe):
    return REPOSITORY / "recipes" / recipe / "train.py"


@dataclasses.dataclass
class Recipe:
    """A recipe, its tiny mini corpus, and the settings of a run of a few seconds."""

    name: str
    settings: dict
    corpus: Path = None

    def words(self, folder, *extra):
        """A training command; what a test gives replaces the settings."""
        settings = {
            "data_folder": self.corpus,
            "results_folder": folder.parent,
            "output_folder": folder,
            "device": "cpu",
            **self.settings,
        }
        kept = []
        for key, value in settings.items():
            if f"--{key}" not in extra:
                kept += [f"--{key}", str(value)]
        yaml = REPOSITORY / "hparams" / f"{self.name}.yaml"
        return [str(yaml), "--noprogressbar", *kept, *map(str, extra)]

    def main(self, folder, *extra):
        """Exit status of a run in this process."""
        module = __import__(f"auricle.recipes.{self.name}.train", fromlist=["main"])
        return module.main(self.words(folder, *extra))

    def train(self, folder, *extra, pictures=False):
        """Results of a run in this process, and what it printed; drawing takes a second."""
        draw = contextlib.nullcontext() if pictures else mock.patch(SAVE_FIGURE, _no_picture)
        with draw, contextlib.redirect_stdout(io.StringIO()) as printed:
            assert self.main(folder, *extra) == 0
        (result,) = load_results(folder)
        return result, printed.getvalue()

    def status(self, folder, *extra):
        """Exit status of a run in this process, and what it printed as errors."""
        with contextlib.redirect_stderr(io.StringIO()) as printed:
            return self.main(folder, *extra), printed.getvalue()

    def run(self, folder, *extra, **options):
        """A run in a process of its own; see `run`."""
        return run(train_script(self.name), *self.words(folder, *extra), **options)


def run(script, *words, check=True, launcher=None, ranks=1, die_at=None, dies=None, timeout=300):
    """Run a script as `python script words`, far from the repository.

    Arguments
    ---------
    check : whether it has to end with status 0.
    launcher : a real command line to start it with; by default it is forked from a process that
        has imported the libraries.
    ranks : processes that train together.
    die_at : ("step", n) or ("save", n): killed before its n-th optimiser step, or before it writes
        the weights of its n-th checkpoint; ("moment", s): after so many seconds; or with a third,
        the signal to send instead.
    dies : the rank that does so; None: all.
    """
    words = list(map(str, words))
    environment = {**os.environ, **ONE_THREAD}
    if launcher:
        done = subprocess.run(
            [*launcher, str(script), *words],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment,
            cwd=Path(script).anchor,
        )
    else:
        done = _forked(str(script), words, environment, ranks, die_at, dies, timeout)
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


def _forked(script, words, environment, ranks, die_at, dies, timeout):
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, ONE_THREAD):
        if ranks > 1:
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = str(free.getsockname()[1])
            environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            environment |= {"WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks)}
        processes = []
        for rank in range(ranks):
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank)} if ranks > 1 else {}
            logs = [f"{folder}/{kind}{rank}" for kind in ("stdout", "stderr")]
            given = (script, words, {**environment, **own}, logs, dies in (None, rank) and die_at)
            processes.append(SERVER.Process(target=_child, args=given, daemon=True))
            processes[-1].start()
        for process in processes:
            # A stopped process is ended as torchrun would do it when another one has failed.
            stopped = die_at and signal.SIGSTOP in die_at and processes[0].exitcode
            process.join(0 if stopped else timeout)
            if process.exitcode is None:
                process.kill()
                process.join()
        status = next((p.exitcode for p in processes if p.exitcode != 0), 0)
        texts = ["".join(p.read_text() for p in sorted(Path(folder).glob(f"{kind}*")))
                 for kind in ("stdout", "stderr")]  # fmt: skip
    return SimpleNamespace(returncode=status, stdout=texts[0], stderr=texts[1])


def _child(script, words, environment, logs, die_at):
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(Path(script).anchor)
    for descriptor, log in enumerate(logs, start=1):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT), descriptor)
    sys.stdout, sys.stderr = (open(d, "w", buffering=1, closefd=False) for d in (1, 2))
    if die_at:
        _die(*die_at)
    sys.argv = [script, *words]
    mock.patch(SAVE_FIGURE, _no_picture).start()  # drawing takes a second
    runpy.run_path(script, run_name="__main__")


def _die(what, number, signal_number=signal.SIGKILL):
    """Send a signal to this process before the given step or save, or after some seconds."""
    if what == "moment":
        threading.Timer(number, os.kill, (os.getpid(), signal_number)).start()
        return

    import torch
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    count, save = 0, torch.save

    def one_more(*_):
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), signal_number)

    def counted_save(state, file, *args, **kwargs):
        if str(file).endswith("model.ckpt"):
            one_more()
        save(state, file, *args, **kwargs)

    if what == "step":
        register_optimizer_step_pre_hook(one_more)
    else:
        torch.save = counted_save


def _no_picture(figure, path, *args, **kwargs):
    Path(path).touch()


def history(folder):
    """The records of all epochs of a run: those of its latest checkpoint."""
    files = (folder / "checkpoints").glob("CKPT*/history.ckpt")
    return max((json.loads(file.read_text())["epochs"] for file in files), key=len)
