"""Keys that a YAML takes from other files: which win, what is kept, what is refused."""

import pytest
from refusals import refused

from auricle.hparams.include import SHARED, IncludeError, expanded, parse
from auricle.hparams.loader import ConfigError, load_hparams, shipped, shipped_defaults

RECIPES = ("speech_commands", "voxceleb", "timit", "music_emotion")


@pytest.fixture
def write(tmp_path):
    def written(name, text):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return written


def test_own_keys_win_and_then_those_of_the_first_file(write):
    write("a.yaml", "one: a    # of a\n# of two\ntwo:\n  - a\n\n# of three\nthree: a\n")
    write("b.yaml", "three: b\nfour: !ref <one>\n")
    text = expanded(write("own.yaml", "# mine\ntwo: own\ninclude: [a.yaml, b.yaml]\nfive: ~\n"))
    assert text == (
        "# mine\ntwo: own\nfive: ~\n\n"
        "one: a    # of a\n# of two\n\n# of three\nthree: a\n\n"
        "four: !ref <one>\n"
    )


def test_a_file_that_is_included_may_include(write):
    write("a.yaml", "include: b.yaml\none: a\n")
    write("b.yaml", "one: b\ntwo: b\n")
    assert dict(parse(expanded(write("own.yaml", "include: a.yaml\n")))) == {"one": "a", "two": "b"}


@pytest.mark.parametrize(
    ("include", "says"),
    [
        ("gone.yaml", r"own\.yaml includes gone\.yaml, and .*gone\.yaml is not there: correct"),
        ("trainign", "'trainign'.*did you mean 'training'.*It shares .*model"),
        ("own.yaml", r"own\.yaml includes itself.*take it out"),
        ("{a: b}", "name or a list of names, got"),
        ("[a.yaml, 3]", "name or a list of names, got"),
    ],
)
def test_an_include_that_cannot_be_followed_is_refused(write, include, says):
    path = write("own.yaml", f"a: 1\ninclude: {include}\n")
    refused(says, expanded, path, error=IncludeError)
    refused(says, load_hparams, [], path, error=ConfigError)


def test_a_schema_that_is_not_there_is_refused(tmp_path):
    refused(
        "no such file: .*none.yaml", load_hparams, [], tmp_path / "none.yaml", error=ConfigError
    )


@pytest.mark.parametrize("recipe", RECIPES)
def test_shared_keys_are_those_of_the_recipes(recipe):
    """A key that a Brain begins to need has to come into the shared file, too."""
    tree, values = parse(shipped(recipe).read_text()), shipped_defaults(recipe)
    training, model = (parse(SHARED[name].read_text()) for name in ("training", "model"))
    assert {*training, *model} - set(tree) <= {"clip_s"}
    theirs = {key: str(value) for key, value in tree["model"].items()}
    shared = {key: str(value) for key, value in model["model"].items()}
    assert {**shared, **theirs} == shared and set(shared) - set(theirs) <= {"clip_s"}
    kinds = {key: type(value) for key, value in shipped_defaults(str(SHARED["training"])).items()}
    assert kinds == {key: type(values[key]) for key in kinds}
