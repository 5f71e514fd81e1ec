"""Options outside any sense are refused before anything is prepared, whatever the recipe."""

import math

import pytest

from auricle.hparams.loader import shipped_defaults
from auricle.recipes.music_emotion import model as music_model
from auricle.recipes.music_emotion import prepare as music_prepare
from auricle.recipes.own_sounds import options as own_options
from auricle.recipes.speech_commands import protocols
from auricle.recipes.timit import model as timit_model
from auricle.recipes.timit import prepare as timit_prepare
from auricle.recipes.training.option_ranges import RANGES, checked
from auricle.recipes.voxceleb import model as voxceleb_model
from auricle.recipes.voxceleb import prepare as voxceleb_prepare

CHECKS = {
    "speech_commands": [protocols.problems],
    "timit": [timit_prepare.problems, timit_model.problems],
    "voxceleb": [voxceleb_prepare.problems, voxceleb_model.problems],
    "music_emotion": [music_prepare.problems, music_model.problems],
    "own_sounds": [own_options.problems],
}
#: Options whose default is null or a list, and which are numbers.
OPTIONAL = {"max_batch_s", "crop_s", "window_s", "betas", "speed_factors"}


def defaults_of(recipe):
    return shipped_defaults(recipe)


@pytest.mark.parametrize("recipe", CHECKS)
def test_every_numeric_option_has_a_range_and_its_default_is_in_it(recipe):
    plain = defaults_of(recipe)
    numeric = {
        key
        for key, value in plain.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    assert numeric and numeric | (OPTIONAL & plain.keys()) <= RANGES.keys()
    assert checked([])(plain) == []


@pytest.mark.parametrize("key", RANGES)
def test_nonsense_is_refused_with_what_is_allowed(key):
    recipe = next(recipe for recipe in CHECKS if key in defaults_of(recipe))
    for value in (-1, 1e18, math.nan, math.inf, True, [2.0, -5.0, 1]):
        problems = checked([])({**defaults_of(recipe), key: value})
        assert len(problems) == 1 and problems[0].startswith(f"{key} must be "), (value, problems)


@pytest.mark.parametrize(
    ("recipe", "key", "value"),
    [
        ("speech_commands", "label_smoothing", 16),
        ("speech_commands", "augment_probability", 1000),
        ("speech_commands", "weight_decay", -1),
        ("speech_commands", "time_masks", -1),
        ("voxceleb", "betas", [0.9, 1.0]),
        ("voxceleb", "augment_probability", 1000),
        ("timit", "sorted_epochs", -1),
        ("music_emotion", "loss_mix", 2.0),
    ],
)
def test_an_option_is_told_once_with_the_checks_of_the_recipe(recipe, key, value):
    problems = checked(CHECKS[recipe])({**defaults_of(recipe), key: value})
    assert len(problems) == 1 and key in problems[0]
    assert checked(CHECKS[recipe])(defaults_of(recipe)) == []


@pytest.mark.parametrize(
    ("key", "value"), [("alpha", math.nan), ("alpha", 2.0), ("temperature", 0.0), ("beta", -1.0)]
)
def test_the_options_of_distillation_have_ranges(key, value):
    plain = defaults_of("voxceleb")
    plain["distillation"] = {**plain["distillation"], "teacher": "t", "loss": "dkd", key: value}
    problems = [text for check in CHECKS["voxceleb"] for text in check(plain)]
    assert any(key in text for text in problems)


def test_experiments_are_in_range():
    for name, row in shipped_defaults("experiments").items():
        assert not checked([])({key: value for key, value in row.items() if key in RANGES}), name
