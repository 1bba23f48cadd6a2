"""Keys of results, as plots and reports need them: which share a scale, what is better, which is another's spread.

All of it is read off the scalars that the measures declare.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from streaming_metrics.measures.base import GROUPS
from streaming_metrics.measures.facts import ARROWS as ARROWS
from streaming_metrics.measures.keys import group_of, known_scalars, parse_key, scalar_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import Tensor

    from streaming_metrics.measures.base import Scalar

    Row: TypeAlias = Mapping[str, "float | Tensor"]
    Rows: TypeAlias = "Row | Sequence[Row]"

MOST_CURVES = 4
"""Curves of a panel, each in a colour of its own, with room for its name."""
DECADES = 2
"""Decades that positive values span from which on an axis is logarithmic."""


class Panel(NamedTuple):
    """Scalars that share a scale: what they are called together, an arrow for what is better, their group."""

    title: str
    better: str
    group: str = GROUPS[-1]

    @property
    def heading(self) -> str:
        """The title with the arrow."""
        return f"{self.title} {self.better}".strip()


def grouped(keys: Iterable[str]) -> list[tuple[Panel, list[str]]]:
    """Return the panels that keys belong to, by group and in the order of the measures, at most four keys in each.

    A key of no known measure has its own.

    Example:
        >>> [(panel.title, keys) for panel, keys in grouped(["recall_x", "loss", "precision_x", "fid"])]
        [('Fréchet distance', ['fid']), ('Precision and recall', ['recall_x', 'precision_x']), ('loss', ['loss'])]
    """
    titles = list(dict.fromkeys(map(_title_of, known_scalars().values())))
    panels: dict[tuple[str, str], list[str]] = {}
    for key in keys:
        panels.setdefault((group_of(key), _title_of(scalar_of(key))), []).append(key)

    def place(panel: tuple[str, str]) -> tuple[int, int]:
        group, title = panel
        return GROUPS.index(group), titles.index(title) if title in titles else len(titles)

    return [part for panel in sorted(panels, key=place) for part in _parts(*panel, panels[panel])]


def _parts(group: str, title: str, keys: Sequence[str]) -> list[tuple[Panel, list[str]]]:
    """Return one panel of few keys, several of many."""
    better, count = _shared_arrow(map(scalar_of, keys)), -(-len(keys) // MOST_CURVES)
    names = [f"{title}, {part} of {count}" for part in range(1, count + 1)] if count > 1 else [title]
    starts = range(0, len(keys), MOST_CURVES)
    return [(Panel(name, better, group), [*keys[i : i + MOST_CURVES]]) for name, i in zip(names, starts)]


def by_group(keys: Iterable[str]) -> dict[str, list[str]]:
    """Return keys by the group of their measures, in the order of groups.

    Example:
        >>> by_group(["loss", "vendi_x", "fd_x", "is_x"])
        {'core': ['fd_x', 'is_x'], 'diversity': ['vendi_x'], 'own': ['loss']}
    """
    groups: dict[str, list[str]] = {}
    for key in sorted(keys, key=lambda key: GROUPS.index(group_of(key))):
        groups.setdefault(group_of(key), []).append(key)
    return groups


def spans_decades(values: Iterable[float]) -> bool:
    """Return whether values are positive, and so far apart that a linear axis would hide the small ones.

    Example:
        >>> spans_decades([300.0, 2.0, math.nan]), spans_decades([300.0, 4.0]), spans_decades([300.0, 0.0])
        (True, False, False)
    """
    finite = [value for value in values if math.isfinite(value)]
    return bool(finite) and min(finite) > 0 and max(finite) >= 10**DECADES * min(finite)


def arrow(key: str) -> str:
    """Return an arrow for what is better of a key's values; empty where neither is.

    Example:
        >>> arrow("val/fd_x"), arrow("is"), arrow("kid_std")
        ('↓', '↑', '')
    """
    return ARROWS[scalar_of(key).better]


def leading(rows: Rows) -> list[str]:
    """Return the keys of all rows, without the standard deviations and errors of others.

    Example:
        >>> leading({"kd_x": 1.0, "kd_std_x": 0.1})
        ['kd_x']
    """
    keys = list(dict.fromkeys(key for row in as_rows(rows) for key in row))
    parsed = list(map(parse_key, keys))
    return [key for key, one in zip(keys, parsed) if not any(map(one.is_spread_of, parsed))]


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
    """Return the key of a key's standard error, else of its standard deviation, empty where there is neither.

    Example:
        >>> spread_of("kd_x", [{"kd_x": 1.0, "kd_std_x": 0.1}])
        'kd_std_x'
        >>> spread_of("kd_x", [{"kd_x": 1.0, "kd_std_x": 0.1, "kd_se_x": 0.05}])
        'kd_se_x'
    """
    leader = parse_key(key)
    spreads = sorted(other for row in rows for other in {*row} if parse_key(other).is_spread_of(leader))
    return min(spreads, key=lambda other: not scalar_of(other).about, default="")


def band(key: str, value: float, spread: str, width: float) -> tuple[float, float]:
    """Return the ends of what a chart shades around a value: of an error its 95 % interval, else the deviation.

    Args:
        key, value: what is drawn.
        spread, width: the key of its error or deviation, and that.

    Example:
        >>> [round(end, 2) for end in band("kd_x", 1.0, "kd_se_x", 0.1)], band("kd_x", 1.0, "kd_std_x", 0.5)
        ([0.8, 1.2], (0.5, 1.5))
    """
    if scalar_of(spread).about:
        return scalar_of(key).interval(value, width)
    return value - width, value + width


def only(rows: Sequence[Row], keys: Iterable[str]) -> list[Row]:
    """Return what rows say of some keys, and of their standard deviations or errors.

    Example:
        >>> only([{"kd_std_x": 0.1, "kd_x": 2.0, "is_x": 1.0}], ["kd_x"])
        [{'kd_std_x': 0.1, 'kd_x': 2.0}]
    """
    keys = list(keys)
    kept = {*keys, *(spread_of(key, rows) for key in keys)}
    return [{key: value for key, value in row.items() if key in kept} for row in rows]


def find(rows: Sequence[Row], name: str) -> str | None:
    """Return the key that reports a scalar, whatever its prefix, parameters and tag; None where none does."""
    keys = leading(rows)
    return name if name in keys else next((key for key in keys if parse_key(key).name == name), None)


def find_both(rows: Sequence[Row], names: tuple[str, str]) -> tuple[str, str] | None:
    """Return the keys that report two scalars of one measure and network; None where none reports both.

    Example:
        >>> find_both([{"precision": 0.9, "precision_k3": 0.8, "recall_k3": 0.4}], ("recall", "precision"))
        ('recall_k3', 'precision_k3')
    """
    keys = leading(rows)
    if all(name in keys for name in names):
        return names
    across, up = ([key for key in keys if name in (key, parse_key(key).name)] for name in names)
    return next(((a, b) for a in across for b in up if parse_key(a)[2:] == parse_key(b)[2:]), None)


def _title_of(scalar: Scalar) -> str:
    return scalar.family or scalar.title or scalar.key


def _shared_arrow(scalars: Iterable[Scalar]) -> str:
    arrows = {ARROWS[scalar.better] for scalar in scalars}
    return arrows.pop() if len(arrows) == 1 else ""
