"""Names at the ends of curves, and beside points, pushed apart where they would touch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from streaming_metrics.plots.result_keys import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

LABEL_GAP = 12.0
"""Points between names."""
FONT_SIZE = 8.0


def label_ends(ax: Axes) -> None:
    """Name each curve at its last value; push apart the names that would touch, and write them smaller where there is
    no room for all.
    """
    for old in [text for text in ax.texts if text.get_gid() == "end"]:
        old.remove()
    ends = [(line, *_end_of(line)) for line in ax.lines]
    ends = [end for end in ends if math.isfinite(end[2])]
    if not ends:
        return
    height = _height(ax)
    heights = [height * share for share in _shares(ax, [(x, y) for _, x, y in ends])]
    gap = min(LABEL_GAP, height / len(ends))
    places = kept_within(pushed_apart(heights, gap), gap, height)
    for (line, x, y), start, moved in zip(ends, heights, places):
        ax.annotate(
            f"{line.get_label()} {number(y)}",
            (x, y),
            (6, moved - start),
            textcoords="offset points",
            color=line.get_color(),
            va="center",
            fontsize=FONT_SIZE * gap / LABEL_GAP,
            gid="end",
            annotation_clip=False,
            parse_math=False,
        )


def keep_apart(ax: Axes) -> None:
    """Move the names beside points up or down, so that no two touch; what else stands on the axes stays."""
    beside: list[Any] = [text for text in ax.texts if text.get_gid() == "beside"]
    named = [text for text in beside if all(map(math.isfinite, text.xy))]
    if not named:
        return
    height = _height(ax)
    heights = [height * share for share in _shares(ax, [text.xy for text in named])]
    for text, start, moved in zip(named, heights, pushed_apart(heights, LABEL_GAP)):
        text.xyann = (text.xyann[0], moved - start)


def _height(ax: Axes) -> float:
    """Return the height of the axes, in points."""
    return ax.get_window_extent().height / ax.figure.dpi * 72  # pyright: ignore[reportOptionalMemberAccess]


def _shares(ax: Axes, points: Sequence[tuple[float, float]]) -> list[float]:
    """Return how high points are, as shares of the height of the axes."""
    return ax.transAxes.inverted().transform(ax.transData.transform(points))[:, 1].tolist()


def _end_of(line: Any) -> tuple[float, float]:
    finite = [(float(x), float(y)) for x, y in zip(line.get_xdata(), line.get_ydata()) if math.isfinite(float(y))]
    return finite[-1] if finite else (math.nan, math.nan)


def pushed_apart(heights: Sequence[float], gap: float) -> list[float]:
    """Return heights at least ``gap`` apart, in the same order, moved as a group no farther than they need.

    Example:
        >>> pushed_apart([10.0, 10.0, 50.0], gap=12)
        [4.0, 16.0, 50.0]
    """
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    groups: list[list[int]] = []
    for i in order:
        groups.append([i])
        while len(groups) > 1 and _base(groups[-1], heights, gap) < _top(groups[-2], heights, gap) + gap:
            groups[-2:] = [groups[-2] + groups[-1]]
    moved = list(heights)
    for group in groups:
        for rank, i in enumerate(group):
            moved[i] = _base(group, heights, gap) + rank * gap
    return moved


def kept_within(heights: Sequence[float], gap: float, top: float) -> list[float]:
    """Return heights ``gap`` apart or more moved no farther than it takes to keep them between 0 and ``top``.

    Example:
        >>> kept_within([-10.0, 2.0, 50.0], gap=12, top=40.0)
        [0.0, 12.0, 40.0]
    """
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    moved, least, most = list(heights), 0.0, top
    for i in order:
        moved[i] = max(moved[i], least)
        least = moved[i] + gap
    for i in reversed(order):
        moved[i] = min(moved[i], most)
        most = moved[i] - gap
    return moved


def _base(group: Sequence[int], heights: Sequence[float], gap: float) -> float:
    return sum(heights[i] for i in group) / len(group) - gap * (len(group) - 1) / 2


def _top(group: Sequence[int], heights: Sequence[float], gap: float) -> float:
    return _base(group, heights, gap) + gap * (len(group) - 1)
