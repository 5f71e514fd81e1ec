"""A trained run per recipe, made once for all tests of its training command."""

import dataclasses
import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def recipe(request, tiny):
    """The module's `RECIPE` on its tiny mini corpus."""
    recipe = request.module.RECIPE
    return dataclasses.replace(recipe, corpus=tiny(recipe.name))


@pytest.fixture(scope="module")
def finished(recipe, tmp_path_factory):
    """One uninterrupted run: its folder, its results, and what it printed. Only to be read."""
    folder = tmp_path_factory.mktemp("run") / "whole"
    return folder, *recipe.train(folder, pictures=True)


@pytest.fixture(scope="module")
def untouched(request, tmp_path_factory):
    """What the module's `make_corpus` makes. Only to be read."""
    return request.module.make_corpus(tmp_path_factory.mktemp("made") / "corpus")


@pytest.fixture
def corpus(untouched, tmp_path):
    """A copy of it that the test may change."""
    return Path(shutil.copytree(untouched, tmp_path / "corpus"))
