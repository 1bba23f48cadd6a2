"""What is known of the keys of results: which share a scale, what is better, which is another's spread."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Row: TypeAlias = Mapping[str, "float | Tensor"]
    Rows: TypeAlias = "Row | Sequence[Row]"

SPREAD = re.compile(r"_(std|se)(?=_|$)")


class Panel(NamedTuple):
    """Measures that share a scale: what they are called together, which they are, what is better."""

    title: str
    families: tuple[str, ...]
    better: str

    @property
    def heading(self) -> str:
        """The title with an arrow that says what is better."""
        return f"{self.title} {self.better}".strip()


PANELS = (
    Panel("Fréchet distance", ("fid", "fd"), "↓"),
    Panel("Kernel distance", ("kid", "kd"), "↓"),
    Panel("Inception score", ("is",), "↑"),
    Panel("Precision and recall", ("precision", "recall", "f1"), "↑"),
    Panel("Density and coverage", ("density", "coverage"), "↑"),
)


def grouped(keys: Iterable[str]) -> list[tuple[Panel, list[str]]]:
    """Return the panels that keys belong to, in their customary order; a key that is in none gets one of its own.

    Example:
        >>> [(panel.title, keys) for panel, keys in grouped(["recall_x", "precision_x", "fid"])]
        [('Fréchet distance', ['fid']), ('Precision and recall', ['recall_x', 'precision_x'])]
    """
    keys = list(keys)
    known = {key: panel for key in keys for panel in PANELS if family(key) in panel.families}
    groups = [(panel, [key for key in keys if known.get(key) == panel]) for panel in PANELS]
    return [group for group in groups if group[1]] + [(Panel(k, (k,), ""), [k]) for k in keys if k not in known]


def family(key: str) -> str:
    """Return the measure that a key, perhaps with a prefix and a tag, reports.

    Example:
        >>> family("val/fd_efficientnet_lite0"), family("is"), family("precision_at_4")
        ('fd', 'is', 'precision')
    """
    return key.rsplit("/", 1)[-1].split("_", 1)[0]


def leading(rows: Rows) -> list[str]:
    """Return the keys of all rows, without the standard deviations and errors of others.

    Example:
        >>> leading({"kd_x": 1.0, "kd_std_x": 0.1})
        ['kd_x']
    """
    keys = dict.fromkeys(key for row in as_rows(rows) for key in row)
    return [key for key in keys if not (SPREAD.search(key) and SPREAD.sub("", key, count=1) in keys)]


def number(value: float) -> str:
    """Return a value with three digits; a dash for NaN.

    Example:
        >>> number(131.26), number(0.81234), number(25834.1), number(0.005533)
        ('131', '0.812', '25834', '0.00553')
    """
    if math.isnan(value):
        return "–"
    if 0 < abs(value) < 0.1:
        return f"{value:#.3g}"
    whole_digits = len(str(int(abs(value)))) if math.isfinite(value) and abs(value) >= 1 else 0
    return f"{value:.{max(0, 3 - whole_digits)}f}"


def as_rows(rows: Rows) -> list[Row]:
    """Return one result as a list of one; raise ValueError unless all are results.

    Example:
        >>> as_rows({"fid": 1.0})
        [{'fid': 1.0}]
    """
    several: list[Row] = [rows] if hasattr(rows, "keys") else list(rows)  # pyright: ignore
    if not several or not all(hasattr(row, "keys") for row in several):
        raise ValueError(f"Expected a dict that compute() returned, or a list of them, got {type(rows).__name__}.")
    return several


def column(rows: Sequence[Row], key: str) -> list[float]:
    """Return a key's value in every row, NaN where it has none."""
    return [float(row.get(key, math.nan)) for row in rows]


def spread_of(key: str, rows: Sequence[Row]) -> str:
    """Return the key of a key's standard deviation or error, empty where there is none.

    Example:
        >>> spread_of("kd_x", [{"kd_x": 1.0, "kd_std_x": 0.1}])
        'kd_std_x'
    """
    keys = {other for row in rows for other in row} - {key}
    return next((other for other in sorted(keys) if SPREAD.sub("", other, count=1) == key), "")


def find(rows: Sequence[Row], name: str) -> str | None:
    """Return the key that reports a measure, whatever its prefix and tag; None where none does."""
    keys = leading(rows)
    return next((key for key in keys if key == name), None) or next((key for key in keys if family(key) == name), None)
