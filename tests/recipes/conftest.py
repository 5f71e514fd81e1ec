"""A trained run per recipe, made once for all tests of its training command."""

import dataclasses

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
