"""Trainings that are killed, stopped or started as others: bit-equal in the end, or refused by name.

    make kills N=40

N seeded cases over the four recipes, of ten kinds in turn (`KINDS`); ranks that stand still, die
alone or are stopped; other signals; two processes beside one.
"""

import dataclasses
import os
import random
import signal
import time

import pytest
from command_line import TORCHRUN, history
from every_recipe import TwoProcesses, said_once, same_outcome
from small_runs import SMALL

from auricle.recipes.reports.results import load_results

N = int(os.environ.get("N", 40))
SEED = int(os.environ.get("SEED", 1))
OFTEN = ("--ckpt_interval_steps", 1)
#: What happens when: "moment" is any time from the start to the end of the process.
KINDS = (
    *[("step", signal.SIGKILL), ("step", signal.SIGTERM), ("moment", signal.SIGKILL)],
    *[("save", signal.SIGKILL), ("moment", signal.SIGTERM), ("step", signal.SIGKILL)],
    *[("ranks", signal.SIGKILL), ("step", signal.SIGTERM), ("moment", signal.SIGKILL)],
    ("step", signal.SIGKILL),
)
#: Statuses of a process that was killed, that was asked to stop, or that was done before.
STOPPED = {signal.SIGKILL: {-signal.SIGKILL, 0}, signal.SIGTERM: {-signal.SIGTERM, 75, 0}}


@pytest.fixture(scope="class")
def recipe(request, tiny):
    name = request.cls.recipe_name
    return dataclasses.replace(SMALL[name], corpus=tiny(name))


@pytest.fixture(scope="class")
def finished(whole):
    folder, _ = whole(1)
    return folder, *load_results(folder)


@pytest.fixture(scope="class")
def whole(recipe, tmp_path_factory):
    """A function from a number of ranks to an uninterrupted run of so many, and its seconds."""
    made = {}

    def run(ranks):
        if ranks not in made:
            folder = tmp_path_factory.mktemp("whole") / "run"
            start = time.monotonic()
            recipe.run(folder, *OFTEN, ranks=ranks)
            made[ranks] = folder, time.monotonic() - start
        return made[ranks]

    return run


def cases(recipe):
    """(number, kind, signal) of those of the N cases that a recipe has."""
    place = list(SMALL).index(recipe)
    for number in range(place, N, len(SMALL)):
        # Each recipe begins with another kind, so that few cases have many.
        yield number, *KINDS[(number // len(SMALL) + 3 * place) % len(KINDS)]


class Killed(TwoProcesses):
    """The cases of one recipe, and its two processes beside one."""

    #: Whether its changed number of ranks is from 1 to 2, or from 2 to 1.
    ranks = (1, 2)

    def pytest_generate_tests(self, metafunc):
        if "case" in metafunc.fixturenames:
            every = list(cases(self.recipe_name))
            ids = [f"{number}-{kind}-{signal.Signals(by).name}" for number, kind, by in every]
            metafunc.parametrize("case", every, ids=ids)

    def test_it_ends_bit_equal(self, recipe, whole, tmp_path, case):
        number, kind, by = case
        draw = random.Random(f"{SEED}/{number}")
        first, other = self.ranks if kind == "ranks" else (1, 1)
        folder = tmp_path / "run"
        expected, took_s = whole(first)
        steps = len(history(expected)) * steps_per_epoch(expected)
        when = {
            "step": draw.randint(1, steps),
            "ranks": draw.randint(steps // 2 + 1, steps),
            "save": draw.randint(1, steps),
            "moment": round(draw.uniform(0.2, took_s), 2),
        }[kind]
        what = "step" if kind == "ranks" else kind
        died = recipe.run(folder, *OFTEN, ranks=first, check=False, die_at=(what, when, by))
        if kind == "step" and number % 2:  # once more, later
            died = recipe.run(folder, *OFTEN, check=False, die_at=("step", draw.randint(1, 9), by))
        print(f"case {number}: {kind} {when} by {signal.Signals(by).name}: {died.returncode}")
        assert died.returncode in STOPPED[by] and "Traceback" not in died.stderr
        if kind == "ranks":
            refused = recipe.run(folder, *OFTEN, ranks=other, check=False)
            assert refused.returncode == 2 and f"processes: {first} there, {other} now" in (
                refused.stderr
            )
        recipe.run(folder, *OFTEN, ranks=first)
        same_outcome(folder, expected)
        left = [
            path for path in tmp_path.rglob("*.part") if time.time() - path.stat().st_mtime > 10
        ]
        assert not left


def steps_per_epoch(folder):
    """Of a finished run: as many as its optimiser has made, by epochs."""
    import torch

    (latest,) = sorted((folder / "checkpoints").glob("CKPT*"))[-1:]
    state = torch.load(latest / "optimizer.ckpt", weights_only=False)["state"]
    made = max(int(value["step"]) for value in state.values())
    return made // len(history(folder))


class TestSpeechCommands(Killed):
    recipe_name = "speech_commands"
    launcher = TORCHRUN

    @pytest.mark.parametrize(("number", "status"), [(signal.SIGUSR1, 75), (signal.SIGINT, 130)])
    def test_stopped_by_other_signals_it_says_so_in_one_line_and_goes_on(
        self, recipe, whole, tmp_path, number, status
    ):
        folder = tmp_path / "stopped"
        died = recipe.run(folder, *OFTEN, check=False, die_at=("step", 11, number))
        assert died.returncode == status
        said_once(died)
        recipe.run(folder, *OFTEN)
        same_outcome(folder, whole(1)[0])

    @pytest.mark.parametrize(
        ("by", "status", "words", "dies"),
        [
            (signal.SIGSTOP, {75}, ["no sign of rank 1, process", "for 5 s"], 1),
            (signal.SIGKILL, {75}, ["auricle: rank 0 ends: another rank has ended"], 1),
            (signal.SIGUSR1, {75}, ["stopped by"], None),
            (signal.SIGUSR1, {75}, ["stopped by"], 1),
        ],
    )
    def test_two_ranks_end_together_and_go_on(
        self, recipe, whole, tmp_path, by, status, words, dies
    ):
        folder = tmp_path / "run"
        options = {"ranks": 2, "check": False, "die_at": ("step", 9, by), "dies": dies}
        died = recipe.run(folder, *OFTEN, "--rank_limit_s", 5, **options)
        assert died.returncode in status and "Traceback" not in died.stderr
        assert [word for word in words if word not in died.stderr] == []
        recipe.run(folder, *OFTEN, ranks=2)
        same_outcome(folder, whole(2)[0])

    def test_killed_while_saving_it_goes_on_from_the_checkpoint_before(
        self, recipe, whole, tmp_path
    ):
        folder = tmp_path / "saving"
        died = recipe.run(folder, *OFTEN, check=False, die_at=("save", 4))
        assert died.returncode == -signal.SIGKILL
        (torn,) = (folder / "checkpoints").glob("unfinished*")
        assert (torn / "CKPT.yaml").exists() and not (torn / "model.ckpt").exists()
        recipe.run(folder, *OFTEN)
        assert not torn.exists()
        same_outcome(folder, whole(1)[0])


class TestVoxceleb(Killed):
    recipe_name = "voxceleb"


class TestTimit(Killed):
    recipe_name = "timit"
    ranks = (2, 1)


class TestMusicEmotion(Killed):
    recipe_name = "music_emotion"
    two_fall = 1.5  # two songs per process and batch: the loss is noise
    ranks = (2, 1)
