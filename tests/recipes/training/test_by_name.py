"""Recipes of other packages: found by name, listed, run; what is broken is named and harms nothing."""

import re
import sys

import pytest

from auricle.recipes.training.by_name import find_recipe, recipes
from auricle.recipes.training.messages import RecipeError

OWN = ["music_emotion", "own_sounds", "speech_commands", "timit", "voxceleb"]
MAIN = "def main(argv):\n    print('floors', argv)\n    return 3\n"


@pytest.fixture
def announce(tmp_path, monkeypatch):
    """Write an installed package: its metadata and a module."""

    def install(module=MAIN, name="floors", target="other_recipes:main", package="other-recipes"):
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[auricle.recipes]\n{name} = {target}\n")
        (tmp_path / "other_recipes.py").write_text(module)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "other_recipes", raising=False)

    return install


def test_own_recipes_are_known_and_run(auricle):
    assert list(recipes()) == OWN
    assert find_recipe("timit").__module__ == "auricle.recipes.timit.train"
    status, _, err = auricle("train", "timit", "--lrr", "1")
    assert status == 2 and "did you mean 'lr'" in err


def test_a_recipe_of_a_package_is_listed_and_run_by_its_name(announce, auricle):
    announce()
    listed = auricle.json("list", "recipes")[-1]
    assert listed["name"] == "floors" and "other_recipes:main" in listed["origin"]
    assert "other_recipes" not in sys.modules, "listing imports nothing of it"
    words = ("x.yaml", "--lr", "3", "--plugin", "a.py", "--help")
    assert auricle("train", "floors", *words)[:2] == (3, f"floors {list(words)}\n")


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("import no_such_module_at_all", "ModuleNotFoundError.*no_such_module_at_all"),
        ("raise SystemError('no licence')", "SystemError: no licence"),
        ("x = 1", "AttributeError"),
        ("main = 1", r"other_recipes:main is no function main\(argv\)"),
    ],
)
def test_a_broken_recipe_says_what_and_what_to_do(announce, auricle, module, says):
    announce(module)
    error = auricle.refusal("train", "floors")
    assert re.search(
        f"'floors' from package other-recipes .*broken: {says}.*Correct the entry", error
    )
    assert find_recipe("timit")


def test_a_name_that_is_taken_stays_with_its_owner(announce, auricle):
    announce(name="timit")
    assert find_recipe("timit").__module__ == "auricle.recipes.timit.train"
    line = auricle.output("list", "recipes").splitlines()[-1]
    assert line.startswith("timit@other-recipes") and "BROKEN" in line and "taken by" in line
    error = auricle.refusal("train", "timit@other-recipes")
    assert "taken by" in error and "timit/train.py" in error and "Correct the entry point" in error


def test_two_packages_that_take_one_name_are_both_named(announce, auricle):
    announce()
    announce(package="more-recipes")
    (clash,) = [recipe for recipe in recipes().values() if recipe.error]
    assert clash.name.startswith("floors@") and "taken by package " in clash.error
    assert find_recipe("floors")([]) == 3


def test_an_unknown_recipe_is_answered_with_the_nearest(auricle):
    error = auricle.refusal("train", "speech_comands")
    assert "did you mean 'speech_commands'" in error and "auricle.recipes" in error
    with pytest.raises(RecipeError):
        find_recipe("")
