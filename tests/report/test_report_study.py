"""A study in the report: what its sections show, that names are escaped, and that it stands alone or beside scores."""

from __future__ import annotations

import copy
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from test_report import Page, history
from test_results import FOUND, QUALITIES

from streaming_metrics.ratings.results_beside import beside_results
from streaming_metrics.report import rendered, write_study
from streaming_metrics.report.dots import Dots, ticks_of

if TYPE_CHECKING:
    from pathlib import Path

FALLING = {name: 100.0 - 9 * place for place, name in enumerate(QUALITIES)}
STUDY: dict[str, Any] = {**FOUND, "beside": beside_results(FOUND, {"fid": FALLING}, {"fid": "↓"})}
PAGE = Page(rendered([], "What people say", STUDY))


def test_each_task_has_its_section() -> None:
    headings = [one.strip() for one in PAGE.headings]
    for title in ("Preference", "Opinion", "Real or fake, at a glance", "Beside computed measures", "Raters"):
        assert title in headings
    assert {"Strengths", "Mean opinion scores", "Sensitivity d′", "By category of prompts"} <= {*headings}


def test_values_and_intervals_are_in_digits_and_in_words() -> None:
    one = FOUND["tasks"][1]["scores"][0]
    told = f"{one['mean']['value']:.2f} {one['mean']['low']:.2f} to {one['mean']['high']:.2f}"
    assert told in PAGE.said
    labels = [value for _, name, value in PAGE.attributes if name == "aria-label"]
    assert any(f"epoch-01 {told}" in label for label in labels)
    assert any(label.startswith("Sensitivity d′ over exposure: epoch-01") for label in labels)
    assert any("mean score over fid: epoch-01" in label for label in labels)


def test_the_win_matrix_shows_both_sides_of_a_pair() -> None:
    matrix = FOUND["tasks"][0]["wins"]
    won, lost, tied = matrix["wins"][3][0], matrix["wins"][0][3], matrix["ties"][0][3]
    titles = [value for tag, name, value in PAGE.attributes if (tag, name) == ("td", "title")]
    assert f"{won} won, {lost} lost, {tied} tied" in titles
    assert f"{lost} won, {won} lost, {tied} tied" in titles
    assert len(titles) == 12


def test_simulated_raters_are_named_so_and_people_are_not() -> None:
    assert "The raters of this study are simulated." in PAGE.said
    assert "14 simulated raters" in PAGE.said
    people = Page(rendered([], "x", {**STUDY, "raters_are": "people"}))
    assert "simulated raters" not in people.said
    assert "are simulated" not in people.said


def test_flags_and_what_was_left_out_are_told() -> None:
    flagged = [one for one in FOUND["raters"] if one["flags"]]
    assert f"{len(flagged)} of 14 raters are flagged. None was left out." in PAGE.said
    assert ", ".join(flagged[0]["flags"]) in PAGE.said


def test_names_are_escaped_and_nothing_is_loaded() -> None:
    study = copy.deepcopy(STUDY)
    study["tasks"][1]["conditions"][0] = study["tasks"][1]["scores"][0]["condition"] = "<script>x</script>"
    study["study"], study["notes"] = "<img src=x>-00000000", ["<b>bold</b>"]
    page = Page(rendered([history()], "x", study))
    assert "<script>x" not in page.html
    assert "<b>bold" not in page.html
    assert page.tags.count("script") == 1
    assert not [value for _, name, value in page.attributes if name in ("src", "href") and "data:" not in value]


def test_it_stands_beside_scores_and_alone(tmp_path: Path) -> None:
    beside = Page(rendered([history()], "Generated images against real ones", STUDY))
    assert any(one.startswith("What people say: ") for one in beside.headings)
    assert "Scores" in beside.headings
    write_study(tmp_path / "study.html", STUDY)
    alone = Page((tmp_path / "study.html").read_text())
    assert "What people say of simulated" in alone.said
    assert "Scores" not in alone.headings
    assert 'class="dots"' not in rendered([history()], "x")  # a report without a study has none of it


@pytest.mark.parametrize("keep", [1, 2])
def test_what_cannot_be_told_is_a_dash(keep: int) -> None:
    from test_results import ALL, FACTS

    from streaming_metrics.ratings.judgements import Judgements
    from streaming_metrics.ratings.results import results

    for name in FACTS.tasks:
        few = results(Judgements([*ALL.where(task=name, checks=False)][:keep]), FACTS, half_width=0.1)
        page = Page(rendered([], "x", few))
        assert "–" in page.said
        assert "nan" not in page.said.lower()
        assert "None" not in page.said.replace("None was left out", "")


def test_a_scale_holds_what_intervals_reach() -> None:
    drawn = Dots.of([("a", ({"value": 0.4, "low": -0.2, "high": 1.3}, None)), ("b", (None,))], "d′", middle=0)
    [dot] = drawn.rows[0].dots
    assert 0 <= dot.low < dot.at < dot.high <= 100
    assert drawn.rows[1].dots == ()
    assert drawn.rows[1].value == "–"
    assert drawn.ticks[0].text.startswith("−")
    assert ticks_of(0, 1)[0] == 0
    assert ticks_of(0, 1)[-1] == 1


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (1280, "light")])
def test_nothing_reaches_beyond_the_screen(tmp_path: Path, width: int, scheme: str) -> None:
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("needs chromium")
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    write_study(tmp_path / "study.html", STUDY)
    with sync_playwright() as playwright:
        window = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        context = window.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page = context.new_page()
        page.goto((tmp_path / "study.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        dots = page.locator(".dots").first.bounding_box()
        assert dots is not None
        assert dots["width"] > 300
        window.close()
