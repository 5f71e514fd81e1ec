"""Deliberate breaks of the library, each of which the tests must catch: `make breaks`.

`breaks.json` lists faults of one place each, drawn at random from all packages in proportion to
their size: `id`, `file`, `old` and `new` text, what the fault `breaks`, and the `tests` that caught
it last. Each is applied in a copy of the repository, never in the checkout, and runs those tests up
to the first failure. Where they pass, or are gone, the tests of the file's folder follow. When the
code of a break has been rewritten, its text no longer applies: port the same fault to the new code.

Exit status 1 when a break survives, does not apply, or cannot be tested.
"""

import argparse
import importlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("breaks.json")
LEFT_OUT = (".*", "__pycache__", "*.egg-info", "build", "dist", "results")
FAILED, TIMEOUT_S = 1, 900

#: Makes `auricle` the copy, whatever is installed.
SITE = """
import importlib.machinery, sys
class Copy:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "auricle":
            spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [{root!r}]
            return spec
sys.meta_path.insert(0, Copy)
"""


def folder_tests(root, file):
    """The folder of tests that mirrors a library file's folder, or the nearest one above it."""
    folder = Path("tests", file).parent
    while not (root / folder).is_dir():
        folder = folder.parent
    return folder.as_posix()


def make_copy(folder):
    """A copy of the repository in `folder`, and the environment in which `auricle` is that copy."""
    root = folder / "repository"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(*LEFT_OUT))
    for results in ROOT.glob("recipes/*/results"):
        shutil.copytree(results, root / results.relative_to(ROOT))
    site = folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE.format(root=str(root)))
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    return root, {"PYTHONPATH": path}


def run_tests(root, environment, tests):
    """Exit status of pytest, which stops at the first failure, and that failure's name.

    Pytest runs in a fork of this process, which has imported the slow libraries already.
    """
    log = root.parent / "log"
    child = os.fork()
    if child == 0:
        status = 3
        try:
            signal.alarm(TIMEOUT_S)  # ends the process
            with open(log, "w") as output:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
            os.environ.update(environment)
            os.chdir(root)
            exec(SITE.format(root=str(root)), {})
            options = ["-x", "-q", "-p", "no:cacheprovider", "--tb=no", "--no-header"]
            import pytest

            status = pytest.main([*options, f"--basetemp={root.parent / 'tests'}", *tests])
            sys.stdout.flush()
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    lines = log.read_text(errors="replace").splitlines()
    names = [line.split()[1] for line in lines if line.startswith(("FAILED", "ERROR"))]
    return status, names[0] if names else f"exit status {status}"


def try_break(root, environment, entry, control):
    """Apply one break, run its tests, take it back -> verdict, detail."""
    file = root / entry["file"]
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    if text.count(entry["old"]) != 1:
        return "does not apply", f"{entry['file']} holds it {text.count(entry['old'])} times"
    if not control:
        file.write_text(text.replace(entry["old"], entry["new"]), encoding="utf-8")
    try:
        there = [test for test in entry["tests"] if (root / test.split("::")[0]).is_file()]
        for tests in filter(None, (there, [folder_tests(root, entry["file"])])):
            status, detail = run_tests(root, environment, tests)
            if status == FAILED:
                return "caught", detail
            if control and status == 0:
                break
        return ("survived", "") if status == 0 else ("cannot be tested", detail)
    finally:
        file.write_text(text, encoding="utf-8")


def work(entry):
    """One break in this worker's copy: report the verdict, return it."""
    began = time.perf_counter()
    verdict, detail = try_break(*COPY, entry, CONTROL)
    seconds = time.perf_counter() - began
    print(f"{entry['id']:24} {verdict:16} {seconds:5.0f} s  {detail}", flush=True)
    return verdict


def begin(folder, control):
    """Prepare a worker: its copy, and the libraries that every test would import anew."""
    global COPY, CONTROL
    COPY, CONTROL = make_copy(Path(tempfile.mkdtemp(dir=folder))), control
    os.environ.setdefault("SB_LOG_LEVEL", "WARNING")
    for name in ("pytest", "torch", "torchaudio", "speechbrain"):
        importlib.import_module(name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="ID")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="breaks at a time")
    parser.add_argument("--control", action="store_true", help="apply none: all tests must pass")
    arguments = parser.parse_args()
    entries = json.loads(LIST.read_text(encoding="utf-8"))
    if arguments.only:
        unknown = set(arguments.only) - {entry["id"] for entry in entries}
        if unknown:
            parser.error(f"--only: no such break: {', '.join(sorted(unknown))}")
        entries = [entry for entry in entries if entry["id"] in arguments.only]
    wanted = "survived" if arguments.control else "caught"
    with tempfile.TemporaryDirectory(prefix="auricle-breaks-") as folder:
        # Compiled code is shared by all copies, and never put into the cache of whoever runs this.
        os.environ["AURICLE_CACHE"] = str(Path(folder, "cache"))
        fork = multiprocessing.get_context("fork")
        with fork.Pool(arguments.jobs, begin, (folder, arguments.control)) as pool:
            verdicts = pool.map(work, entries, chunksize=1)
    good = verdicts.count(wanted)
    print(f"{good} of {len(verdicts)} {'passed unbroken' if arguments.control else 'caught'}")
    return 0 if good == len(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
