"""The marks on the page Which measure: those that the sensitivity map gives, cell by cell."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
FOUND = re.compile(r"^\| (`\w+`) \| (.*) \| (.*) \| (.*) \| (.*) \|$", re.MULTILINE)
"""A row of the map: a value, and what it notices (from which strength on), misses, calls better, refuses."""


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def test_marks_are_those_of_the_sensitivity_map() -> None:
    """Where the map was drawn anew, what is expected here is the rows to write."""
    page = (DOCS / "which-measure.md").read_text(encoding="utf-8")
    head, _, weakest, *rows = map(cells, page.split("<!-- marks -->")[1].split("<!-- end")[0].strip().splitlines())
    first = dict(zip(head[1:], weakest[1:], strict=True))
    found = {row[0]: row[1:] for row in FOUND.findall((DOCS / "sensitivity.md").read_text(encoding="utf-8"))}
    assert len(rows) > 20
    assert rows == [[row[0], *map(marks(found[row[0]], first).get, head[1:], [""] * len(first))] for row in rows]


def marks(verdicts: list[str], weakest: dict[str, str]) -> dict[str, str]:
    """Return a value's mark for each corruption that the map says something of."""
    noticed, *others = ([] if of == "–" else of.split("; ") for of in verdicts)
    strengths = dict(one.split(" from ") for one in noticed)
    known = {what: "●" if strength == weakest[what] else "○" for what, strength in strengths.items()}
    if strengths.get("copying") == "100%":  # what another draw of real images gives: see the page
        known["copying"] = "(○)"
    return known | {what: mark for mark, whats in zip("·×?", others, strict=True) for what in whats}
