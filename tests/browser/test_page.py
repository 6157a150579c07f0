"""The page in a real Chromium: nothing in its console, nothing fetched, readable on any screen and on paper."""

import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.project.params_file import load_params
from pipeline.tools.report.report import write_report
from tests.pages import HOSTILE, hostile_run
from tests.running import run

pytestmark = pytest.mark.browser

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
DESKTOP, PHONE = {"width": 1100, "height": 900}, {"width": 390, "height": 844}
# A4 without its margins, at 96 pixels an inch.
PAPER = {"width": 688, "height": 1009}


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of a run on hostile names, with all its parts."""
    folder = tmp_path_factory.mktemp("browser") / "run"
    folder.mkdir()
    hostile_run(folder)
    run(folder, "git", "init", "--quiet")
    run(folder, "dvc", "init", "--quiet")
    run(folder, "git", "commit", "--quiet", "--allow-empty", "--message", "Set up")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_report(load_params(), Path("report/index.html"))
    return folder / "report/index.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; without one these tests fail, because nobody who asks for them wants them skipped."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if found is None:
        pytest.fail("found no Chromium: `apt-get install chromium`, or name one: CHROMIUM=/path/to/it")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Its sandbox needs rights that containers lack; the page is our own.
        launched = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def noise() -> list[str]:
    """Console messages, errors, dialogs and requests of the pages opened."""
    return []


def opened(browser: Any, page_file: Path, noise: list[str], scheme: str = "light", **viewport: int) -> Any:
    page = browser.new_context(viewport=viewport or DESKTOP, color_scheme=scheme).new_page()
    address = page_file.as_uri()
    page.on("console", lambda message: noise.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: noise.append(f"error: {error}"))
    page.on("dialog", lambda dialog: noise.append(f"dialog: {dialog.message}"))
    page.on("request", lambda sent: noise.extend(_fetched(sent.url, address)))
    page.goto(address)
    page.wait_for_load_state("networkidle")
    return page


def _fetched(url: str, address: str) -> list[str]:
    return [] if url.startswith((address, "data:")) else [f"request: {url}"]


def shot(page: Any) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    return np.asarray(Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_it_is_quiet_and_fits(
    browser: Any, page_file: Path, noise: list[str], scheme: str, viewport: dict[str, int]
) -> None:
    page = opened(browser, page_file, noise, scheme, **viewport)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    stacked = (
        "[...document.querySelectorAll('.stack')].map(e => e.parentElement).map(e => e.scrollWidth - e.clientWidth)"
    )
    assert viewport != PHONE or page.evaluate(stacked) == [0, 0]
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    pixels = shot(page)
    corner = int(pixels[2, 2].mean())
    assert corner > 200 if scheme == "light" else corner < 60
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100
    assert noise == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser: Any, page_file: Path, noise: list[str], scheme: str) -> None:
    page = opened(browser, page_file, noise, scheme)
    faint = page.evaluate(CONTRAST)
    assert faint == []


def test_names_are_text(browser: Any, page_file: Path, noise: list[str]) -> None:
    page = opened(browser, page_file, noise)
    text = page.evaluate("document.body.textContent")
    assert HOSTILE[0] in text
    assert HOSTILE[1] in text
    assert page.evaluate("document.scripts.length") == 0
    assert noise == []


def test_its_policy_stops_what_slips_through(browser: Any, page_file: Path, noise: list[str], tmp_path: Path) -> None:
    slipped = tmp_path / "page.html"
    injected = '<script>document.title = "run"</script><img src="https://example.invalid/x.png"></body>'
    slipped.write_text(page_file.read_text(encoding="utf-8").replace("</body>", injected), encoding="utf-8")
    page = opened(browser, slipped, noise)
    assert page.title() == "Report on an image classifier"
    assert sum("Content Security Policy" in each for each in noise) == 2


def test_it_prints(browser: Any, page_file: Path, noise: list[str]) -> None:
    page = opened(browser, page_file, noise, "dark")
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    # What does not fit on the paper is lost there: nothing scrolls.
    page.set_viewport_size(PAPER)
    wide = "[...document.querySelectorAll('table, svg, img, pre')]"
    over = f"{wide}.filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.textContent.slice(0, 40))"
    assert page.evaluate(over) == []
    assert noise == []


# Elements with text of their own whose contrast is below 4.5 to 1 (WCAG 2.2, 1.4.3).
CONTRAST = """() => {
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const numbers = colour => (colour.match(/[0-9.]+/g) || []).map(Number);
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = numbers(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const own = e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  return [...document.body.querySelectorAll("*")].filter(own).filter(e => {
    const style = getComputedStyle(e);
    const ink = numbers(e.namespaceURI.includes("svg") ? style.fill : style.color);
    const [a, b] = [light(ink), light(ground(e))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05) < 4.5;
  }).map(e => e.textContent.slice(0, 40));
}"""
