"""Explanation charts: a waterfall from one protocol to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streaming_metrics import plots
from streaming_metrics.plots.figures import tidy
from streaming_metrics.report.charts import Chart, elided
from streaming_metrics.report.explanation_words import digits, signed
from streaming_metrics.report.svg import svg_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    Told = Mapping[str, Any]


def waterfall_charts(found: Told, measure: str) -> list[Chart]:
    """Return the waterfall, a bar for each end and each step; none without plots."""
    try:
        return [_waterfall(found, measure)]
    except ModuleNotFoundError:  # the table says the same
        return []


def _waterfall(found: Told, measure: str) -> Chart:
    bars = [(found["first"], 0.0, found["start"], digits(found["start"]))]
    before = found["start"]
    for step in found["steps"]:
        bars.append((step["factor"], before, step["value"], signed(step["change"])))
        before = step["value"]
    bars.append((found["last"], 0.0, found["end"], digits(found["end"])))
    ax = plots.new_axes(3.4, 0.9 + 0.3 * len(bars))
    for place, (_, start, end, text) in enumerate(bars):
        is_end = place in (0, len(bars) - 1)
        colour = plots.GREY if is_end else plots.COLOURS[1] if end >= start else plots.COLOURS[0]
        ax.barh(place, end - start, left=start, color=colour, height=0.55)
        at = (max(start, end), place)
        ax.annotate(text, at, (4, 0), textcoords="offset points", fontsize=8, color=plots.INK, va="center")
    ax.set_yticks(range(len(bars)), [elided(name, 20) for name, *_ in bars])
    ax.invert_yaxis()
    ax.margins(x=0.2)
    ax.set_xlim(left=0)
    ax.set_xlabel(measure, color=plots.GREY, fontsize=8, loc="left")
    tidy(ax)
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x", color=plots.FAINT)
    title = f"From {found['first']} to {found['last']}"
    said = "; ".join(f"{name} {text}" for name, *_, text in bars)
    return Chart(title, svg_of(ax, title), f"{title}, {measure}: {said}.")
