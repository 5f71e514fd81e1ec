"""`auricle copy`: the file is the recipe's own YAML, with its comments, and no file is overwritten."""

import pytest

from auricle.hparams.loader import load_hparams, shipped_defaults
from auricle.recipes.training.by_name import recipes

OWN = [*recipes()]


@pytest.mark.parametrize("recipe", OWN)
def test_a_copy_trains_as_the_recipe_does(recipe, tmp_path, auricle):
    path = tmp_path / "own.yaml"
    assert f"auricle train {recipe} {path}" in auricle.output("copy", recipe, path)
    assert load_hparams([str(path)], recipe).plain == shipped_defaults(recipe)
    text = path.read_text()
    assert "include:" not in text and "# -- training" in text and "# sgd, adam, adamw" in text


def test_what_cannot_be_copied_says_what_to_do(tmp_path, auricle):
    (tmp_path / "own.yaml").write_text("mine")
    assert "another name" in auricle.refusal("copy", "timit", tmp_path / "own.yaml")
    assert (tmp_path / "own.yaml").read_text() == "mine"
    assert "own.yaml" in auricle.refusal("copy", "timit", tmp_path / "own.txt")
    assert "timit" in auricle.refusal("copy", "timi", tmp_path / "new.yaml")
