"""Growing table: epochs and measures as lines of text, which are printed as they come."""

from __future__ import annotations

import shutil
from itertools import accumulate
from typing import TYPE_CHECKING

from streaming_metrics.plots.result_keys import arrow, leading, number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

EPOCH, NARROWEST, BETWEEN = "epoch", 7, "  "


class GrowingTable:
    """Table that grows by a line an epoch, or a line for each sampler: as many measures as there is room for.

    Args:
        names: of the samplers, of which one alone is nameless.
        width: of a line; None for that of the terminal.

    Example:
        >>> table = GrowingTable(["ema", "raw"], width=40)
        >>> print(table.line(1, {"fd": 131.26, "kd": 0.5, "kd_std": 1.0, "recall": 0.8123, "vendi": 4.0}, "ema"))
        epoch          fd ↓     kd ↓  recall ↑
            1  ema      131    0.500     0.812
        >>> print(table.line(1, {"fd": 98.1, "kd": 0.25, "recall": 0.9, "vendi": 5.0}, "raw"))
            1  raw     98.1    0.250     0.900
    """

    def __init__(self, names: Sequence[str] = ("",), width: int | None = None) -> None:
        self._name_width = max(map(len, names))
        self._width = shutil.get_terminal_size().columns if width is None else width
        self._headings: dict[str, str] = {}

    def line(self, epoch: int, row: Mapping[str, float], name: str = "") -> str:
        """Return an epoch's values as a line of text; before the first, a line of headings."""
        is_first = not self._headings
        self._headings = self._headings or self._fitting(row)
        cells = [number(row[key]).rjust(len(heading)) for key, heading in self._headings.items()]
        line = BETWEEN.join([self._start(f"{epoch}", name), *cells])
        return "\n".join([self._heading, line]) if is_first else line

    @property
    def _heading(self) -> str:
        return BETWEEN.join([self._start(EPOCH), *self._headings.values()])

    def _start(self, epoch: str, name: str = "") -> str:
        named = [name.ljust(self._name_width)] if self._name_width else []
        return BETWEEN.join([epoch.rjust(len(EPOCH)), *named])

    def _fitting(self, row: Mapping[str, float]) -> dict[str, str]:
        """Return headings by key, one or more, of measures of which one direction is better, until a line is full."""
        headings = {key: f"{key} {arrow(key)}".rjust(NARROWEST) for key in leading(row) if arrow(key)}
        ends = accumulate(len(BETWEEN) + len(heading) for heading in headings.values())
        room = self._width - len(self._start(EPOCH))
        fitting = {key: heading for (key, heading), end in zip(headings.items(), ends) if end <= room}
        return fitting or dict([*headings.items()][:1])
