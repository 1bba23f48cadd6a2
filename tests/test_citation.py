"""CITATION.cff: what the format asks for is there, and it speaks of this version."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from streaming_metrics.measures.registry import homes

HOME = Path(__file__).parents[1]
CITATION: dict[str, Any] = yaml.safe_load((HOME / "CITATION.cff").read_text())


def in_pyproject(key: str) -> str:
    """Return a string of the table [project]; tomllib comes with Python 3.11 only."""
    found = re.search(rf'^{key} = "(.+)"$', (HOME / "pyproject.toml").read_text(), re.MULTILINE)
    assert found
    return found[1]


@pytest.mark.parametrize("key", ["version", "license"])
def test_it_agrees_with_the_package(key: str) -> None:
    assert CITATION[key] == in_pyproject(key)


def test_it_has_what_the_format_asks_for() -> None:
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["message"]
    assert CITATION["title"] == "streaming_metrics"
    assert CITATION["authors"] == [{"name": "The streaming_metrics developers"}]


@pytest.mark.parametrize("reference", CITATION["references"], ids=lambda reference: reference["notes"])
def test_a_reference_leads_to_its_paper(reference: dict[str, Any]) -> None:
    assert {"type", "title", "authors", "year"} <= reference.keys()
    assert all(author.keys() == {"given-names", "family-names"} for author in reference["authors"])
    if "journal" in reference:  # one without a DOI
        assert reference["url"].startswith(("https://jmlr.org/papers/", "https://openreview.net/forum?id="))
        return
    number = re.fullmatch(r"10\.48550/arXiv\.(\d{4}\.\d{4,5})", reference["doi"])
    assert reference["url"] == (
        f"https://arxiv.org/abs/{number[1]}" if number else f"https://doi.org/{reference['doi']}"
    )


def test_every_measure_has_its_paper() -> None:
    notes = " ".join(reference["notes"] for reference in CITATION["references"])
    assert homes().keys() <= set(re.findall(r"\w+", notes))
