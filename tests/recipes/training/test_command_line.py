"""Command lines made from signatures: the options of every prepare.py, and how words are read."""

import argparse
import importlib
from dataclasses import dataclass
from typing import Literal

import pytest

from auricle.recipes.training.command_line import add_options, call, changed, parser_of

OPTIONS = {
    "speech_commands": {
        "protocol": "v2-12-official", "seed": 0, "official_test_folder": None, "skip_broken": False,
        "silence_percentage": 10, "unknown_percentage": 10, "max_per_class": 0,
        "max_valid_per_class": 0, "download": False, "scan_cache": None, "num_workers": None,
    },
    "timit": {"protocol": "standard", "seed": 0, "skip_broken": False, "num_workers": None},
    "voxceleb": {
        "protocol": "vox1-o-cleaned", "train_on": "voxceleb1", "voxceleb2_folder": None,
        "trial_list": None, "valid_speakers": 0.05, "valid_trials": 2000, "seed": 0,
        "min_duration_s": 0.5, "skip_broken": False, "max_per_speaker": 0, "cache_folder": None,
        "codec": "wav", "num_workers": None,
    },
    "music_emotion": {
        "protocol": "deam-random", "table": None, "swap_2013_static": "auto", "window_s": None,
        "short_clips": None, "sample_rate": 16000, "target": "static", "seed": 0,
        "exclude_leakage": None, "skip_broken": False, "cache_folder": None, "num_workers": None,
    },
    "own_sounds": {
        "table": None, "name_pattern": None, "task": "auto", "protocol": "auto", "fold": None,
        "valid_share": 0.15, "test_share": 0.15, "seed": 0, "sample_rate": 16000,
        "skip_broken": False, "scan_cache": None, "num_workers": None,
    },
}  # fmt: skip


@pytest.mark.parametrize("recipe", OPTIONS)
def test_every_prepare_has_its_options_with_help(recipe):
    prepare = importlib.import_module(f"auricle.recipes.{recipe}.prepare").prepare
    parser = parser_of(prepare, hidden=("progress",))
    folders = {"data_folder": "DATA", "output_folder": "OUT"}
    assert vars(parser.parse_args(["DATA", "OUT"])) == folders | OPTIONS[recipe]
    assert all(len(action.help) > 10 for action in parser._actions)
    text = parser.format_help()
    assert f"(default: {OPTIONS[recipe]['protocol']})" in " ".join(text.split())


def measure(
    folder: str,
    *,
    label: str = "x",
    count: int | None = None,
    share: int | float = 0.5,
    fast: bool = False,
    mode: Literal["a", "b"] = "a",
    swap: Literal["auto"] | bool = "auto",
    window_s: tuple[float, float] | None = None,
    hidden: int = 0,
):
    """Measure something,
    in 100 % of cases.

    Arguments
    ---------
    folder : str
        Where it is,
        and what.
    label, count : str and int
        A name and a number.
    share : float
        100 % is all.
    fast, mode, swap : several
        Switches.
    window_s : (float, float), optional
        Start and end.

    Returns
    -------
    None
    """


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--label", "3"], "label", "3"),
        (["--count", "3"], "count", 3),
        (["--share", "3"], "share", 3),
        (["--share", "0.25"], "share", 0.25),
        (["--fast"], "fast", True),
        (["--fast", "FALSE"], "fast", False),
        (["--mode", "b"], "mode", "b"),
        (["--swap", "true"], "swap", True),
        (["--swap", "Auto"], "swap", "auto"),
        (["--window_s", "1", "2.5"], "window_s", [1.0, 2.5]),
    ],
)
def test_words_are_read_as_the_annotation_says(words, name, value):
    options = vars(parser_of(measure, hidden=("hidden",)).parse_args(["F", *words]))
    assert options[name] == value and type(options[name]) is type(value)
    assert options["folder"] == "F" and "hidden" not in options


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (["--count", "x"], "int"),
        (["--share", "x"], "neither a whole number nor a number"),
        (["--fast", "perhaps"], "'perhaps' is neither true nor false"),
        (["--mode", "c"], "'c' is neither a nor b"),
        (["--swap", "yes"], "'yes' is neither auto nor true nor false"),
        (["--window_s", "1"], "expected 2 arguments"),
        (["--lab", "x"], "unrecognized arguments: --lab"),
        (["--hidden", "1"], "unrecognized arguments: --hidden"),
    ],
)
def test_wrong_words_are_refused_with_what_is_allowed(capsys, words, allowed):
    with pytest.raises(SystemExit):
        parser_of(measure, hidden=("hidden",)).parse_args(["F", *words])
    assert words[0] in (error := capsys.readouterr().err) and allowed in error


def test_help_is_that_of_the_docstring():
    text = " ".join(parser_of(measure, hidden=("hidden",)).format_help().split())
    assert "Measure something, in 100 % of cases." in text and "Where it is, and what." in text
    assert text.count("A name and a number.") == 2 and "100 % is all. (default: 0.5)" in text
    assert "{a,b}" in text and "Returns" not in text


def test_an_argument_without_help_is_an_error():
    with pytest.raises(KeyError, match="hidden"):
        parser_of(measure)


@dataclass(frozen=True)
class Picture:
    """A picture.

    Arguments (of the picture)
    --------------------------
    out_file : FILE.png
        Where it goes.
    grey
        Without colours.
    """

    out_file: str | None = None
    grey: bool = False


def draw(
    kind: Literal[1, 2],
    files: list[str] = (),
    /,
    picture: Picture = None,
    *,
    size_px: int,
    list_: bool = False,
    names: list[str] | None = None,
    settings: dict | None = None,
):
    """Draw.

    Arguments
    ---------
    kind, files : NAME
        What is drawn.
    size_px : N
        In pixels.
    list_, names, settings
        Others.
    """
    return {name: value for name, value in locals().items() if value}


def run_draw(*words):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_options(parser, draw, dashes=True)
    return call(draw, vars(parser.parse_args(words)))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), {"picture": Picture()}),
        (("a", "b"), {"files": ["a", "b"], "picture": Picture()}),
        (("--out-file", "x", "--grey"), {"picture": Picture("x", True)}),
        (("--out_file", "x", "--list"), {"picture": Picture("x"), "list_": True}),
        (("--grey", "a"), {"files": ["a"], "picture": Picture(grey=True)}),
        (("--names", "a,b"), {"picture": Picture(), "names": ["a", "b"]}),
        (("--settings", '{"a": 1}'), {"picture": Picture(), "settings": {"a": 1}}),
    ],
)
def test_a_function_is_called_with_its_options(words, expected):
    assert run_draw("1", *words, "--size-px", "3") == {"kind": 1, "size_px": 3} | expected
    assert run_draw("--size_px", "3", "1", *words) == {"kind": 1, "size_px": 3} | expected


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (("1",), "--size-px"),
        (("--size-px", "1"), "NAME"),
        (("3", "--size-px", "1"), "invalid choice: 3 (choose from 1, 2)"),
        (("1", "--size-px", "1", "--settings", "{"), "--settings"),
        (("1", "--size-px", "1", "--size", "1"), "--size"),
    ],
)
def test_wrong_words_of_a_command_are_refused(capsys, words, allowed):
    with pytest.raises(SystemExit):
        run_draw(*words)
    assert allowed in capsys.readouterr().err


def test_groups_have_a_title_and_know_what_was_changed():
    parser = argparse.ArgumentParser()
    add_options(parser, draw, dashes=True)
    text = " ".join(parser.format_help().split())
    assert "of the picture: --out-file FILE.png, --out_file FILE.png Where it goes." in text
    assert "--size-px N" in text and "[--list]" in text
    assert changed(Picture(), Picture("x", True)) == ["--out-file", "--grey"]
