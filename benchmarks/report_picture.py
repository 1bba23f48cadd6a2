"""Draws the picture of a report that the README shows: parts of the page side by side, as a browser shows them.

    python benchmarks/report_picture.py runs/demo-fashion/report.html docs/assets/report.png

Needs Chromium, and playwright of the extra ``test``. `make demo ARGS="--set fashion --study"` writes the report.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

PARTS = ("Side by side", "Over the epochs", "Samples through the epochs")
"""How the headings begin under which the parts stand."""
WIDTH, HEIGHT, GAP = 640, 1100, 24
PAPER = (250, 249, 247)


def shown(page: Page, heading: str, folder: Path) -> Image.Image:
    """Return what a reader sees from a heading on."""
    top = page.locator("h2", has_text=heading).first.bounding_box()
    if top is None:
        raise ValueError(f"report: expected a heading {heading!r}. Remedy: a report of two samplers, with PRDC().")
    clip = {"x": 0, "y": max(0, top["y"] - GAP), "width": WIDTH, "height": HEIGHT}
    page.screenshot(path=folder / "part.png", clip=clip, full_page=True)
    with Image.open(folder / "part.png") as picture:
        return picture.convert("RGB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    with sync_playwright() as play, tempfile.TemporaryDirectory() as folder:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(options.report.resolve().as_uri())
        parts = [shown(page, heading, Path(folder)) for heading in PARTS]
        browser.close()
    whole = Image.new("RGB", (len(parts) * (WIDTH + GAP) - GAP, HEIGHT), PAPER)
    for place, part in enumerate(parts):
        whole.paste(part, (place * (WIDTH + GAP), 0))
    whole.quantize(128).save(options.picture, optimize=True)
    print(f"wrote {options.picture}, {options.picture.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
