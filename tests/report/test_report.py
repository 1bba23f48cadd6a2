"""The report: what it shows is read from its HTML; it loads nothing, escapes everything, and stays small."""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from scores import normal

from streaming_metrics import FID, PRDC, GenerativeMetrics
from streaming_metrics.images.shrink import shrunk
from streaming_metrics.measures.base import GROUPS
from streaming_metrics.measures.keys import known_scalars
from streaming_metrics.plots import COLOURS
from streaming_metrics.plots.result_keys import number
from streaming_metrics.report import rendered, write_comparison, write_report
from streaming_metrics.report.charts import over_epochs
from streaming_metrics.report.gallery import Gallery
from streaming_metrics.report.history import MOST_GRIDS, Grid, History
from streaming_metrics.report.pictures import data_uri, grid_of
from streaming_metrics.report.score_cards import scores

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Ranks
    from torch import Tensor

BALLS = PRDC(k=3)
REAL, FAKE = normal(0, 60, 6), normal(1, 50, 6, mean=0.8)
FAKE[7] = REAL[11]
IDS = torch.arange(50) + 100


class Page(HTMLParser):
    """Headings, texts, images and attributes of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html, self.images, self.tags, self.text, self.headings = html, [], [], [], []
        self.attributes: list[tuple[str, str, str]] = []
        self.details: list[list[tuple[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._open.append(tag)
        if tag == "details":
            self.details.append(attrs)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "img":
            self.images.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        if self._open[-1:] in (["h2"], ["h3"]):
            self.headings.append(data)
        if self._open[-1:] not in (["script"], ["style"]):
            self.text.append(data)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.text).split())


class Coloured:
    """Images of one colour, which tells their number."""

    def __init__(self, first: int = 0) -> None:
        self.first, self.asked = first, set()

    def __getitem__(self, i: int) -> Tensor:
        self.asked.add(i)
        return torch.full((3, 8, 8), i, dtype=torch.uint8)


def colour_of(uri: str) -> int:
    kind, data = uri.split(",", 1)
    assert kind == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        return int(np.array(picture.convert("RGB"))[0, 0, 0])


def measured(measures: Any = (BALLS,), **options: Any) -> GenerativeMetrics:
    return GenerativeMetrics([*measures], None, num_features=6, **options)


def compared(path: Path, measures: Any = (BALLS,), **datasets: Any) -> Page:
    metric = measured(measures)
    metric.update(REAL, real=True, index=torch.arange(60))
    metric.update(FAKE, real=False, index=IDS)
    write_comparison(path, metric=metric, values=metric.compute(), **datasets)
    return Page(path.read_text())


def history(epochs: int = 3, name: str = "val", side: int = 8) -> History:
    """Return a history with falling distances and noisy grids."""
    noted, generator = History(name), torch.Generator().manual_seed(0)
    metric = measured()
    for epoch in range(epochs):
        values = {"fid": 9.0 - epoch, "kid": 0.1, "kid_std": 0.01, "precision": 0.5, "recall": 0.1 * (epoch % 9)}
        noted.note(epoch, {key: torch.tensor(value) for key, value in values.items()}, metric)
        noted._add_grid(torch.randint(0, 256, (16, 3, side, side), dtype=torch.uint8, generator=generator))
    noted.signature = "fid|ext:inception-v3-6726825d|resize:tf1-bilinear-299|real:60|fake:50|fp32|v0.1.0"
    return noted


def section(page: Page, title: str) -> list[str]:
    """Return the addresses of the images under a heading."""
    part = page.html[page.html.index(f"<h3>{title}") :]
    return re.findall(r'src="(data:[^"]*)"', part[: part.index("</ul>")])


# A comparison.


def test_galleries_show_what_brute_force_finds(tmp_path: Path) -> None:
    page = compared(tmp_path / "a.html", real=Coloured(), fake=Coloured())
    dense = torch.cdist(FAKE.double(), REAL.double(), compute_mode="donot_use_mm_for_euclid_dist")
    order = dense.min(1).values.argsort()
    pairs = [n for i in order[:16].tolist() for n in (100 + i, int(dense[i].argmin()))]
    assert [colour_of(uri) for uri in section(page, "Generated, nearest")] == pairs
    assert pairs[:2] == [107, 11]
    assert [colour_of(uri) for uri in section(page, "Generated, farthest")] == (100 + order.flip(0)[:16]).tolist()
    fixed = [colour_of(uri) for uri in section(page, "Fixed samples")]
    assert len(set(fixed[::2])) == 16
    assert fixed[1::2] == [int(dense[i - 100].argmin()) for i in fixed[::2]]
    own = torch.cdist(REAL.double(), REAL.double()).kthvalue(4, 1).values
    lonely = {i for i in range(60) if dense[:, i].min() >= own[i]}
    assert {colour_of(uri) for uri in section(page, "Real images not covered")} <= lonely
    assert f"{len(lonely) / 60:.1%} of 60 real images" in page.said


def test_a_gallery_shows_the_closest_generated_pairs(tmp_path: Path) -> None:
    page = compared(tmp_path / "a.html", real=Coloured(), fake=Coloured())
    apart = torch.pdist(FAKE.double())
    pairs = torch.triu_indices(50, 50, 1)[:, apart.argsort()[:8]].T.flatten()
    assert [colour_of(uri) for uri in section(page, "Generated, closest to each other")] == (100 + pairs).tolist()
    assert "Of 50 generated samples. Pairs that show one picture are repeats" in page.said


def test_only_what_is_shown_is_read_again(tmp_path: Path) -> None:
    real, fake = Coloured(), Coloured()
    page = compared(tmp_path / "a.html", real=real, fake=fake)
    assert {colour_of(str(image["src"])) for image in page.images} == fake.asked | real.asked
    assert min(fake.asked) >= 100
    assert max(real.asked) < 60


def test_scores_stand_with_their_spread_and_signature(tmp_path: Path) -> None:
    page = compared(tmp_path / "a.html", [FID(), BALLS])
    assert "fd ↓" in page.said
    assert "fid+prdc(k=3)|ext:features-6|" in page.said
    assert "50 generated against 60 real images, by features-6" in page.said
    assert page.headings[:3] == ["Scores", "Fidelity and diversity", "Neighbours"]
    assert "Over the epochs" not in page.said
    assert "input" not in page.tags


@pytest.mark.parametrize(
    ("measures", "datasets", "told"),
    [
        ([FID()], {}, "PRDC() or KID() shows it"),
        ([BALLS], {"fake": Coloured()}, "The real images cannot be read again"),
        ([BALLS], {"real": Coloured()}, "The generated images cannot be read again"),
        ([BALLS], {}, "The generated and the real images cannot be read again"),
    ],
)
def test_what_is_left_out_is_said(tmp_path: Path, measures: Any, datasets: Any, told: str) -> None:
    page = compared(tmp_path / "a.html", measures, **datasets)
    assert told in page.said
    assert ("Generated, farthest from the real images" in page.headings) == ("fake" in datasets)
    assert ("Real images not covered" in page.headings) == ("real" in datasets)
    assert "Fixed samples beside their nearest real images" not in page.headings


def write_with_ranks(group: Any, path: Path, part: tuple[Any, Any]) -> None:
    metric = measured(process_group=group)
    for (rows, index), real in zip(part, (True, False)):
        metric.update(rows, real=real, index=index)
    write_comparison(path, metric=metric, values=metric.compute(), real=Coloured(), fake=Coloured())


def test_two_ranks_write_the_page_of_one(ranks: Ranks, tmp_path: Path) -> None:
    compared(tmp_path / "one.html", real=Coloured(), fake=Coloured())
    parts = [((REAL[p], torch.arange(60)[p]), (FAKE[p], IDS[p])) for p in (slice(0, 20), slice(20, None))]
    ranks.run(2, write_with_ranks, tmp_path / "two.html", each=parts)
    assert (tmp_path / "two.html").read_text() == (tmp_path / "one.html").read_text()


# A training.


@pytest.mark.parametrize(
    ("key", "values", "best"),
    [
        ("recall", (0.0, 0.0, 0.0), 0),
        ("fid", (7.0, 9.0, 7.0), 0),
        ("recall", (0.2, 0.8, 0.5), 1),
        ("fid", (7.0, 5.0, 9.0), 1),
    ],
)
def test_the_best_is_by_its_direction_and_of_equal_values_the_first(
    key: str, values: tuple[float, ...], best: int
) -> None:
    measured = History("val")
    for epoch, value in enumerate(values):
        measured.add(epoch, {key: torch.tensor(value)}, "signature")
    assert [score.best for score in scores(measured)] == [f"best {number(values[best])}, epoch {best}"]


def test_epochs_are_drawn_listed_and_can_be_slid_through() -> None:
    page = Page(rendered([history()], "A run"))
    assert "Fréchet distance ↓, epoch by epoch: fid from 9.00 to 7.00." in [
        v for _, name, v in page.attributes if name == "aria-label"
    ]
    frames = [image for image in page.images if "data-epoch" in image]
    assert [frame["alt"] for frame in frames] == [f"Generated samples, epoch {i}" for i in range(3)]
    assert ["hidden" in frame for frame in frames] == [True, True, False]
    assert ("input", "type", "range") in page.attributes
    assert ("input", "max", "2") in page.attributes
    assert "fid ↓ 7.00 best so far" in page.said
    assert "precision ↑ 0.500 best 0.500, epoch 2" not in page.said
    epochs = page.html[page.html.index('class="scroll epochs"') :]
    assert epochs.count("<tr>") == 1 + 3
    assert page.tags.count("svg") == 4


def test_raw_weights_and_their_average_share_the_axes() -> None:
    raw, average = history(name="raw"), history(name="ema")
    page = Page(rendered([raw, average], "Both"))
    assert page.tags.count("svg") == 4
    labels = [value for _, name, value in page.attributes if name == "aria-label"]
    assert "Fréchet distance ↓, epoch by epoch: fid raw from 9.00 to 7.00; fid ema from 9.00 to 7.00." in labels
    assert {"fid raw 7.00", "fid ema 7.00"} <= {text.strip() for text in page.text}
    assert [h for h in page.headings if h.startswith("Sc")] == ["Scores: raw", "Scores: ema"]


def with_every_measure(epochs: int = 3) -> History:
    """Return a history of every key that a measure yields, of a class of ten, and of one that no measure does."""
    noted = history(epochs)
    keys = [*known_scalars(), *(f"intra_fid_{c}" for c in range(10)), "loss"]
    noted.rows = [{key: 1.0 + place + epoch for place, key in enumerate(keys)} for epoch in range(epochs)]
    return noted


@pytest.mark.slow
def test_groups_of_many_values_are_folded_and_the_core_comes_first() -> None:
    page = Page(rendered([with_every_measure()], "All"))
    folded = [("open" in dict(attributes)) for attributes in page.details if dict(attributes).get("class") == "group"]
    for part in (folded[: len(folded) // 2], folded[len(folded) // 2 :]):  # scores, then charts
        assert part == [True] + [False] * (len(part) - 1)
        assert len(part) > 4
    names = re.findall(r"<summary>([\w -]+) <span>", page.html)
    assert names[: len(names) // 2] == names[len(names) // 2 :]
    order = [GROUPS.index(name.lower()) for name in names[: len(names) // 2]]
    assert order == sorted(order)
    assert order[0] == 0
    assert names[-1] == "Own"


def test_values_of_one_group_are_not_folded() -> None:
    page = Page(rendered([history()], "Core alone"))
    assert not any(("class", "group") in attributes for attributes in page.details)


def test_every_value_stands_in_the_table_in_full() -> None:
    noted = with_every_measure(1)
    noted.rows[-1] |= {"fid": 1.2345678901234567}
    html = rendered([noted], "All")
    cells = re.findall(r'<th scope="row">([^<]+)</th><td>([^<]+)</td>', html)
    assert {key: float(value) for key, value in cells} == noted.rows[-1]


@pytest.mark.slow
def test_no_chart_has_more_curves_than_colours() -> None:
    names = [re.findall(r"(\w+) from", chart.words) for chart in over_epochs([with_every_measure()])]
    assert max(map(len, names)) == len(COLOURS)
    assert {f"intra_fid_{c}" for c in range(10)} <= {name for of in names for name in of}


def test_nothing_is_loaded_and_every_image_has_words() -> None:
    page = Page(rendered([history()], "A run"))
    assert not re.search(r"https?:|@import|url\((?!#)|<link|<iframe|srcset", page.html)
    assert all(value.startswith("data:image/webp;base64,") for _, name, value in page.attributes if name == "src")
    assert all(value.startswith("#") for _, name, value in page.attributes if name.endswith("href"))
    assert all(image["alt"] for image in page.images)
    assert any("default-src 'none'" in value for _, _, value in page.attributes)


def test_hostile_names_are_text() -> None:
    evil = "<script>alert(1)</script>\"'$x_$ {{7*7}}"
    noted = history(name=evil)
    noted.rows = [{**row, f"vendi{evil}": 1.0} for row in noted.rows]
    noted.signature = evil
    noted.gallery = Gallery(evil)
    page = Page(rendered([noted, history()], evil))
    assert page.tags.count("script") == 1
    assert "alert(1)" in page.said
    assert "{{7*7}}" in page.said


def test_colours_and_type_are_the_pages_own() -> None:
    html = rendered([history()], "A run")
    drawings = "".join(re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL))
    assert not re.findall(r"#[0-9a-f]{6}\b", re.sub(r'"#[^"]*"|url\(#[^)]*\)', "", drawings))
    assert "DejaVu" not in drawings
    assert {"--ink", "--soft", "--line", "--curve-0", "--curve-1"} <= set(
        re.findall(r"var\((--[a-z0-9-]+)\)", drawings)
    )
    defined = set(re.findall(r"(--[a-z0-9-]+):", html))
    assert set(re.findall(r"var\((--[a-z0-9-]+)\)", html)) <= defined


def test_a_long_run_of_noise_stays_below_five_megabytes() -> None:
    noted = history(epochs=MOST_GRIDS + 3, side=64)
    noted.epochs += list(range(100, 1000))
    noted.steps += [None] * 900
    noted.rows += [dict(noted.rows[-1]) for _ in range(900)]
    assert len(rendered([noted], "Noise")) < 5e6


def test_grids_are_spread_over_the_epochs() -> None:
    noted = history(epochs=150)
    epochs = [grid.epoch for grid in noted.grids]
    assert len(epochs) == MOST_GRIDS
    assert (epochs[0], epochs[-1]) == (0, 149)
    assert max(np.diff(epochs)) <= 8


def test_an_epoch_that_comes_again_replaces_what_followed() -> None:
    noted = history(epochs=5)
    noted.note(2, {"fid": torch.tensor(1.0)}, measured())
    assert noted.epochs == [0, 1, 2]
    assert noted.rows[-1] == {"fid": 1.0}
    assert [grid.epoch for grid in noted.grids] == [0, 1]


def test_a_value_that_is_missing_or_not_finite_is_a_dash() -> None:
    noted = history(epochs=2)
    noted.rows[-1] |= {"fid": float("nan")}
    del noted.rows[0]["kid"]
    page = Page(rendered([noted], "Gaps"))
    assert page.said.count("–") >= 3


def test_an_error_leaves_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "report.html"
    write_report(path, [history()], "Old")
    monkeypatch.setattr("streaming_metrics.report.charts.over_epochs", lambda histories: 1 / len([]))  # noqa: ARG005
    with pytest.raises(ZeroDivisionError):
        write_report(path, [history()], "New")
    assert "<h1>Old</h1>" in path.read_text()
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


# Pictures.


@pytest.mark.parametrize("side", [8, 64])
def test_a_picture_survives_its_address(side: int) -> None:
    image = torch.arange(side)[None, None].expand(3, side, side).to(torch.uint8) * (255 // side)
    data = base64.b64decode(data_uri(image).split(",")[1])
    with Image.open(io.BytesIO(data)) as picture:
        back = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    assert (back.int() - image.int()).abs().max() <= (0 if side == 8 else 12)


def test_grids_have_transparent_gaps() -> None:
    grid = grid_of(torch.full((5, 3, 16, 16), 9, dtype=torch.uint8), columns=3)
    assert grid.shape == (4, 33, 50)
    assert grid[3, :, 16].max() == 0
    assert (grid[3] == 255).sum() == 5 * 256
    assert (grid[:3, grid[3] == 255] == 9).all()


def test_shrinking_keeps_proportions_and_small_images() -> None:
    assert shrunk(torch.zeros(1, 3, 40, 10, dtype=torch.uint8), 64).shape[-2:] == (40, 10)
    assert shrunk(torch.zeros(1, 3, 300, 100, dtype=torch.uint8), 64).shape[-2:] == (64, 21)
    assert (shrunk(torch.full((1, 3, 128, 128), 200, dtype=torch.uint8), 64) == 200).all()


def test_a_grid_says_whether_its_pixels_show() -> None:
    assert [history(1, side=side).grids[0].is_small for side in (8, 32, 33)] == [True, True, False]
    assert Grid._fields == ("epoch", "picture", "is_small", "step")


# A browser.

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
PROBE = """<script>
const slider = document.querySelector("input"), body = document.body;
slider.stepDown();
slider.dispatchEvent(new Event("input"));
body.dataset.shown = [...document.querySelectorAll(".reel img")].filter(frame => !frame.hidden).map(frame => frame.alt);
body.dataset.fits = document.documentElement.scrollWidth <= innerWidth;
</script></body>"""


@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_slides_through_the_epochs_and_nothing_sticks_out(tmp_path: Path, width: int) -> None:
    noted = history(name="a-long-name-of-a-monitor")
    noted.rows = [row | {"vendi_of_an_extractor_with_a_long_name": 0.5} for row in noted.rows]
    path = tmp_path / "report.html"
    path.write_text(rendered([noted, history()], "Generated-against-real " * 3).replace("</body>", PROBE))
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
    told = [f"--window-size={width},844", "--virtual-time-budget=2000", "--dump-dom", path.as_uri()]
    done = subprocess.run([str(BROWSER), *options, *told], capture_output=True, text=True, timeout=120, check=True)
    page = Page(done.stdout)
    assert ("body", "data-shown", "Generated samples, epoch 1,Generated samples, epoch 2") in page.attributes
    assert ("body", "data-fits", "true") in page.attributes
    assert ("input", "aria-valuetext", "epoch 1") in page.attributes
