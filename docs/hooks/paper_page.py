"""Papers: the references of CITATION.cff, as a page, and those of one measure."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import yaml
from site_links import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Reference = dict[str, Any]
OPENING = """# Papers

{message} `CITATION.cff`, in the repository, has these references for programs to read.
"""


@cache
def citation() -> Mapping[str, Any]:
    """Return what CITATION.cff says."""
    return yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))


def papers_of(name: str) -> list[str]:
    """Return the references of a class, a line of Markdown each."""
    found = citation()["references"]
    return [_line(one) for one in found if re.search(rf"\b{re.escape(name)}\b", one["notes"])]


def page(links: Mapping[str, str]) -> str:
    """Return the page of all references; names of classes in their notes lead to the pages that ``links`` gives."""
    told = citation()
    rows = [f"| {_line(one)} | {_linked(one['notes'], links)} |" for one in told["references"]]
    return "\n".join([OPENING.format(message=told["message"]), "| paper | what is of it |", "| --- | --- |", *rows, ""])


def _line(reference: Reference) -> str:
    """Return a reference in Markdown: whose it is, its title, where it is."""
    where = f", {reference['journal']}" if "journal" in reference else ""
    return f"{_authors(reference['authors'])}: [{reference['title']}]({reference['url']}){where}, {reference['year']}"


def _authors(found: Sequence[Mapping[str, str]]) -> str:
    """Return the family names of up to three authors, or of the first and what stands for the others."""
    names = [one["family-names"] for one in found]
    return f"{names[0]} et al." if len(names) > 3 else ", ".join(names)


def _linked(notes: str, links: Mapping[str, str]) -> str:
    return re.sub(r"\w+", lambda word: f"[{word[0]}]({links[word[0]]})" if word[0] in links else word[0], notes)
