"""Cost table: what each measure takes of time, as docs/speed.md tells it."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from site_links import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

PAGE = REPOSITORY / "docs" / "speed.md"
ROW = re.compile(r"^\| `(\w+)[^`|]*` \| ([\d.e+]+) \| ([\d.e+]+) \|", re.MULTILINE)


class Cost(NamedTuple):
    """Times of an epoch's features, in words."""

    update: str
    compute: str


@cache
def costs(page: Path = PAGE) -> dict[str, Cost]:
    """Return the cost of each measure, by its label.

    Raises:
        ValueError: where the page has no table.
    """
    rows = ROW.findall(page.read_text(encoding="utf-8"))
    if not rows:
        raise ValueError(f"{page}: expected its table of what measures cost, got none. Remedy: write it anew.")
    return {label: Cost(*map(duration, times)) for label, *times in rows}


def duration(milliseconds: str) -> str:
    """Return milliseconds as a person says them.

    Example:
        >>> duration("2.67"), duration("449"), duration("3.58e+04")
        ('3 ms', '449 ms', '35.8 s')
    """
    value = float(milliseconds)
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.3g} s"
