"""Modes, units, map and ways in the report: what they say and show, what is left out, that it stays small."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import torch
from scores import normal
from test_report import PROBE, Coloured, Page, colour_of

from streaming_metrics import FID, KID, PRDC, Features, GenerativeMetrics, Modes
from streaming_metrics.measures.mode_table import ModeTable
from streaming_metrics.report import write_comparison
from streaming_metrics.report.looks import mode_look, way_look

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")
TITLES = ["Modes", "Map of features", "Units that tell the sides apart"]
WIDTH = 6
LABELS = torch.arange(120) % 4
REAL = normal(0, 120, WIDTH) + 9 * torch.nn.functional.one_hot(LABELS, WIDTH)
FAKE = normal(1, 90, WIDTH) + 9 * torch.nn.functional.one_hot(torch.arange(90) % 3, WIDTH)
FAKE[:, 5] += 4


def metric_of(measures: Any, freeze: bool = False, **options: Any) -> GenerativeMetrics:
    metric = GenerativeMetrics([*measures], None, num_features=WIDTH, **options)
    metric.update(Features(REAL, index=torch.arange(120), labels=LABELS), real=True)
    if freeze:
        metric.freeze_real()
    metric.update(Features(FAKE, index=torch.arange(90) + 130, labels=torch.arange(90) % 3), real=False)
    return metric


def compared(folder: Path, metric: GenerativeMetrics, **datasets: Any) -> Page:
    write_comparison(folder / "a.html", metric=metric, values=metric.compute(), **datasets)
    return Page((folder / "a.html").read_text())


def section(page: Page, title: str) -> str:
    part = page.html[page.html.index(f"<h2>{title}") :]
    return part[: part.index("</section>")]


def cards(part: str) -> list[tuple[str, list[int], list[int]]]:
    """Return the title of each card, and the numbers of the images of either side on it."""
    found = re.findall(r"<li>\s*<h4>(.*?)</h4>(.*?)</li>", part, flags=re.DOTALL)

    def of_side(card: str, side: str) -> list[int]:
        row = re.search(rf'<div class="{side}">(.*?)</div>', card, flags=re.DOTALL)
        return [colour_of(uri) for uri in re.findall(r'src="([^"]*)"', row[1])] if row else []

    return [(re.sub("<.*?>", "", title), of_side(card, "real"), of_side(card, "fake")) for title, card in found]


@pytest.mark.parametrize("measure", [Modes(modes=4), Modes(classes=4)], ids=lambda m: m.describe())
def test_modes_that_lack_images_come_first_with_their_pictures(tmp_path: Path, measure: Modes) -> None:
    metric = metric_of([measure])
    part = section(compared(tmp_path, metric, real=Coloured(), fake=Coloured()), "Modes")
    table = metric.modes()
    assert table is not None
    (first, real, fake), *others = cards(part)
    lost = int(table.is_missing.nonzero())
    assert first == f"{'Label' if measure.classes else 'Mode'} {lost} missing"
    assert (real, fake) == (table.real_examples[lost].tolist(), [])
    assert {number % 4 for number in real} == {3}
    assert len(others) == 3
    assert all(table.fake_examples[int(title.split()[1])].tolist() == shown for title, _, shown in others)
    assert "4 modes of the real images" in part
    assert "1 hold no generated image, 1 significantly fewer" in part


def test_a_distance_that_there_is_not_is_not_told() -> None:
    counts, none = torch.tensor([20, 20]), torch.empty(0, dtype=torch.int64)
    table = ModeTable.of(counts, counts, 0.0 * counts, 1.0 * counts)
    assert "inf" not in mode_look(table, none, {}, {}).text
    assert "0.50 times as far" in mode_look(ModeTable.of(counts, counts, 2.0 * counts, 1.0 * counts), none, {}, {}).text


def test_more_modes_than_fit_are_cut_to_those_that_lack_most(tmp_path: Path) -> None:
    part = section(compared(tmp_path, metric_of([Modes(modes=30)])), "Modes")
    assert len(cards(part)) == 24
    assert "The 24 that lack generated images most" in part


def test_units_show_what_excites_them(tmp_path: Path) -> None:
    metric = metric_of([FID(), PRDC(k=3)])
    part = section(compared(tmp_path, metric, real=Coloured(), fake=Coloured()), "Units")
    title, real, fake = cards(part)[0]
    assert re.fullmatch(r"Unit 5 \+[34]\.\d\d σ", title)
    assert real == REAL[:, 5].argsort(descending=True)[:4].tolist()
    assert fake == (FAKE[:, 5].argsort(descending=True)[:4] + 130).tolist()


def test_the_map_holds_every_sample_and_pictures_where_they_lie(tmp_path: Path) -> None:
    metric = metric_of([KID(subset_size=20)])
    part = section(compared(tmp_path, metric, real=Coloured(), fake=Coloured()), "Map of features")
    assert part.count("<i ") + part.count("<img ") == 120 + 90
    found = metric.projection()
    assert found is not None
    both = torch.cat([found.real, found.fake])
    low, high = both.amin(0), both.amax(0)
    pictures = re.findall(r'<img class="(real|fake) pixels" style="left:(.*?)%;bottom:(.*?)%" src="([^"]*)"', part)
    assert len(pictures) > 20
    for side, left, bottom, uri in pictures:
        place = colour_of(uri) - (130 if side == "fake" else 0)
        at = ((found.fake if side == "fake" else found.real)[place] - low) / (high - low)
        assert (float(left), float(bottom)) == pytest.approx((100 * at).tolist(), abs=0.06)


@pytest.mark.parametrize(
    ("measures", "options", "titles"),
    [
        ([PRDC(k=3)], {}, TITLES),
        ([FID()], {}, TITLES[2:]),
        ([Modes(4)], {"freeze": True}, TITLES[:1]),
        ([Modes(4)], {"freeze": True, "bind_limit": 0}, TITLES),
    ],
)
def test_what_no_features_are_kept_for_is_left_out(tmp_path: Path, measures: Any, options: Any, titles: Any) -> None:
    page = compared(tmp_path, metric_of(measures, **options))
    assert [heading for heading in page.headings if heading in TITLES] == titles
    assert ("which modes there are and where images lie is not known" in page.said) == (titles != TITLES)
    assert ("which images excite them is not known" in page.said) == (TITLES[2] in titles)
    assert not any("class" in image and "frame" in image["class"] for image in page.images)


def test_images_that_cannot_be_read_leave_numbers(tmp_path: Path) -> None:
    page = compared(tmp_path, metric_of([PRDC(k=3)]), fake=Coloured())
    for title in TITLES:
        numbers = [colour_of(uri) for uri in re.findall(r'src="([^"]*)"', section(page, title))]
        assert numbers
        assert min(numbers) >= 130


def test_ways_are_a_row_each() -> None:
    look = way_look(torch.arange(6, dtype=torch.uint8).view(2, 3, 1, 1, 1).expand(-1, -1, 3, 16, 16))
    assert look.strip is not None
    assert look.strip.words == "2 ways between samples, 3 steps each"
    assert colour_of(look.strip.uri) == 0


class Noise:
    """Images that do not compress, of the largest size that is shown."""

    def __getitem__(self, i: int) -> Tensor:
        return torch.randint(0, 256, (3, 128, 128), dtype=torch.uint8, generator=torch.Generator().manual_seed(i))


def test_a_page_of_noise_stays_below_three_megabytes(tmp_path: Path) -> None:
    metric = GenerativeMetrics([FID(), PRDC(k=3), Modes(30)], None, num_features=12)
    for seed, real in enumerate((True, False)):
        metric.update(normal(seed, 400, 12), real=real)
    compared(tmp_path, metric, real=Noise(), fake=Noise())
    assert (tmp_path / "a.html").stat().st_size < 3e6


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_in_a_browser(tmp_path: Path, width: int) -> None:
    compared(tmp_path, metric_of([FID(), PRDC(k=3)]), real=Coloured(), fake=Coloured())
    path = tmp_path / "a.html"
    probe = re.sub(r"slider\..*\n", "", PROBE)
    path.write_text(path.read_text().replace("</body>", probe))
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
    told = [f"--window-size={width},844", "--virtual-time-budget=2000", "--dump-dom", path.as_uri()]
    done = subprocess.run([str(BROWSER), *options, *told], capture_output=True, text=True, timeout=120, check=True)
    assert ("body", "data-fits", "true") in Page(done.stdout).attributes
