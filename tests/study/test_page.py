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
READY, BUTTON = ".answers:not([hidden]) button:not([disabled])", "button.main:not([disabled])"
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

    def saved(self, store: Any, count: int) -> None:
        """Wait until the server has so many of the first rater's answers."""
        for _ in range(300):
            if store.done(0) >= count:
                return
            self.page.wait_for_timeout(20)
        raise AssertionError(f"expected {count} answers, got {store.done(0)}")

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


@pytest.mark.parametrize(
    ("options", "language"),
    [pytest.param(DESKTOP, "en", marks=pytest.mark.slow), (PHONE, "ko")],
    ids=["desktop", "phone"],
)
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


@pytest.mark.slow
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
        rater.saved(store, 1)
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
        rater.saved(store, 1)
        assert [row.answer for row in store.judgements()] == [1.0]


@pytest.mark.slow
def test_space_presses_the_button_that_has_the_focus(browser: Any, tmp_path: Path) -> None:
    with browser_store(tmp_path) as store, serving(store) as url:
        rater = Rater(browser, DESKTOP, f"{url}/r/{store.tokens()[0]}/")
        rater.begin()
        rater.wait()
        rater.page.locator("blockquote").focus()
        rater.page.keyboard.press("ArrowDown")  # scrolls the prompt
        assert rater.page.query_selector(READY)
        rater.page.locator(".answers button").first.focus()
        rater.page.keyboard.press("Space")  # elsewhere: equal
        rater.gone()
        rater.saved(store, 1)
        assert store.judgements()[0].answer == 1.0


@pytest.mark.slow
@pytest.mark.slow
def test_a_page_left_lying_and_a_turned_phone(browser: Any, tmp_path: Path) -> None:
    with browser_store(tmp_path) as store, serving(store) as url:
        rater = Rater(browser, PHONE, f"{url}/r/{store.tokens()[0]}/")
        rater.begin()
        rater.wait()
        for width, height in ((844, 390), (390, 844), (320, 568)):
            rater.page.set_viewport_size({"width": width, "height": height})
            rater.page.wait_for_timeout(100)
            assert not rater.page.evaluate("document.documentElement.scrollHeight > innerHeight")
        days = 3 * 24 * 3600 * 1000
        rater.page.evaluate(f"Object.defineProperty(Event.prototype, 'timeStamp', {{ get: () => {days} }})")
        rater.page.locator(".answers button").first.tap()
        rater.saved(store, 1)
        assert store.judgements()[0].reaction_ms is None


@pytest.mark.slow
@pytest.mark.slow
def test_consent_on_a_slow_network_is_pressed_once(browser: Any, tmp_path: Path) -> None:
    with browser_store(tmp_path) as store, serving(store) as url:
        rater = Rater(browser, DESKTOP, f"{url}/r/{store.tokens()[0]}/")
        held: list[Any] = []
        rater.page.route("**/consent", lambda route: held.append(route))
        rater.begin()
        assert rater.page.is_disabled("button.main")
        rater.page.get_by_text("saving…").wait_for()
        while not held:
            rater.page.wait_for_timeout(10)
        held[0].continue_()
        rater.wait()  # instructions, whose button is another


def test_what_the_server_refuses_for_good_ends_the_page(browser: Any, tmp_path: Path) -> None:
    with browser_store(tmp_path) as store, serving(store) as url:
        rater = Rater(browser, DESKTOP, f"{url}/r/{store.tokens()[0]}/")
        rater.begin()
        rater.wait()
        rater.page.route("**/answers", lambda route: route.fulfill(status=404, json={"error": "an ended link"}))
        rater.page.keyboard.press("ArrowLeft")
        rater.page.get_by_text("This link does not work").wait_for()
        rater.page.wait_for_timeout(300)  # nothing comes after it
        assert rater.page.query_selector_all("main button") == []


@pytest.mark.slow
def test_reloading_resumes_and_a_server_that_dies_loses_nothing(browser: Any, tmp_path: Path) -> None:
    with browser_store(tmp_path) as store:
        with serving(store) as url:
            port = int(url.rpartition(":")[2])
            rater = Rater(browser, DESKTOP, f"{url}/r/{store.tokens()[0]}/")
            rater.begin()
            rater.press(0)
            rater.saved(store, 1)
            rater.page.reload()
            rater.press(1)
            rater.saved(store, 2)
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


@pytest.mark.slow
@pytest.mark.parametrize("from_disk", [False, True], ids=["hosted", "from a disk"])
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


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the address of an export of three slots."""
    monkeypatch.setattr(export_module, "trials", lambda plan, slot: TRIALS)  # noqa: ARG005
    with browser_store(tmp_path) as store, folder_served(tmp_path / "export") as (url, _):
        export_module.export(PLAN, store, tmp_path / "export", raters=3)
        yield f"{url}/index.html"


KEPT = "Object.entries(localStorage).filter(([k]) => !k.endsWith('language')).map(([, text]) => JSON.parse(text))"


@pytest.mark.slow
def test_two_tabs_of_an_export_lose_no_answer(browser: Any, exported: str) -> None:
    first = Rater(browser, DESKTOP, exported)
    first.begin()
    first.wait()
    second = first.page.context.new_page()
    second.goto(exported)
    second.click(BUTTON)
    for key in ("ArrowRight", "4"):
        second.wait_for_selector(f"{BUTTON}, {READY}")
        if second.query_selector(BUTTON):
            second.click(BUTTON)
        second.wait_for_selector(READY)
        second.wait_for_timeout(200)
        second.keyboard.press(key)
        second.wait_for_selector(READY, state="detached")
    first.page.bring_to_front()
    first.page.keyboard.press("ArrowLeft")  # the trial that the other tab answered: the first answer stays
    first.gone()
    first.press(2)
    (state,) = first.page.evaluate(KEPT)
    assert [one["answer"] for one in state["answers"]] == [0.0, 4, 7]


@pytest.mark.slow
def test_links_of_two_slots_on_one_device_are_two_raters_in_either_language(browser: Any, exported: str) -> None:
    rater = Rater(browser, DESKTOP, f"{exported}?slot=1&platform=x")
    rater.page.click("#languages button[lang=ko]")
    rater.page.wait_for_function("document.documentElement.lang === 'ko'")
    assert "slot=1&platform=x" in rater.page.url
    rater.begin()
    rater.press(0)
    rater.page.goto(f"{exported}?slot=2")
    rater.begin()
    rater.wait()
    states = rater.page.evaluate(KEPT)
    assert sorted((one["slot"], len(one["answers"])) for one in states) == [(1, 1), (2, 0)]


def test_without_storage_leaving_the_page_is_asked_about(browser: Any, exported: str) -> None:
    rater = Rater(browser, DESKTOP, "about:blank")
    rater.page.add_init_script("Storage.prototype.setItem = () => { throw new Error('full'); }")
    rater.page.goto(exported)
    rater.begin()
    rater.press(0)
    asked = []
    rater.page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    rater.page.reload()
    assert asked == ["beforeunload"]
