"""Draws a heat map of signed scores: rows in groups, columns in groups, cells marked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MOST = 3.0
"""Decades of ``1 + |z|`` at which colours end."""


class Line(NamedTuple):
    """A row: its name, the group that it is in, and its cells: NaN where it was refused, None where it says nothing."""

    name: str
    group: str
    cells: Sequence[float | None]


def shade(z: float | None) -> float:
    """Return a score as the colour map has it, in [-1, 1]; NaN where there is none."""
    return math.nan if z is None else math.copysign(min(math.log10(1 + abs(z)) / MOST, 1), z)


def mark(z: float | None, threshold: float) -> str:
    """Return what stands in a cell: × where it moved the wrong way, · where it did not move, ? where it was refused."""
    if z is None or math.isnan(z):
        return "" if z is None else "?"
    return "×" if z < -threshold else "·" if z < threshold else ""


def draw(
    lines: Sequence[Line], columns: Sequence[tuple[str, Sequence[str]]], threshold: float, title: str, path: Path
) -> None:
    """Write the picture.

    Args:
        lines: rows, those of one group together.
        columns: what each group of columns is called, and each of its columns.
        threshold: from which |z| on a score has moved.
        title: above the picture.
        path: of the PNG.
    """
    from matplotlib.figure import Figure

    strengths = [strength for _, of in columns for strength in of]
    figure = Figure(figsize=(2.6 + 0.36 * len(strengths), 1.6 + 0.2 * len(lines)), layout="constrained")
    axes = figure.subplots()
    shades = [[shade(z) for z in line.cells] for line in lines]
    drawn = axes.imshow(shades, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    for row, line in enumerate(lines):
        for column, z in enumerate(line.cells):
            axes.text(column, row, mark(z, threshold), ha="center", va="center", fontsize=8, color="#333333")
    axes.set_yticks(range(len(lines)), [line.name for line in lines], fontsize=7)
    axes.set_xticks(range(len(strengths)), strengths, fontsize=7, rotation=90)
    _divide(axes, lines, columns)
    bar = figure.colorbar(drawn, ax=axes, ticks=[shade(z) for z in TICKS], shrink=0.5, pad=0.01)
    bar.ax.set_yticklabels([f"{z:+d}" if z else "0" for z in TICKS], fontsize=7)
    bar.set_label("towards worse, in deviations between real draws", fontsize=7)
    axes.set_title(title, loc="left", fontsize=9, pad=24)
    axes.tick_params(length=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


TICKS = (-1000, -100, -10, -3, 0, 3, 10, 100, 1000)


def _divide(axes: object, lines: Sequence[Line], columns: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Draw lines between groups, and the names of the groups of columns above them."""
    start = 0
    for name, of in columns:
        axes.text(start + (len(of) - 1) / 2, -0.7, name, ha="center", va="bottom", fontsize=8)  # pyright: ignore
        start += len(of)
        axes.axvline(start - 0.5, color="white", linewidth=3)  # pyright: ignore
    for row in range(1, len(lines)):
        if lines[row].group != lines[row - 1].group:
            axes.axhline(row - 0.5, color="white", linewidth=3)  # pyright: ignore
