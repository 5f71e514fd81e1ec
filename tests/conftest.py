"""What several test folders share: the mini corpora, each made once per test session."""

import os

import pytest


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """From a corpus's name to its folder at size tiny, in a cache all workers of a session share."""
    from auricle.processing.data.mini import cached_mini

    shared = tmp_path_factory.getbasetemp().parent / "auricle-cache"
    before = os.environ.get("AURICLE_CACHE")
    os.environ["AURICLE_CACHE"] = str(shared)
    try:
        yield lambda corpus: cached_mini(corpus, "tiny")
    finally:
        if before is None:
            del os.environ["AURICLE_CACHE"]
        else:
            os.environ["AURICLE_CACHE"] = before


@pytest.fixture(scope="session")
def mini_folder(tiny):
    """The tiny mini Speech Commands corpus."""
    return tiny("speech_commands")


@pytest.fixture
def auricle(capsys):
    """The command `auricle`, run in this process: words -> exit status, output, errors."""
    from auricle.recipes import cli

    def run(*words):
        try:
            status = cli.main([str(word) for word in words])
        except SystemExit as ended:  # argparse
            status = ended.code
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return status, printed.out, printed.err

    return run
