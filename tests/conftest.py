"""What several test folders share: the mini corpora, each made once per test run; who runs what.

`make test-fast` (`-m "not slow"`) is a selection by rule, of every folder and nearly every file:
of each test function at most `FEW` cases, spread over its parameters; of sweeps over the registries
`FAST_LOBES` only, these with every promise. `slow` are all other cases, what is marked by hand
because it takes over 0.3 s, what compiles or needs a whole mini corpus, and the files that match
`ORACLES` or stand in `TOGETHER`.

`make test` leaves to `make test-long` what is marked `long` by hand, because it runs a whole product
(the worked examples of the documents, a wheel), and, of sweeps over the registries, the forms of a
lobe besides its default (`leaf-log-pcen`); those of `FAST_LOBES` stay.

Two workers share the tests. The tests of a file in `TOGETHER` share a trained run, a wheel or the
like: one worker runs them all, and these files come first, the longest in front, so that what is
left to fill up both workers at the end is short.
"""

import collections
import gc
import json
import re
import sys

import pytest

pytest.register_assert_rewrite("command_line", "every_recipe", "prediction")

TOGETHER = (
    "tests/recipes/timit/test_train.py",
    "tests/recipes/voxceleb/test_train.py",
    "tests/recipes/speech_commands/test_train.py",
    "tests/recipes/music_emotion/test_train.py",
    "tests/recipes/music_emotion/test_trained_claims.py",
    "tests/docs/test_docs.py",
    "tests/packaging/test_wheel.py",
)
FEW = 2
FAST_LOBES = {"leaf", "mel", "waveform", "bcresnet", "blstm", "linear"}
#: Libraries that golden tests compare with and that take seconds to import.
ORACLES = re.compile(r"^(import|from) (timm|transformers|nnAudio|picture_encoders)\b", re.M)
NOT_SLOW = "not slow"


def pytest_ignore_collect(collection_path, config):
    """Do not even import the files that the fast selection leaves out."""
    if config.option.markexpr == NOT_SLOW and collection_path.suffix == ".py":
        name = collection_path.relative_to(config.rootpath).as_posix()
        if name in TOGETHER or ORACLES.search(collection_path.read_text(encoding="utf-8")):
            return True
    return None


@pytest.hookimpl(wrapper=True)
def pytest_collection(session):
    """What is collected lives to the end: the garbage collector need not look at it again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items):
    place = {file: number for number, file in enumerate(TOGETHER)}
    items.sort(key=lambda item: place.get(item.nodeid.split("::")[0], len(place)))
    mark_slow(items)


def mark_slow(items):
    """Mark what the fast selection leaves out of sweeps and of long parametrisations."""
    from auricle.lobes import ENCODERS, FRONTENDS

    every_lobe = {*FRONTENDS.names(), *ENCODERS.names()}
    cases = collections.defaultdict(list)
    for item in items:
        values = item.callspec.params if hasattr(item, "callspec") else {}
        words = [value for value in values.values() if isinstance(value, str)]
        lobes = {word for word in words if word.partition("-")[0] in every_lobe}
        corpus = "corpus" if "/data/mini/" in item.nodeid else "tiny"
        if "promise" in values and any("-" in word for word in lobes - FAST_LOBES):
            item.add_marker(pytest.mark.long)
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.slow)
        elif lobes - FAST_LOBES or corpus in item.fixturenames or "compiled" in words:
            item.add_marker(pytest.mark.slow)
        elif not (lobes and "promise" in values):
            cases[(item.nodeid.split("[")[0], *sorted(lobes))].append(item)
    for few in cases.values():
        kept = {round(i * (len(few) - 1) / (FEW - 1)) for i in range(FEW)}
        for number, item in enumerate(few):
            if number not in kept:
                item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item):
    """A test that leaves gradients switched off is named, not those that come after it."""
    yield
    torch = sys.modules.get("torch")
    if torch and not torch.is_grad_enabled():
        torch.set_grad_enabled(True)
        pytest.fail(f"{item.nodeid} has left gradients switched off")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A file of `TOGETHER` or else a test function with all its parameters goes to one worker.

    (pytest-xdist's own `loadgroup` does nothing from pytest 9.2 on: names of tests are fixed there.)
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.split("::")[0]
            return file if file in TOGETHER else nodeid.split("[")[0]

    config.option.loadscopereorder = False
    return Scheduling(config, log)


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory):
    """A cache folder for all workers of a run."""
    return tmp_path_factory.getbasetemp().parent / "auricle-cache"


@pytest.fixture(scope="session")
def tiny(shared_cache):
    """From a corpus's name to its folder in the shared cache.

    Of size tiny, but with fewer test speakers: those of TIMIT and VoxCeleb take half the time.
    """
    from filelock import FileLock

    from auricle.processing.data.mini import cached_mini, timit, voxceleb

    def made(corpus):
        size = "tests" if corpus in ("timit", "voxceleb") else "tiny"
        # One worker makes it, the others wait.
        with (
            FileLock(shared_cache.with_suffix(f".{corpus}")),
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setitem(timit.SIZES, "tests", timit.SIZES["tiny"])
            for people in ("CORE_TEST", "DEVELOPMENT"):
                patch.setattr(timit, people, getattr(timit, people)[:8])
            few = voxceleb.SIZES["tiny"]._replace(num_test_speakers=8, duration_s=(1.2, 1.8))
            patch.setitem(voxceleb.SIZES, "tests", few)
            return cached_mini(corpus, size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AURICLE_CACHE", str(shared_cache))
        yield made


@pytest.fixture(scope="session")
def mini_folder(tiny):
    """The tiny mini Speech Commands corpus."""
    return tiny("speech_commands")


class Command:
    """The command `auricle` in this process, with the words that every call begins with."""

    def __init__(self, capsys, *first):
        self.capsys, self.first = capsys, first

    def __call__(self, *words):
        """Exit status, standard output, standard error."""
        from auricle.recipes import cli

        try:
            status = cli.main([str(word) for word in (*self.first, *words)])
        except SystemExit as ended:  # argparse
            status = ended.code
        printed = self.capsys.readouterr()
        assert "Traceback" not in printed.err
        return status, printed.out, printed.err

    def output(self, *words):
        """What a call that ends well prints; on standard error there is at most a progress bar."""
        status, out, err = self(*words)
        assert (status, re.sub("\r[^\n]*\n?", "", err)) == (0, ""), err
        return out

    def json(self, *words):
        """The record that a call that ends well prints, with the option for it."""
        return json.loads(self.output(*words, "--json"))

    def refusal(self, *words):
        """The error of a call that is refused; it prints nothing else."""
        status, out, err = self(*words)
        assert (status, out) == (2, ""), err
        return err


@pytest.fixture
def one_thread():
    """Torch on one thread, for tests of many small operations."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def auricle(capsys):
    """The command `auricle`; a test file may give it a folder and first words."""
    return Command(capsys)


@pytest.fixture
def watched(monkeypatch):
    """The arguments of every call of a module's function from now on; it is still carried out."""

    def watch(module, name):
        calls, call = [], getattr(module, name)

        def noted(*arguments, **options):
            calls.append(arguments)
            return call(*arguments, **options)

        monkeypatch.setattr(module, name, noted)
        return calls

    return watch
