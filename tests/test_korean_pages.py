"""The Korean overview of measures: it says of each what its class declares, and what the sensitivity map found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streaming_metrics.measures.facts import ARROWS, MeasureFacts, facts_of_all

DOCS = Path(__file__).parents[1] / "docs"
OVERVIEW = (DOCS / "ko" / "measures.md").read_text(encoding="utf-8")
ROWS = [line.strip("| ").split(" | ") for line in OVERVIEW.splitlines() if line.startswith("| [`")]
FOUND = re.compile(r"^\| `(\w+)` \| (.*) \| (.*) \| (.*) \| (.*) \|$", re.MULTILINE)
MAP = {row[0]: row[1:] for row in FOUND.findall((DOCS / "sensitivity.md").read_text(encoding="utf-8"))}
REPORTED = {("fd_dinov2", "fid"): "fd_dinov2_vitl14"}  # of a network of its own, so never under FID's name

NOTICED = {  # what the overview tells of the map: a value, what befell the images, from which strength on it notices
    ("coverage", "mode drop"): "1 of 10",
    ("fid", "mode drop"): "1 of 10",
    ("modes_js", "mode drop"): "1 of 10",
    ("cas", "mode drop"): "1 of 10",
    ("fwd", "mode drop"): "1 of 10",
    ("clipped_coverage", "mode drop"): "3 of 10",
    ("am_score", "mode drop"): "3 of 10",
    ("is", "mode drop"): "6 of 10",
    ("is", "JPEG"): "5 quality",
    ("fwd", "JPEG"): "15 quality",
    ("gradients", "blur"): "0.5 px",
    ("gradients", "JPEG"): "50 quality",
    ("density", "duplication"): "99%",
    ("p_precision", "duplication"): "99%",
    ("birthday_support", "duplication"): "50%",
    ("ct", "copying"): "10%",
    ("authpct", "copying"): "10%",
    ("fld", "copying"): "50%",
    ("mifid", "copying"): "50%",
    ("intra_fid", "wrong labels"): "10%",
}
MISSED = {
    ("precision", "mode drop"),
    ("density", "mode drop"),
    ("gan_test", "mode drop"),
    ("modes_missing", "mode drop"),
    ("is_inf", "mode drop"),
    ("birthday_support", "mode drop"),
    ("top_precision", "blur"),
    ("modified_is", "noise"),
    ("ndb", "invention"),
    ("sharpness_difference", "JPEG"),
}
CALLED_BETTER = {("precision", "duplication"), ("authpct", "blur"), ("authpct", "noise"), ("fkea_vendi", "colour")}


def test_every_measure_has_a_row_in_its_place() -> None:
    assert [row[0] for row in ROWS] == [f"[`{facts.call}`](../measures.md#{anchor(facts)})" for facts in facts_of_all()]
    assert f"{len(ROWS)}가지 지표" in OVERVIEW


def anchor(facts: MeasureFacts) -> str:
    """Return what a code host calls the heading of a measure's definition."""
    assert f"### `{facts.call}`" in (DOCS / "measures.md").read_text(encoding="utf-8")
    return re.sub(r"\W", "", facts.call).lower()


@pytest.mark.parametrize("facts", facts_of_all(), ids=lambda facts: facts.label)
def test_a_row_has_the_keys_and_directions_of_its_class(facts: MeasureFacts) -> None:
    (row,) = (row for row in ROWS if f"`{facts.call}`" in row[0])
    keys = {REPORTED.get((facts.label, key), key): of["better"] for key, of in facts.keys.items()}
    assert row[2] == ", ".join(f"`{key}` {ARROWS[better]}".strip() for key, better in keys.items())
    assert len(row) == 5
    assert all(re.search("[가-힣]", cell) for cell in (row[3], row[4]))


def test_what_it_tells_of_the_sensitivity_map_is_there() -> None:
    noticed, missed, better = ({key: told[i].split("; ") for key, told in MAP.items()} for i in range(3))
    found = {(key, what): strength for key, what in NOTICED for strength in noticed[key] if strength.startswith(what)}
    assert found == {(key, what): f"{what} from {strength}" for (key, what), strength in NOTICED.items()}
    assert {(key, what) for key, what in MISSED if what in missed[key]} == MISSED
    assert {(key, what) for key, what in CALLED_BETTER if what in better[key]} == CALLED_BETTER
