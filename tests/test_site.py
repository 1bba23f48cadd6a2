"""The documentation site: it builds, links lead somewhere, nothing is loaded from elsewhere, measures have pages."""

from __future__ import annotations

import doctest
import math
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from html import unescape
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from inspect import signature
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest

from streaming_metrics import GenerativeMetrics
from streaming_metrics.measures.facts import KINDS, REQUIRED, MeasureFacts, facts_of_all
from streaming_metrics.measures.registry import MEASURES
from streaming_metrics.monitor import GenerationMonitor

if TYPE_CHECKING:
    from collections.abc import Iterator

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("docs/hooks", "benchmarks")]

import cost_table
import measure_pages
import movement
import pages as hooks
import paper_page
import sensitivity
import sensitivity_map
import site_links
from harness import heatmap, values

HOME = Path(__file__).parents[1]
LOADED = {"script": "src", "img": "src", "source": "src", "iframe": "src", "object": "data", "link": "href"}
PROSE, OTHERS = ("p", "td", "dd"), ("li", "h1", "h2", "h3", "h4")
FACTS = facts_of_all()
MARK = re.compile(r'class="(worse|better|calm)"')
COLUMNS = [("none", [""]), ("blur", ["0.5 px", "2 px"]), ("mode drop", ["1 of 10", "6 of 10"])]


class PageRead(HTMLParser):
    """A page as a browser has it: where it leads, what it loads, its anchors, its text outside of code."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.text = ""
        self.prose: list[str] = []
        self._in_prose = False
        self._in_code = 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.anchors |= {value for name in ("id", "name") if (value := told.get(name))}
        if tag == "a" and told.get("href"):
            self.links.append(str(told["href"]))
        elif told.get(LOADED.get(tag, "")):
            self.loads.append(str(told[LOADED[tag]]))
        self._in_code += tag in ("pre", "code", "script", "style")
        if tag in (*PROSE, *OTHERS):
            self._in_prose = tag in PROSE
            self.prose += [""] * self._in_prose

    def handle_endtag(self, tag: str) -> None:
        self._in_code -= tag in ("pre", "code", "script", "style")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._in_prose and not self._in_code:
            self.prose[-1] += data


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that tells nothing of requests."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=HOME, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, PageRead]:
    return {path: PageRead(path) for path in sorted(site.rglob("*.html"))}


def lost(pages: dict[Path, PageRead], site: Path) -> Iterator[str]:
    """Yield the links of a page, to a page or to a place on it, and what it loads, that there is not."""
    for path, page in pages.items():
        for link in (*page.links, *page.loads):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            folder = site if parts.path.startswith("/") else path.parent
            target = (folder / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else set()
            if not target.is_file() or (parts.fragment and unquote(parts.fragment) not in anchors):
                yield f"{path.relative_to(site)}: {link}"


def test_every_link_leads_to_a_page_and_a_place_on_it(pages: dict[Path, PageRead], site: Path) -> None:
    assert list(lost(pages, site)) == []
    assert len(pages) > len(FACTS)


def test_nothing_is_loaded_from_elsewhere(pages: dict[Path, PageRead], site: Path) -> None:
    elsewhere = {load for page in pages.values() for load in page.loads if urlsplit(load).netloc}
    styles = "\n".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    elsewhere |= set(re.findall(r"""(?:@import\s+|url\()["']?((?:https?:)?//[^)"']+)""", styles))
    assert elsewhere == set()
    assert not (site / "hooks").exists()


def test_markdown_is_rendered(pages: dict[Path, PageRead]) -> None:
    """A list, a table or a fence that a code host shows and MkDocs does not would stand in the text as it was typed."""
    raw = re.compile(r"\n(?:[-*] |\d+\. |#+ )|^\|.*\||```|\]\(|\*\*", re.MULTILINE)
    typed = [(path.name, text) for path, page in pages.items() for text in page.prose if raw.search(text)]
    assert typed == []


@pytest.mark.parametrize("facts", FACTS, ids=lambda facts: facts.label)
def test_a_measure_has_its_page(facts: MeasureFacts, pages: dict[Path, PageRead], site: Path) -> None:
    page = pages[site / "measures" / f"{facts.label}.html"]
    words = " ".join(page.text.split())
    assert all(key in words for key in facts.keys)
    assert facts.kind in words
    assert facts.paper in words
    assert facts.definition.replace("`", "").split("`")[0][:40] in words
    assert all(f"{name}{'' if value == REQUIRED else f'={value}'}" in words for name, value in facts.parameters.items())
    assert all(text.replace("`", "")[:30] in words for text in facts.arguments.values())
    assert f"measures/{facts.label}.html" in pages[site / "measures.html"].links
    assert paper_page.papers_of(measure_pages.class_name(facts))
    assert MEASURES[facts.label].endswith(f":{measure_pages.class_name(facts)}")


@pytest.mark.parametrize("of", [GenerationMonitor, GenerativeMetrics])
def test_arguments_are_told_with_their_defaults(of: type, site: Path) -> None:
    section = (site / "arguments.html").read_text().split(f'<h2 id="{of.__name__.lower()}">')[1].split("<h2")[0]
    told = dict(re.findall(r"<dt><code>(\w+)(?:=(.*?))?</code>", section))
    assert told.keys() == signature(of).parameters.keys()
    plain = {name: one.default for name, one in signature(of).parameters.items() if one.default is not one.empty}
    assert {name: eval(unescape(told[name]), {}) for name in plain} == plain


def test_the_time_that_a_measure_takes_is_that_of_the_page_on_speed(site: Path, pages: dict[Path, PageRead]) -> None:
    costs = cost_table.costs()
    assert {"fid", "prdc", "r_precision"} <= costs.keys()
    for label in ("fid", "prdc"):
        words = " ".join(pages[site / "measures" / f"{label}.html"].text.split())
        assert f"{costs[label].update} to update and {costs[label].compute} to compute" in words
    assert "not on the table of costs" in pages[site / "measures" / "fvd.html"].text


def test_a_page_without_its_table_of_costs_is_told(tmp_path: Path) -> None:
    (tmp_path / "speed.md").write_text("# Speed\n")
    with pytest.raises(ValueError, match="expected its table of what measures cost, got none"):
        cost_table.costs(tmp_path / "speed.md")


def test_ranges_are_read_off_definitions() -> None:
    ranges = {facts.label: measure_pages.range_of(facts) for facts in FACTS}
    assert ranges["fid"] == "[0, ∞)"
    assert ranges["prdc"] == "[0, 1], density [0, ∞)"
    assert ranges["vendi"] == "[1, min(n, D)]"
    assert ranges["ndb"] == "[0, 1]; [0, log 2]"
    assert {label for label, told in ranges.items() if told == measure_pages.OWN_SCALE} == {"score"}


def test_long_code_in_a_table_may_break() -> None:
    long, short = "<code>tests/extractors/test_preprocess.py</code>", "<code>fd_pixels</code>"
    html = hooks.on_page_content(f"<p>{long}</p><td>{long}, {short}</td>")
    assert html.startswith(f"<p>{long}</p>")
    assert html.endswith(f"<td><code>tests/<wbr>extractors/<wbr>test_<wbr>preprocess.py</code>, {short}</td>")


def test_the_hooks_import_no_pytorch() -> None:
    program = "import pages, sys; assert 'torch' not in sys.modules"
    paths = os.pathsep.join([str(HOME / "docs" / "hooks"), str(HOME), *sys.path])
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONPATH": paths})


def test_a_link_of_the_repository_becomes_one_of_the_site() -> None:
    fence = "\n```\n[f](../README.md)\n```"
    text = f"[a](../benchmarks/RESULTS.md#how) [b](../examples) [c](numbers.md) [d](gone.md) [e](https://x.org){fence}"
    moved = f"[a](results.md#how) [b](examples/index.md) [c](numbers.md) [d](gone.md) [e](https://x.org){fence}"
    assert site_links.led_on_site(text, "docs/speed.md", "speed.md") == moved
    assert site_links.led_on_site("[a](../../README.md)", "docs/ko/index.md", "ko/index.md") == "[a](../index.md)"
    files = ["benchmarks/RESULTS.md", "examples", "docs/numbers.md"]
    assert list(site_links.linked_from(text, "docs/speed.md")) == files


@pytest.mark.parametrize("module", [site_links, movement, hooks], ids=lambda module: module.__name__)
def test_doctests_of_the_hooks(module: Any) -> None:
    failed, tried = doctest.testmod(module)
    assert tried > 0
    assert failed == 0


def test_a_stronger_move_is_drawn_higher() -> None:
    heights = [movement.height_of(z) for z in (-2000, -10, 0, 3, 50, 999, 5000)]
    assert heights == sorted(heights, reverse=True)
    assert heights[0] == movement.BOTTOM
    assert heights[-1] == movement.TOP


def test_a_picture_shows_every_cell() -> None:
    drawn = movement.pictures("fid", COLUMNS, [0.5, 2.0, 40.0, "refused", None])
    blur, modes = drawn.split("<svg")[1:]
    assert 'aria-label="fid under blur: z 2 at 0.5 px, 40 at 2 px"' in blur
    assert re.findall(MARK, blur) == ["calm", "calm", "worse"]
    assert re.findall(r"<title>(.*?)</title>", blur) == ["0.5", "2", "40"]
    assert re.findall(r'text-anchor="middle">(.*?)</text>', blur) == ["0", "0.5", "2"]
    assert 'aria-label="fid under mode drop: z refused at 1 of 10, unchanged at 6 of 10"' in modes
    assert ">?</text>" in modes
    assert 'class="better"' in movement.pictures("fid", COLUMNS, [0.5, -40.0, 2.0, 1.0, 1.0])
    assert "mode drop" not in movement.pictures("fid", COLUMNS, [0.5, 2.0, 40.0, None, None])
    with pytest.raises(ValueError, match="expected 5 cells, got 4"):
        movement.pictures("fid", COLUMNS, [0.0] * 4)


def test_what_is_beyond_the_axis_points_there() -> None:
    """A dot at the edge would say that 12,000 million deviations are a thousand."""
    marks = [movement._mark(0.0, z, -movement.DECADES) for z in (movement.LIMIT, 1.2e10, -1.2e10)]
    assert ["a3.5" in mark for mark in marks] == [True, False, False]
    assert [mark.rsplit(" ", 1)[1] for mark in marks[1:]] == ["-7z", "7z"]
    assert movement.height_of(movement.LIMIT) == movement.TOP < movement.height_of(0.9 * movement.LIMIT)
    drawn = movement.pictures("fid", COLUMNS, [0.5, 2.0, 1.2e10, 1.0, 1.0])
    assert re.findall(MARK, drawn) == ["calm", "calm", "worse", "calm", "calm", "calm"]


def test_a_picture_is_to_its_own_scale() -> None:
    """Marks, line, ticks and the band of chance stand where the axis has their values; it reaches as low as they."""
    for lowest, cells in ((-1.0, [0.5, 2.99, 3.0, -3.0, -2.99]), (-movement.DECADES, [0.5, 2.0, 40.0, -50.0, 1.0])):
        drawn = movement.pictures("fid", COLUMNS, cells)
        heights = [movement.height_of(cells[place], lowest) for place in (0, 1, 2, 0, 3, 4)]
        assert [float(y) for y in re.findall(r'calm" d="M\S+ (\S+?)a|er" d="M|se" d="M', drawn) if y] == [
            y for y, of in zip(heights, re.findall(MARK, drawn), strict=True) if of == "calm"
        ]
        [line, _] = re.findall(r'class="line" d="M(.*?)"', drawn)
        assert [float(point.split()[1]) for point in line.split("L")] == heights[:3]
        ticks = re.findall(r'M34 (\S+)H160"/><text [^>]*>(-?\d+)<', drawn)
        assert [float(y) for y, _ in ticks] == [movement.height_of(float(z), lowest) for _, z in ticks]
        assert ("-100" in dict(map(reversed, ticks))) == (lowest < -1)
        [band, _] = re.findall(r'class="chance" x="34" y="(\S+)" width="126" height="(\S+)"', drawn)
        top, bottom = movement.height_of(movement.THRESHOLD, lowest), movement.height_of(-movement.THRESHOLD, lowest)
        assert [float(of) for of in band] == pytest.approx([top, bottom - top])
    assert re.findall(MARK, movement.pictures("fid", COLUMNS, [0.0, 2.99, 3.0, -3.0, -2.99])) == [
        *("calm", "calm", "worse"),
        *("calm", "better", "calm"),
    ]


@pytest.mark.parametrize("facts", FACTS, ids=lambda facts: facts.label)
def test_a_page_says_the_facts_of_its_measure(facts: MeasureFacts) -> None:
    pages = measure_pages.pages(sensitivity_map.read_map())
    told = {name: rest for name, _, rest in (part.partition("\n:   ") for part in pages[uri(facts)].split("\n\n"))}
    keys = told["Keys"].split("\n:   ")
    assert [line.split(": ")[1].split()[0] for line in keys] == [
        of["better"] or "neither" for of in facts.keys.values()
    ]
    assert (measure_pages.TAGGED in told["Keys"]) == (facts.label == "fd_dinov2")  # FID's key is FID's
    assert told["Standard error"] == (": ".join(facts.error) if facts.error else "none")
    assert told["Class"] == f"{facts.kind}; kept are {KINDS[facts.kind]}"
    assert told["Network"].startswith("its own" if facts.network else "the metric's")
    [row] = [line for line in measure_pages.table("# t\n\n## u").splitlines() if f"({uri(facts)})" in line]
    assert row.split(" | ")[-2:] == [facts.error.by if facts.error else "none", f"{facts.kind} |"]


def uri(facts: MeasureFacts) -> str:
    return f"measures/{facts.label}.md"


def test_the_words_of_the_map_are_those_of_its_values() -> None:
    """The page of the map and the data of the pictures are written by one run."""
    found = sensitivity_map.read_map()
    lines = [
        heatmap.Line(key, "", [math.nan if z == values.REFUSED else z for z in cells])
        for of in found.data["measures"].values()
        for key, cells in of.items()
    ]
    rows = sensitivity.told(lines, found.columns)
    said = {row[0].strip("`"): dict(zip(sensitivity_map.VERDICTS, row[1:], strict=True)) for row in rows}
    assert found.verdicts == {
        key: {verdict: what for verdict, what in of.items() if what != sensitivity_map.NOTHING}
        for key, of in said.items()
    }


def test_a_page_tells_what_its_measure_noticed() -> None:
    found = sensitivity_map.read_map()
    told = {facts.label: facts for facts in FACTS}
    page = measure_pages.page_of(told["prdc"], list(told["prdc"].keys), found)
    assert "`precision`\n:   **notices**: blur" in page
    assert "**calls better**: duplication" in page
    left_out = sensitivity_map.SensitivityMap(data={"left_out": {"fvd": "is of clips"}})
    without = measure_pages.page_of(told["fvd"], ["fvd"], left_out)
    assert "not on the [map of sensitivity](../sensitivity.md), since it is of clips" in without
    data = {"columns": COLUMNS, "measures": {"fid": {"fid": [0.5, 2.0, 40.0, "refused", None]}}}
    drawn = measure_pages.page_of(told["fid"], ["fid"], sensitivity_map.SensitivityMap(found.verdicts, data))
    assert drawn.count("<svg") == 2
    assert "towards worse upwards" in drawn
    assert "either way upwards" in measure_pages.page_of(told["ct"], ["ct"], found)
    assert "No picture" in measure_pages.page_of(told["fid"], ["fid"], sensitivity_map.SensitivityMap(found.verdicts))


def test_tables_lead_to_the_measures_that_they_name() -> None:
    text = "| `FID(se=True)`, [`KID()`](numbers.md), `Metric()` |\n`IS()`"
    moved = "| [`FID(se=True)`](../measures/fid.md), [`KID()`](numbers.md), `Metric()` |\n`IS()`"
    assert measure_pages.named(text, "ko/measures.md") == moved
    text = "[a](../measures.md#intrafidclasses) [b](../measures.md#distances)"
    assert measure_pages.led_to_pages(text) == "[a](../measures/intra_fid.md) [b](../measures.md#distances)"


def test_a_map_without_its_table_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("# What measures notice")
    with pytest.raises(ValueError, match=r"expected its table of what values notice, got none\. Remedy"):
        sensitivity_map.read_map(tmp_path / "page.md")


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
LOOKED_AT = (
    *("measures.html", "measures/fid.html", "measures/prdc.html", "sensitivity.html", "monitor.html", "verdicts.html"),
    *("contributing.html", "results.html", "papers.html", "examples/index.html", "examples/lightning_gan.py.html"),
)


@pytest.fixture(scope="module")
def served(site: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_it_without_scrolling_sideways(served: str, width: int, scheme: Any) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: asked.append(f"error: {error}"))
        for path in LOOKED_AT:
            page.goto(f"{served}/{path}")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        if width > 1000:
            page.fill("input[name=query]", "coverage")
            page.wait_for_selector(".md-search-result__item", timeout=10_000)
        dark = page.evaluate("document.body.dataset.mdColorScheme") == "slate"
        browser.close()
    assert dark == (scheme == "dark")
    assert [url for url in asked if not url.startswith((served, "data:", "blob:"))] == []
