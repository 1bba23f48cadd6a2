"""The page in a real browser: every kind answered to the end, by keys and by touch; exact exposures; nothing lost."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from browser_study import TRIALS, browser_store, folder_served, serving
from small_study import PLAN

from streaming_metrics.study import export as export_module
from streaming_metrics.study.answers import judgements_of

playwright = pytest.importorskip("playwright.sync_api")

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")

DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 3,
    "color_scheme": "dark",
    "locale": "ko-KR",
}
READY, BUTTON = ".answers:not([hidden]) button:not([disabled])", "button.main"
KEYS = ("ArrowRight", "4", "7", "f", "j")
ANSWERS = (0.0, 4.0, 7.0, 1.0, 0.0)
FRAMES = """() => {  // sixty frames a second, however busy this machine is
    let time = performance.now(), waiting = [];
    window.requestAnimationFrame = (callback) => {
        if (waiting.push(callback) > 1) return;
        setTimeout(() => {
            time += 1000 / 60;
            const now = waiting;
            waiting = [];
            for (const one of now) one(time);
        }, 4);
    };
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


class Rater:
    """A rater at a browser, who notes what the page asks of other sites and what it complains of."""

    def __init__(self, browser: Any, options: dict[str, Any], address: str) -> None:
        self.page = browser.new_context(**options).new_page()
        self.page.add_init_script(f"({FRAMES})()")
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)

    def begin(self) -> None:
        self.page.click(BUTTON)

    def wait(self) -> None:
        """Wait until the next trial may be answered; instructions are read at once."""
        self.page.wait_for_selector(f"{BUTTON}, {READY}")
        if self.page.query_selector(BUTTON):
            self.page.click(BUTTON)
        self.page.wait_for_selector(READY)
        self.page.wait_for_timeout(200)  # nobody answers faster

    def press(self, trial: int) -> None:
        self.wait()
        self.page.keyboard.press(KEYS[trial])
        self.gone()

    def tap(self, trial: int) -> None:
        self.wait()
        buttons = self.page.locator(".answers button")
        place = {0: 2, 1: 3, 2: 6, 3: 0, 4: 1}[trial]
        assert buttons.nth(place).bounding_box()["height"] >= 44
        assert not self.page.evaluate("document.documentElement.scrollWidth > innerWidth")
        buttons.nth(place).tap()
        self.gone()

    def gone(self) -> None:
        self.page.wait_for_selector(READY, state="detached")

    def end(self) -> str:
        self.page.wait_for_selector(".words h1")
        return self.page.inner_text(".words")

    def alt(self) -> str:
        return self.page.evaluate("document.documentElement.lang")


def check_answers(judged: Any) -> None:
    assert [row.answer for row in judged] == list(ANSWERS)
    assert [row.items for row in judged] == [trial.ids for trial in TRIALS]
    assert all(row.reaction_ms >= 150 for row in judged)
    for row in judged:
        assert row.shown_ms == pytest.approx(row.exposure_ms, abs=0.02)


@pytest.mark.parametrize(("options", "language"), [(DESKTOP, "en"), (PHONE, "ko")], ids=["desktop", "phone"])
def test_every_kind_is_answered_to_the_end(
    browser: Any, tmp_path: Path, options: dict[str, Any], language: str
) -> None:
    with browser_store(tmp_path) as store, serving(store) as url:
        rater = Rater(browser, options, f"{url}/r/{store.tokens()[1]}/")
        rater.begin()
        for number in range(len(TRIALS)):
            rater.tap(number) if options is PHONE else rater.press(number)
        assert str(len(TRIALS)) in rater.end()
        assert rater.alt() == language
        assert rater.said == []
        assert all(address.startswith(url) for address in rater.asked)
        check_answers(store.judgements())
        assert store.progress()[1].finished


def test_a_pair_is_alike_in_size_and_of_whole_pixels(browser: Any, tmp_path: Path) -> None:
    with browser_store(tmp_path) as store, serving(store) as url:
        rater = Rater(browser, DESKTOP, f"{url}/r/{store.tokens()[0]}/")
        rater.begin()
        rater.wait()
        sizes = rater.page.evaluate("[...document.querySelectorAll('.stage img')].map((i) => [i.width, i.height])")
        assert sizes[0] == sizes[1]
        assert sizes[0][0] % 256 == 0
        rater.page.locator(".stage img").nth(1).click()
        rater.gone()
        rater.page.wait_for_timeout(300)
        assert store.judgements()[0].answer == 0.0


def test_a_key_that_is_held_or_comes_too_soon_answers_once_at_most(browser: Any, tmp_path: Path) -> None:
    with browser_store(tmp_path) as store, serving(store) as url:
        rater = Rater(browser, DESKTOP, f"{url}/r/{store.tokens()[0]}/")
        rater.begin()
        rater.wait()
        rater.page.keyboard.down("ArrowLeft")
        rater.gone()
        for _ in range(5):
            rater.page.keyboard.down("ArrowLeft")  # repeats
        rater.page.keyboard.up("ArrowLeft")
        rater.page.wait_for_selector(BUTTON)
        assert [row.answer for row in store.judgements()] == [1.0]


@pytest.mark.slow
def test_reloading_resumes_and_a_server_that_dies_loses_nothing(browser: Any, tmp_path: Path) -> None:
    with browser_store(tmp_path) as store:
        with serving(store) as url:
            port = int(url.rpartition(":")[2])
            rater = Rater(browser, DESKTOP, f"{url}/r/{store.tokens()[0]}/")
            rater.begin()
            rater.press(0)
            rater.page.wait_for_timeout(300)
            rater.page.reload()
            rater.press(1)
            rater.wait()
        rater.page.keyboard.press(KEYS[2])  # while nobody listens
        rater.page.wait_for_timeout(400)
        assert store.done(0) == 2
        assert json.loads(
            rater.page.evaluate("Object.values(localStorage).find((text) => text.includes('reaction_ms'))")
        )
        with serving(store, port=port):
            for number in (3, 4):
                rater.press(number)
            rater.end()
            check_answers(store.judgements())


@pytest.mark.slow
def test_a_hidden_page_shows_the_image_again(browser: Any, tmp_path: Path) -> None:
    with browser_store(tmp_path) as store, serving(store, order=[replace(TRIALS[3], number=0)]) as url:
        rater = Rater(browser, DESKTOP, f"{url}/r/{store.tokens()[0]}/")
        rater.begin()
        rater.page.get_by_text("Start", exact=True).click()
        rater.page.wait_for_selector(".cross")
        rater.page.evaluate(
            """() => {
                let hidden = true;
                Object.defineProperty(document, 'hidden', { get: () => hidden, configurable: true });
                document.dispatchEvent(new Event('visibilitychange'));
                setTimeout(() => { hidden = false; }, 900);
            }"""
        )
        rater.page.wait_for_selector("#status:not(:empty)")
        assert not rater.page.query_selector(READY)
        rater.page.wait_for_selector(READY, timeout=8000)


@pytest.mark.parametrize(
    "from_disk", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["hosted", "from a disk"]
)
def test_an_export_is_answered_saved_and_merged(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, from_disk: bool
) -> None:
    folder = tmp_path / "export"
    monkeypatch.setattr(export_module, "trials", lambda plan, slot: TRIALS)  # noqa: ARG005
    monkeypatch.setattr("streaming_metrics.study.answers.trials", lambda plan, slot: TRIALS)  # noqa: ARG005
    with browser_store(tmp_path) as store, folder_served(folder) as (url, posted):
        export_module.export(PLAN, store, folder, raters=2, post_to=None if from_disk else f"{url}/answers")
        address = folder.joinpath("index.html").as_uri() if from_disk else f"{url}/index.html"
        rater = Rater(browser, DESKTOP, f"{address}?slot=1")
        rater.begin()
        for number in range(len(TRIALS)):
            rater.press(number)
            if number == 1:
                rater.page.reload()
        rater.end()
        with rater.page.expect_download() as download:
            rater.page.click("a.button")
        saved = tmp_path / "answers.json"
        download.value.save_as(saved)
        assert rater.said == []
        judged = judgements_of(saved, PLAN)
        check_answers(judged)
        assert len(judged.merge(judgements_of(saved, PLAN), store.judgements())) == len(TRIALS)
        if not from_disk:
            rater.page.wait_for_function(
                "document.querySelector('[role=status].done, .words p').textContent.includes('sent')"
            )
            assert json.loads(posted[0]) == json.loads(saved.read_text())
