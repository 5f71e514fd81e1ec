"""The page of `auricle demo` in headless Chromium: a dropped file gets the answer of `auricle predict`."""

import base64
import functools
import http.server
import shutil
import threading

import numpy as np
import pytest
import soundfile
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from auricle.lobes import pretrained
from auricle.recipes.inference.demo import write_demo

BUNDLE = "speech_commands/leaf_bcresnet"
DROP = """async ([name, data]) => {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const dropped = new DataTransfer();
    dropped.items.add(new File([bytes], name));
    document.getElementById("drop").dispatchEvent(
        new DragEvent("drop", { dataTransfer: dropped, bubbles: true, cancelable: true }));
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a bundle, loaded from a server of static files."""
    folder = tmp_path_factory.mktemp("demo") / "page"
    write_demo(BUNDLE, folder)
    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    path = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    assert path, "no Chromium: apt-get install chromium-headless-shell"
    with sync_playwright() as playwright:
        arguments = [
            *("--no-sandbox", "--disable-dev-shm-usage"),
            *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
        ]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        page = browser.new_page()
        page.errors, page.asked = [], []
        page.on("console", lambda message: page.errors.append(message.text))
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
        page.wait_for_selector("body[data-ready]", timeout=60_000)
        yield page
        browser.close()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("seconds, channels", [(1.0, 1), (0.4, 2), (2.3, 1)])
def test_a_dropped_file_gets_the_answer_of_predict(page, tmp_path, seconds, channels):
    random, count = np.random.default_rng(int(10 * seconds)), round(16000 * seconds)
    tone = np.sin(
        2
        * np.pi
        * np.cumsum(random.uniform(100, 1000, count // 800 + 1).repeat(800)[:count])
        / 16000
    )
    wav = (0.3 * tone + 0.01 * random.standard_normal(count))[:, None].repeat(channels, 1)
    path = tmp_path / "a.wav"
    soundfile.write(path, wav, 16000)
    label, probability = pretrained.load(BUNDLE).predict_file(path)
    page.evaluate(DROP, ["a.wav", base64.b64encode(path.read_bytes()).decode()])
    page.wait_for_selector("#answer[data-label]", state="attached", timeout=60_000)
    answer = page.locator("#answer")
    assert answer.get_attribute("data-label") == label
    assert abs(float(answer.get_attribute("data-probability")) - probability) < 1e-3
    shares = [float(text) for text in page.locator("td.number").all_inner_texts()]
    assert len(shares) == 12 and abs(sum(shares) - 1) < 0.01


def test_what_is_no_recording_is_said(page):
    page.evaluate(DROP, ["a.wav", base64.b64encode(b"no sound").decode()])
    page.get_by_text("cannot be used").wait_for()


def test_the_microphone_moves_the_image(page):
    image = "document.getElementById('image').toDataURL()"
    before = page.evaluate(image)
    page.click("#microphone")
    page.wait_for_selector("#answer[data-label]", state="attached", timeout=30_000)
    for _ in range(100):
        if page.evaluate(image) != before:
            break
        page.wait_for_timeout(300)
    else:
        pytest.fail("the image stands still")
    assert page.inner_text("#microphone") == "Stop listening"
    page.click("#microphone")


def test_the_page_asks_nobody_else_and_can_be_read(page):
    assert page.asked and all("//127.0.0.1:" in url or url[:5] == "blob:" for url in page.asked)
    assert not page.errors
    faults = [
        fault["id"]
        for fault in Axe().run(page).response["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
    assert not faults, faults
