"""The review page in a real Chromium, by keyboard alone: on a desktop, on a phone, dark, and with hostile names."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from pipeline.store.decisions import LABELS
from pipeline.store.pair_decisions import PAIRS
from pipeline.tools.review.items import Item
from pipeline.tools.review.saving import DecisionFile
from pipeline.tools.review.server import Review, application
from tests.browser.test_page import DESKTOP, PHONE, browser
from tests.tools.review.reviews import HOSTILE, SHAS, TOKEN, Pictures, item

__all__ = ["browser"]

pytestmark = pytest.mark.browser

LONG, RIGHT_TO_LEFT = "n" * 300, "تفاحة"
ITEMS = [replace(item(0), id=HOSTILE), item(1, LONG), item(2, RIGHT_TO_LEFT)]


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Of a server with three images."""
    with served(tmp_path, ITEMS) as found:
        yield found


@pytest.fixture
def address_of_pairs(tmp_path: Path) -> Iterator[str]:
    """Of a server with three pairs of the same images."""
    pairs = [replace(ITEMS[one], other=ITEMS[other], found_as="one scene") for one, other in ((0, 1), (1, 2), (0, 2))]
    with served(tmp_path, pairs) as found:
        yield found


@contextmanager
def served(tmp_path: Path, items: list[Item]) -> Iterator[str]:
    config = uvicorn.Config(lambda: None, port=0, log_level="error")
    listening = config.bind_socket()
    port = listening.getsockname()[1]
    labels = ["cat", "dog", LONG, RIGHT_TO_LEFT, HOSTILE]
    files = DecisionFile(tmp_path / "labels.csv", "ann", LABELS), DecisionFile(tmp_path / "pairs.csv", "ann", PAIRS)
    review = Review(items, labels, Pictures(), *files)
    config = uvicorn.Config(application(review, TOKEN, port), log_level="error", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}/{TOKEN}/"
    server.should_exit = True
    thread.join()


def decisions(folder: Path) -> dict[str, tuple[str, str]]:
    found = LABELS.parse((folder / "labels.csv").read_bytes(), "labels.csv")
    return {one.sha256: (one.decision, one.after) for one in found}


def opened(browser: Any, address: str, noise: list[str], scheme: str = "light", **viewport: int) -> Any:
    page = browser.new_context(viewport=viewport, color_scheme=scheme).new_page()
    page.on("console", lambda message: noise.append(message.text))
    page.on("pageerror", lambda error: noise.append(str(error)))
    page.on("dialog", lambda dialog: noise.append(dialog.message))
    page.on("request", lambda sent: noise.extend([] if sent.url.startswith(address) else [sent.url]))
    page.goto(address)
    says(page, "of 3 decided")
    return page


def says(page: Any, words: str) -> None:
    # By locators: the page's policy forbids to evaluate the text of a condition in it.
    page.locator("body", has_text=words).wait_for(timeout=10_000)


def test_keys_alone_decide_search_and_undo(browser: Any, address: str, tmp_path: Path) -> None:
    noise: list[str] = []
    page = opened(browser, address, noise, "light", **DESKTOP)
    assert page.inner_text("#place").startswith(HOSTILE)
    page.keyboard.press("k")
    says(page, "1 of 3 decided")
    page.keyboard.press("/")
    page.keyboard.type("<scr")
    page.keyboard.press("Enter")
    says(page, "2 of 3 decided")
    page.keyboard.press("1")
    says(page, "3 of 3 decided")
    assert decisions(tmp_path) == {
        SHAS[0]: ("keep", ""),
        SHAS[1]: ("relabel", HOSTILE),
        SHAS[2]: ("relabel", "cat"),
    }
    page.keyboard.press("u")
    says(page, "2 of 3 decided")
    page.keyboard.press("d")
    says(page, "3 of 3 decided")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("n")
    says(page, "saved: drop")
    assert decisions(tmp_path)[SHAS[1]] == ("not_sure", "")
    assert decisions(tmp_path)[SHAS[2]] == ("drop", "")
    assert noise == []


def test_two_tabs_lose_nothing(browser: Any, address: str, tmp_path: Path) -> None:
    noise: list[str] = []
    one, other = (opened(browser, address, noise, "light", **DESKTOP) for _ in range(2))
    one.keyboard.press("k")
    says(one, "1 of 3 decided")
    other.keyboard.press("ArrowRight")
    other.keyboard.press("d")
    says(other, "1 of 3 decided")
    assert decisions(tmp_path) == {SHAS[0]: ("keep", ""), SHAS[1]: ("drop", "")}
    assert noise == []


def test_keys_say_whether_two_images_show_the_same(browser: Any, address_of_pairs: str, tmp_path: Path) -> None:
    noise: list[str] = []
    page = opened(browser, address_of_pairs, noise, "light", **DESKTOP)
    assert page.get_attribute("#beside", "alt") == "web/1.png"
    page.keyboard.press("s")
    says(page, "1 of 3 decided")
    page.keyboard.press("x")
    says(page, "2 of 3 decided")
    page.keyboard.press("n")
    says(page, "3 of 3 decided")
    page.keyboard.press("u")
    says(page, "2 of 3 decided")
    page.keyboard.press("w")
    assert page.get_attribute("#picture", "alt") == "web/2.png"
    page.keyboard.press("d")
    says(page, "saved: drop")
    says(page, "2 of 3 decided")
    page.keyboard.press("x")
    says(page, "saved: not the same")
    found = PAIRS.parse((tmp_path / "pairs.csv").read_bytes(), "pairs.csv")
    assert {(one.one, one.other): one.decision for one in found} == {
        (SHAS[0], SHAS[1]): "same",
        (SHAS[1], SHAS[2]): "not_same",
        (SHAS[0], SHAS[2]): "not_same",
    }
    assert decisions(tmp_path) == {SHAS[2]: ("drop", "")}
    assert noise == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("shown", ["address", "address_of_pairs"])
def test_a_phone_shows_all_of_it(
    browser: Any, shown: str, scheme: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    address = request.getfixturevalue(shown)
    noise: list[str] = []
    page = opened(browser, address, noise, scheme, **PHONE)
    for number in range(3):
        page.wait_for_load_state("networkidle")
        page.screenshot(path=str(tmp_path / f"{scheme}{number}.png"), full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        page.keyboard.press("ArrowRight")
    assert noise == []
