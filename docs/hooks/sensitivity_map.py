"""Sensitivity map: what each value noticed of corrupted images, as docs/sensitivity.md tells and its data draw it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from site_links import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PAGE = REPOSITORY / "docs" / "sensitivity.md"
DATA = REPOSITORY / "benchmarks" / "sensitivity-fashion.json"
PART = re.compile(r"<!-- sensitivity fashion -->(.*?)<!-- end of sensitivity fashion -->", re.DOTALL)
ROW = re.compile(r"^\| `(\w+)` \|" + r" ([^|]*) \|" * 4 + "$", re.MULTILINE)
VERDICTS = ("notices", "misses", "calls better", "refuses")
NOTHING = "–"


@dataclass(frozen=True)
class SensitivityMap:
    """What there is of the map.

    Args:
        verdicts: by value, what it noticed, missed, called better and refused, in words; empty ones are left out.
        data: what ``benchmarks/sensitivity.py --values`` wrote; empty where it has not been run.
    """

    verdicts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def columns(self) -> Sequence[tuple[str, Sequence[str]]]:
        """Each corruption with its strengths."""
        return self.data["columns"]

    def cells_of(self, label: str) -> Mapping[str, Sequence[float | str | None]]:
        """Return z by value of a measure, a cell for each strength; nothing where there are no data of it."""
        return self.data.get("measures", {}).get(label, {})

    def why_without(self, label: str) -> str:
        """Return why a measure is not on the map; empty where the data do not say it."""
        return self.data.get("left_out", {}).get(label, "")


def read_map(page: Path = PAGE, data: Path = DATA) -> SensitivityMap:
    """Return the map.

    Raises:
        ValueError: where the page has no table.
    """
    part = PART.search(page.read_text(encoding="utf-8"))
    rows = ROW.findall(part[1]) if part else []
    if not rows:
        raise ValueError(f"{page}: expected its table of what values notice, got none. Remedy: write it anew.")
    told = {key: {name: cell for name, cell in zip(VERDICTS, cells) if cell != NOTHING} for key, *cells in rows}
    return SensitivityMap(told, json.loads(data.read_text(encoding="utf-8")) if data.exists() else {})
