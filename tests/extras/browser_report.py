"""A study's report in headless Chromium: no network, nothing cut off, no serious fault for readers."""

import shutil

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright
from study_results import make_study

from auricle.recipes.studies.report import write_report


@pytest.fixture(scope="module")
def browser():
    path = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    assert path, "no Chromium: apt-get install chromium-headless-shell"
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.mark.parametrize("width", [1280, 400])
def test_the_report_can_be_read(width, browser, tmp_path):
    html, _ = write_report(*make_study(tmp_path))
    page = browser.new_page(viewport={"width": width, "height": 900})
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(html.as_uri())
    assert all(url.startswith(("file:", "data:")) for url in asked) and not said
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    narrow = "[...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect().width)"
    assert min(page.evaluate(narrow)) > 350
    faults = [
        f"{fault['id']}: {fault['help']}"
        for fault in Axe().run(page).response["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
    assert not faults, faults
