"""What several test folders share: the mini corpus, made once per test session."""

import os

import pytest


@pytest.fixture(scope="session")
def mini_folder(tmp_path_factory):
    """The tiny mini Speech Commands corpus, in a cache that all workers of a session share."""
    from auricle.processing.data.mini import cached_mini

    shared = tmp_path_factory.getbasetemp().parent / "auricle-cache"
    before = os.environ.get("AURICLE_CACHE")
    os.environ["AURICLE_CACHE"] = str(shared)
    try:
        yield cached_mini("speech_commands", "tiny")
    finally:
        if before is None:
            del os.environ["AURICLE_CACHE"]
        else:
            os.environ["AURICLE_CACHE"] = before
