"""The report of a study: its numbers by hand, both of its forms, and what lets a reader doubt."""

import functools
import re
from html.parser import HTMLParser

import pytest
from run_results import COMPLETE
from study_results import CONTENT, make_study

from auricle.processing.scoring.bootstrap import t_quantile
from auricle.recipes.studies import summary as summaries
from auricle.recipes.studies.report import write_report
from auricle.recipes.studies.store import Store
from auricle.recipes.studies.study import read_study


@pytest.fixture
def made(tmp_path):
    """A study of which one cell failed; changes of all results."""
    return functools.partial(make_study, tmp_path)


def test_differences_are_paired_by_seed_and_corrected(made):
    summary = summaries.summarize(*made())
    (difference,) = summaries.differences(summary)
    assert (difference.name, difference.baseline) == ("leaf, linear", "mel, linear")
    assert difference.difference == pytest.approx(4.0)
    # of 4, 5 and 3 points: their deviation is 1
    half = t_quantile(2) / 3**0.5
    assert (difference.low, difference.high) == pytest.approx((4 - half, 4 + half))
    assert difference.better is True and difference.corrected == difference.p_value
    assert difference.p_value == pytest.approx(0.0202, abs=1e-4)  # t = 6.93, 2 degrees of freedom


def test_published_values_have_a_verdict(made):
    study, store = made()
    summary = summaries.summarize(study, store)
    verdicts = [
        [cell["verdict"] for cell in row] for row in summaries.published(summary, study.tables[0])
    ]
    assert verdicts == [["inside", "outside"], ["", "not run"]]
    for corpus, why in (
        ({**COMPLETE, "synthetic": True}, "not comparable: a synthetic corpus"),
        ({**COMPLETE, "complete": False}, "not comparable: part of the corpus"),
    ):
        for run in summary.runs:
            run.corpus = corpus
        assert summaries.published(summary, study.tables[0])[0][0]["verdict"] == why


def test_what_lets_a_reader_doubt_is_said(made):
    study, store = made(epochs=12, corpus={**COMPLETE, "synthetic": True})
    summary = summaries.summarize(study, store)
    summary.runs[0].versions = {"auricle": "0.0.1", "torch": "2.6.0"}
    summary.runs[1].git_commit = "b" * 40 + "+dirty"
    said = "\n".join(summaries.doubts(summary))
    for words in (
        "The corpus is synthetic",
        "Not all runs are done: 3 failed",
        "auricle's versions: 0.0.1, 0.1.0",
        "torch's versions: 2.11.0, 2.6.0",
        "commits of auricle: aaaaaaaaaa, bbbbbbbbbb",
        "code that is in no commit",
        "mel, linear: 3 of 3 runs stopped early, after 12 epochs",
    ):
        assert words in said, said
    study, store = made()
    assert "the best epoch is the last in 3 of 3" in "\n".join(
        summaries.doubts(summaries.summarize(study, store))
    )


class Page(HTMLParser):
    """Checks that elements are closed in their order, names are there once, nothing is fetched."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.text = [], [], ""

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag not in ("meta", "img", "path", "use", "br"):
            self.open.append(tag)
        self.ids += [attributes["id"]] if "id" in attributes else []
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:")), attributes

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in ("meta", "img", "path", "use", "br"):
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in ("path", "use"):
            assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data


@pytest.mark.slow
def test_the_page_is_whole_and_says_what_the_markdown_says(made):
    html, markdown = (path.read_text() for path in write_report(*made()))
    page = Page()
    page.feed(html)
    page.close()
    assert page.open == [] and len(page.ids) == len(set(page.ids))
    assert "<script" not in html and not re.search(r"url\((?!#)", html)
    for words in (
        "Does <leaf> beat mel?",
        "leaf, linear − mel, linear: +4.0 (95 % interval 1.5 to 6.5, 3 seeds): better",
        "61.0 ± 2.5",
        "60.5 | 61.0 ± 2.5 (inside)",
        "9,600",
        "<b>no memory</b>",
        "Not all runs are done: 3 failed",
    ):
        assert words in page.text, words
        assert words.replace("|", "\\|") in markdown, words
    for words in ("Validation, a line per seed", "Score against size", "mel, linear ends at 50.0"):
        assert words in page.text
    assert html.count("<svg") == 3


def test_a_study_without_a_result_says_what_to_do(tmp_path):
    study, store = read_study(CONTENT, "mine", tmp_path), Store(tmp_path / "study")
    store.open(study)
    with pytest.raises(ValueError, match="no cell of mine is done.*run it first"):
        write_report(study, store)
