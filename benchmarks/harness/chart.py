"""Draws how many times as fast as the peers each row is, its reach marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.results import Row

COLOURS = {"reached": "#2a7f62", "SHORT": "#c8553d", "struck": "#8d99ae"}


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write a bar for each row that should be at least so many times as fast."""
    from matplotlib.figure import Figure

    bars = [row for row in rows if row.unit == "×" and not row.at_most]
    figure = Figure(figsize=(10, 1.4 + 0.36 * len(bars)), layout="constrained")
    axes = figure.subplots()
    places = range(len(bars))
    colours = [COLOURS[row.verdict] for row in bars]
    axes.barh(places, [row.ratio for row in bars], color=colours, height=0.62)
    for place, row in zip(places, bars):
        axes.plot([row.reach] * 2, [place - 0.42, place + 0.42], color="black", linewidth=2)
        axes.annotate(
            f"{row.ratio:.3g}×", (max(row.ratio, row.reach), place), (5, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(places, [row.question for row in bars])
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlabel("times as fast as the peer (black: the reach; green: reached, red: short, grey: struck)")
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
