"""Model cards: what they say of a bundle and its run, and that nothing of the data is markup."""

import json
import re

import pytest
from random_bundle import random_bundle
from run_results import run_result

from auricle.lobes import bundles
from auricle.lobes.tasks import TASKS

HOSTILE = "`</code><script>alert(1)</script>\n---\n# [a](http://b) \x1b[2J"


def described(tmp_path, **changes):
    about = bundles.load(random_bundle(tmp_path / "bundle", **changes)).description
    return about | {"corpus": {"name": "mini", "synthetic": True, "complete": True}}


def header_of(card):
    """The header as Hugging Face reads it, which is YAML; here every value is JSON or a word."""
    _, header, text = card.split("---\n", 2)
    pairs = (line.split(": ", 1) for line in header.strip().splitlines())
    return {key: json.loads(value) if value[0] in '"[' else value for key, value in pairs}, text


def test_a_card_says_what_the_run_was_and_reached(tmp_path):
    result = run_result(
        corpus={"name": "words_subset", "synthetic": False, "complete": False},
        counts={"train": {"no": 1200, "yes": 316}, "test": {"songs": 5, "hours": 0.25}},
        metrics={
            "valid": {"accuracy": 0.5},
            "test": {
                "accuracy": 0.875,
                "macro_f1": 0.5,
                "n": 504,
                "interval": {"accuracy": [0.8, 0.9251], "over": "speaker"},
            },
        },
    )
    about = described(tmp_path) | {"licence": "cc-by-4.0"}
    header, text = header_of(bundles.card_text(about, result.to_dict()))
    assert header["license"] == "cc-by-4.0" and header["library_name"] == "auricle"
    assert header["metrics"] == ["accuracy", "macro_f1"]
    assert {"classification", "mel", "linear"} <= set(header["tags"])
    for expected in (
        "accuracy (%): 87.5 (95 % interval 80.0 to 92.5)",
        "macro F1 (%): 50.0\n",
        "`words_subset` (real recordings, a part of the corpus)",
        "Train: 1,516 recordings",
        "5 `songs`, 0.25 `hours`",
        "504 test items",
        "each `speaker`",
        "a part of the corpus only",
        TASKS["classification"].not_for,
    ):
        assert expected in text, expected
    assert "synthetic" not in text


def test_a_card_of_a_synthetic_corpus_says_so_and_one_without_data_that_none_is_stated(tmp_path):
    about = described(tmp_path)
    assert "synthetic" in bundles.card_text(about).split("## Limits")[1]
    card = bundles.card_text({**about, "corpus": None})
    assert "not stated" in card.split("## Limits")[1] and header_of(card)[0]["license"] == "other"


def test_text_from_data_is_no_markup(tmp_path):
    about = described(tmp_path, labels=("a", "b"))
    names = dict.fromkeys(("source", "licence", "licence_note", "protocol"), HOSTILE)
    about |= {"labels": [HOSTILE, "b"], "corpus": {"name": HOSTILE, "synthetic": False}, **names}
    result = run_result(counts={"train": {HOSTILE: 1, "c": 2}}, options={HOSTILE: HOSTILE})
    for card in (bundles.card_text(about), bundles.card_text(about, result.to_dict())):
        header, text = header_of(card)
        assert header["license"] == HOSTILE
        assert not re.search(r"^---$", text.split("\n", 1)[1], re.M) and "\x1b" not in card
        plain = re.sub(r"`[^`\n]*`", "", text.replace("```", ""))
        assert "script" in text and not re.search(r"script|alert|\]\(", plain)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_says_what_its_models_are_not_for(task):
    assert TASKS[task].not_for != "anything that it was not tested for"
