"""Study charts: what people tell apart over the time that they see it, and scores beside computed measures."""

from __future__ import annotations

import re
from itertools import cycle
from typing import TYPE_CHECKING, Any

from streaming_metrics import plots
from streaming_metrics.plots.end_labels import label_ends
from streaming_metrics.plots.figures import tidy
from streaming_metrics.report.charts import STYLES, Chart, elided
from streaming_metrics.report.dots import digits
from streaming_metrics.report.svg import svg_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Told = Mapping[str, Any]

MOST_BESIDE = 6
CURVES = (("dprime", "Sensitivity d′", 0.0), ("accuracy", "Accuracy", 0.5))


def exposure_charts(task: Told) -> list[Chart]:
    """Return d′ and accuracy over exposure, a curve for each condition; none of one exposure, or without plots."""
    times = sorted({one["exposure_ms"] for one in task["scores"] if one["exposure_ms"] is not None})
    try:
        return [_over_exposure(task, *curve) for curve in CURVES] if len(times) > 1 else []
    except ModuleNotFoundError:  # rows of dots say the same
        return []


def _over_exposure(task: Told, key: str, title: str, chance: float) -> Chart:
    ax, said = plots.new_axes(3.3, 2.4), []
    shown = dict.fromkeys(one["condition"] for one in task["scores"])
    for place, (name, colour) in enumerate(zip(shown, cycle(plots.COLOURS))):
        style = STYLES[place // len(plots.COLOURS) % len(STYLES)]
        of = [one for one in task["scores"] if one["condition"] == name and _is_known(one[key]) and one["exposure_ms"]]
        of.sort(key=lambda one: one["exposure_ms"])
        if of:
            xs = [one["exposure_ms"] * (1 + 0.015 * place) for one in of]  # intervals stand beside one another
            _curve(ax, xs, [one[key] for one in of], colour, style, name)
            said.append(
                f"{name} " + ", ".join(f"{' '.join(digits(one[key]))} at {one['exposure_ms']:g} ms" for one in of)
            )
    ax.hlines(chance, *ax.get_xlim(), color=plots.GREY, linewidth=0.8, linestyle="--", zorder=1)
    label_ends(ax)
    ax.set_xlabel("milliseconds seen", color=plots.GREY, fontsize=8, loc="left")
    tidy(ax)
    return Chart(title, svg_of(ax, f"{task['name']} {title}"), f"{title} over exposure: {'; '.join(said)}.")


def _curve(ax: Any, xs: Sequence[float], of: Sequence[Told], colour: str, style: str, name: str) -> None:
    values = [one["value"] for one in of]
    ax.plot(xs, values, color=colour, linestyle=style, linewidth=2, marker="o", markersize=3.5, label=elided(name, 12))
    known = [(x, one["low"], one["high"]) for x, one in zip(xs, of) if None not in (one["low"], one["high"])]
    if known:
        ax.vlines(*zip(*known), color=colour, linewidth=1, alpha=0.5)


def beside_charts(one: Told, names: Mapping[str, str]) -> list[Chart]:
    """Return people's scores over each of the first measures, a point for each checkpoint; none without plots."""
    try:
        return [
            _beside_chart(one, found, names[found["measure"]])
            for found in one["measures"][:MOST_BESIDE]
            if found["checkpoints"] > 1
        ]
    except ModuleNotFoundError:
        return []


def _beside_chart(one: Told, found: Told, measure: str) -> Chart:
    ax = plots.new_axes(3.3, 2.4)
    points = [point for point in found["points"] if _is_known(point["people"]) and point["measured"] is not None]
    xs, ys = [point["measured"] for point in points], [point["people"]["value"] for point in points]
    bounds = [
        (x, p["people"]["low"], p["people"]["high"]) for x, p in zip(xs, points) if p["people"]["low"] is not None
    ]
    if bounds:
        ax.vlines(*zip(*bounds), color=plots.COLOURS[0], linewidth=1.2, alpha=0.55)
    ax.scatter(xs, ys, color=plots.COLOURS[0], s=26, linewidths=0, zorder=3)
    labels = _without_start([point["condition"] for point in points])
    for x, y, name in zip(xs, ys, labels):
        ax.annotate(name, (x, y), (5, 4), textcoords="offset points", fontsize=7, color=plots.GREY, parse_math=False)
    ax.set_xlabel(measure, color=plots.GREY, fontsize=8, loc="left")
    ax.set_ylabel(one["score"], color=plots.GREY, fontsize=8, loc="bottom")
    ax.margins(x=0.15)
    tidy(ax)
    told = "; ".join(f"{p['condition']} {y:.2f} at {x:.4g}" for x, y, p in zip(xs, ys, points))
    title = f"{measure} {found['better'] or ''}".strip()
    return Chart(title, svg_of(ax, f"{one['task']} {title}"), f"{one['score']} over {found['measure']}: {told}.")


def _without_start(names: Sequence[str]) -> list[str]:
    """Return names without the words that all begin with.

    Example:
        >>> _without_start(["epoch-03", "epoch-11"]), _without_start(["ours", "theirs"])
        (['03', '11'], ['ours', 'theirs'])
    """
    start = next((place for place, letters in enumerate(zip(*names)) if len({*letters}) > 1), 0)
    word = re.match(r".*\W|", names[0][:start]) if names else None
    return [elided(name[word.end() if word else 0 :], 12) for name in names]


def _is_known(one: Told | None) -> bool:
    return one is not None and one["value"] is not None
