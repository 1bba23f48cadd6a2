"""How exactly does a study's page show an image for 50, 100 or 250 ms? In a real Chromium, by its own frames.

    python benchmarks/study_exposure.py --trials 10

Serves a study whose trials ask for an exposure each, answers them by key, and prints for each exposure what the page
measured and stored: the shortest, the median and the longest, and how many were within one frame (60 Hz: 16.7 ms) of
what was asked for. On a machine that is busy with other things frames are lost: that is in the figures, as it is in a
study's answers.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.common import table
from harness.results import parser_of

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("tests", "tests/study")]

from browser_study import TRIALS, browser_store, serving

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

EXPOSURES, FRAME = (50.0, 100.0, 250.0), 1000 / 60
HEAD = ["asked, ms", "shortest", "median", "longest", "within a frame"]
READY = ".answers:not([hidden]) button:not([disabled])"


def measured(trials: int, chromium: str) -> dict[float, list[float]]:
    """Return what the page measured of each exposure."""
    from playwright.sync_api import sync_playwright

    flashes = [one for one in TRIALS if one.kind == "categorisation"]
    order = [
        replace(flashes[number % len(flashes)], number=number, exposure_ms=EXPOSURES[number % len(EXPOSURES)])
        for number in range(trials * len(EXPOSURES))
    ]
    with tempfile.TemporaryDirectory() as folder, browser_store(Path(folder)) as store, serving(store, order) as url:
        with sync_playwright() as started:
            browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page()
            page.goto(f"{url}/r/{store.tokens()[0]}/")
            page.click("button.main")
            for _ in order:
                page.wait_for_selector(f"button.main, {READY}")
                if page.query_selector("button.main"):
                    page.click("button.main")
                page.wait_for_selector(READY)
                page.wait_for_timeout(200)
                page.keyboard.press("f")
                page.wait_for_selector(READY, state="detached")
            page.wait_for_selector(".words h1")
            browser.close()
        found: dict[float, list[float]] = {exposure: [] for exposure in EXPOSURES}
        for row in store.judgements():
            found[row.exposure_ms or 0.0].append(row.shown_ms or 0.0)
        return found


def rows_of(found: Mapping[float, Sequence[float]]) -> list[list[str]]:
    """Return the table's rows."""
    rows = []
    for asked, times in found.items():
        near = sum(abs(time - asked) <= FRAME + 0.1 for time in times)
        figures = (min(times), statistics.median(times), max(times))
        rows.append([f"{asked:g}", *(f"{one:.1f}" for one in figures), f"{near} of {len(times)}"])
    return rows


def main() -> None:
    """Run it."""
    parser = parser_of(__doc__)
    parser.add_argument("--trials", type=int, default=10, help="of each exposure")
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("No chromium here: nothing to measure.")
        return
    print(table(HEAD, rows_of(measured(options.trials, chromium))))


if __name__ == "__main__":
    main()
