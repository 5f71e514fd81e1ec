"""Strings and comments of lobes and processing name no command, no option and no room above."""

import functools
import io
import re
import tokenize
from pathlib import Path

import pytest

from auricle.recipes import cli

ROOT = Path(__file__).resolve().parents[2]

#: Folder -> the folders whose modules it must not name.
ABOVE = {"lobes": "recipes|hparams", "processing": "recipes|hparams|lobes"}


@functools.cache
def patterns(folder):
    commands = next(a.choices for a in cli._parser()._actions if a.metavar == "COMMAND")
    return {
        "a command": rf"\bauricle ({'|'.join(commands)})\b(?! corpus)|\b(train|prepare)\.py\b",
        "an option of the command line": r"(?<![\w-])--[a-z]\w*",
        "a room above": rf"\bauricle\.({ABOVE[folder]})\b|\bpython recipes/",
    }


def wrong_words(folder, source):
    """(line, what it names, the words) of a module; options of other programs may be there."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in (tokenize.STRING, tokenize.COMMENT):
            continue
        text = re.sub(r"pip install .*|sox .*|\"--version\"", "", token.string)
        for what, pattern in patterns(folder).items():
            for match in re.finditer(pattern, text):
                yield token.start[0] + text[: match.start()].count("\n"), what, match[0]


@pytest.mark.parametrize("folder", ABOVE)
def test_text_names_nothing_above(folder):
    """An option is named by its key, a command by the function that it calls."""
    wrong = [
        f"{path.relative_to(ROOT)}, line {line}, names {what}: {words}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line, what, words in wrong_words(folder, path.read_text(encoding="utf-8"))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"""Any.\n\nSee `auricle list encoders`."""', [(3, "a command", "auricle list")]),
        ("# see train.py", [(1, "a command", "train.py")]),
        ('f"lower --lr to {rate}"', [(1, "an option of the command line", "--lr")]),
        ("'auricle.recipes.cli'", [(1, "a room above", "auricle.recipes")]),
        ("#: python recipes/x", [(1, "a room above", "python recipes/")]),
        ('["cc", "--version"], "pip install --upgrade \'auricle[timm]\'", "a -- b"', []),
    ],
)
def test_words_that_point_back_are_seen(text, expected):
    assert list(wrong_words("lobes", text)) == expected
