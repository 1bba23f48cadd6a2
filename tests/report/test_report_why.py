"""Why a distance is what it is, in the report: images, classes, directions and copies, and what would show more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import torch
from test_report import Coloured, Page, colour_of
from test_report_looks import cards
from test_report_looks import section as section_of
from test_report_monitor import page_of, watching
from trainings import QUIET, REAL, loader, validate

from streaming_metrics import FID, PRDC, AuthPct, Features, GenerativeMetrics, IntraFID
from streaming_metrics.report import write_comparison
from streaming_metrics.report.causes import Causes
from streaming_metrics.report.folders import Folders
from streaming_metrics.report.why import hints_of

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Ranks
    from torch import Tensor

pytestmark = [*QUIET, pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")]

WIDTH, CLASSES = 6, 4
CENTRES = 4 * torch.randn(CLASSES, WIDTH, generator=torch.Generator().manual_seed(4))
TITLES = [
    "Images that make the distance",
    "Classes that make the distance",
    "Distance within classes",
    "Missing and invented variation",
    "Nearest to training images",
    "What more could be told",
]


def side(seed: int, n: int, fault: int | None = None) -> Features:
    labels = torch.arange(n) % CLASSES
    rows = torch.randn(n, WIDTH, generator=torch.Generator().manual_seed(seed)) + CENTRES[labels]
    if fault is not None:
        rows[labels == fault] += 2
    return Features(rows, index=torch.arange(n), labels=labels)


def filled(measures: Any) -> GenerativeMetrics:
    metric = GenerativeMetrics(list(measures), None, num_features=WIDTH)
    metric.update(side(0, 200), real=True)
    metric.update(side(1, 120, fault=2), real=False)
    if "train" in metric.roles:
        metric.update(side(2, 100), role="train")
    return metric


class InFolders(Coloured):
    """Images of one colour in folders, some of which are no text that a page may hold as it is."""

    def __init__(self, n: int, folders: int = CLASSES) -> None:
        super().__init__()
        self.n, self.folders = n, folders

    def __len__(self) -> int:
        return self.n

    def path_below(self, i: int) -> str:
        return f"<b>{i % self.folders}/{i}.png"


def compared(folder: Path, metric: GenerativeMetrics, **datasets: Any) -> Page:
    write_comparison(folder / "a.html", metric=metric, values=metric.compute(), **datasets)
    return Page((folder / "a.html").read_text())


def pictured(part: str, title: str) -> list[int]:
    """Return the numbers of the images below a heading."""
    part = part[part.index(f"<h3>{title}") if title else 0 :]
    return [colour_of(uri) for uri in re.findall(r'src="([^"]*)"', part[: part.index("</ul>")])]


def shown(ids: Tensor) -> list[int]:
    return ids.tolist()


def test_all_of_it_is_shown_of_a_metric_that_keeps_what_it_takes(tmp_path: Path) -> None:
    metric = filled([FID(), IntraFID(classes=CLASSES), AuthPct()])
    page = compared(tmp_path, metric, real=Coloured(), fake=Coloured(), train=Coloured())
    assert [title for title in page.headings if title in TITLES] == TITLES[:-1]
    inspector = metric.inspector()
    told, copies, directions = inspector.explained(), inspector.copies(), inspector.directions()
    assert told is not None
    assert told.fake is not None
    assert told.real is not None
    part = section_of(page, TITLES[0])
    assert pictured(part, "Generated, raising it most") == shown(told.fake.index[told.fake.highest(8)])
    assert pictured(part, "Generated, lowering it most") == shown(told.fake.index[told.fake.lowest(8)])
    assert pictured(part, "Real, missed most") == shown(told.real.index[told.real.highest(8)])
    (first, _, fake), *_ = cards(section_of(page, TITLES[1]))
    assert first == "Label 2 above the others"
    assert {number % CLASSES for number in fake} == {2}
    assert directions is not None
    means, *others = cards(section_of(page, TITLES[3]))
    assert means == ("Means shifted", *map(shown, (directions.shift_real_examples, directions.shift_fake_examples)))
    for place, (title, real, fake) in enumerate(others):
        assert title == f"Direction {place + 1} {'missing' if directions.is_missing[place] else 'invented'}"
        assert (real, fake) == (shown(directions.real_examples[place]), shown(directions.fake_examples[place]))
    assert copies is not None
    places = copies.closest(8)
    pairs = [number for place in places for number in (int(copies.fake[place]), int(copies.nearest[place]))]
    assert pictured(section_of(page, TITLES[4]), "") == pairs
    assert "no sign of memory" in page.said
    assert "no proof of a copy" in page.said
    assert "for want of images alone" not in page.said


def compared_by_ranks(group: Any, path: str, part: tuple[int, int]) -> None:
    metric = GenerativeMetrics([FID(se=True), AuthPct()], None, num_features=WIDTH, process_group=group)
    for role, features in (("real", side(0, 200)), ("fake", side(1, 120, fault=2)), ("train", side(2, 100))):
        metric.update(features[slice(part[0], None, part[1])], role=role)
    values = metric.compute()
    write_comparison(path, metric=metric, values=values, real=InFolders(200), fake=InFolders(120), train=Coloured())


def test_ranks_show_the_same_images(ranks: Ranks, tmp_path: Path) -> None:
    """One of them has none of the samples."""
    alone, together = tmp_path / "1.html", tmp_path / "2.html"
    compared_by_ranks(None, str(alone), (0, 1))
    ranks.run(3, compared_by_ranks, str(together), each=[(500, 1), (0, 2), (1, 2)])
    pages = [Page(path.read_text()) for path in (alone, together)]
    for title in TITLES[:-1]:
        one, other = (re.findall(r'src="([^"]*)"', section_of(page, title)) for page in pages)
        assert one == other
        assert bool(one) == (title != TITLES[2])


def test_folders_are_classes_where_no_labels_are_kept(tmp_path: Path) -> None:
    page = compared(tmp_path, filled([FID(se=True)]), real=InFolders(200), fake=InFolders(120))
    (first, _, fake), *_ = cards(section_of(page, TITLES[1]))
    assert first == "&lt;b&gt;2 above the others"
    assert {number % CLASSES for number in fake} == {2}
    rows = re.findall(r'<div class="row"><b>(.*?)</b>', section_of(page, TITLES[2]))
    assert rows[0] == "&lt;b&gt;2"
    assert len(rows) == CLASSES
    assert "<b>2" not in page.html


def test_folders_that_tell_nothing_are_none() -> None:
    assert Folders.of(InFolders(200), InFolders(120, folders=1)) is None
    assert Folders.of(InFolders(200), InFolders(120, folders=100)) is None
    assert Folders.of(InFolders(200), Coloured()) is None
    found = Folders.of(None, InFolders(120))
    assert found is not None
    assert found.names == ("<b>0", "<b>1", "<b>2", "<b>3")
    assert found.labels.keys() == {"fake"}
    assert found.labels["fake"].tolist() == [i % 4 for i in range(120)]


@pytest.mark.parametrize(
    ("measures", "missing"),
    [
        ([FID()], ["FID(se=True) keeps", "AuthPct()"]),
        ([PRDC(k=3)], ["FID() is measured", "AuthPct()"]),
        ([FID(se=True)], ["IntraFID(classes=…)", "AuthPct()"]),
        ([FID(), IntraFID(classes=CLASSES), AuthPct()], []),
    ],
    ids=["moments", "features", "reservoir", "all"],
)
def test_what_is_not_known_is_said_with_what_would_tell_it(measures: Any, missing: list[str]) -> None:
    hints = hints_of(Causes.of(filled(measures).inspector()))
    assert len(hints) == len(missing)
    assert all(name in hint for name, hint in zip(missing, hints))


def test_few_images_are_said_to_leave_directions_out(tmp_path: Path) -> None:
    metric = GenerativeMetrics([FID()], None, num_features=WIDTH)
    metric.update(side(0, 200), real=True)
    metric.update(side(1, 5), real=False)
    assert "span no more than 4 of 6 directions" in compared(tmp_path, metric).said


def test_without_images_there_are_no_pictures(tmp_path: Path) -> None:
    page = compared(tmp_path, filled([FID(se=True), PRDC(k=3)]))
    assert TITLES[0] not in page.headings
    assert TITLES[3] in page.headings
    assert not page.images


def test_a_monitor_shows_the_training_images_that_are_near(tmp_path: Path) -> None:
    measures = [FID(se=True), AuthPct()]
    callback = watching(measures=measures, train=loader(), sample=lambda model, n: REAL[:n], batch_size=20)  # noqa: ARG005
    validate(callback, default_root_dir=tmp_path)
    part = section_of(page_of(tmp_path, "report-validate.html"), TITLES[4])
    pairs = re.findall(r'src="([^"]*)"', part)
    assert len(pairs) == 16
    assert pairs[::2] == pairs[1::2]
    assert part.count("<span>0.00</span>") == 8
