"""Command lines made from signatures: the options of every prepare.py, and how words are read."""

import importlib
from typing import Literal

import pytest

from auricle.recipes.training.command_line import parser_of

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
        "protocol": "deam-random", "swap_2013_static": "auto", "window_s": None,
        "short_clips": None, "sample_rate": 16000, "target": "static", "seed": 0,
        "exclude_leakage": None, "skip_broken": False, "cache_folder": None, "num_workers": None,
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
