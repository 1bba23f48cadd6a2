"""Curves of measures, precision against recall, and samples beside their neighbours, on axes of matplotlib.

    from streaming_metrics import plots
    plots.curves(rows, ax)        # rows: what compute() returned, epoch by epoch

``metric.plot()`` draws a panel for each group of measures that share a scale.
"""

from __future__ import annotations

import math
from itertools import cycle
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from streaming_metrics.plots.end_labels import keep_apart, label_ends
from streaming_metrics.plots.result_keys import (
    as_rows,
    band,
    column,
    find,
    find_both,
    grouped,
    leading,
    number,
    only,
    spans_decades,
    spread_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from streaming_metrics.plots.result_keys import Row, Rows

INK, GREY, FAINT, COLOURS = "#222222", "#767676", "#e6e6e6", ("#2a6f97", "#c8553d", "#7a5195", "#3d8361")


def curves(
    rows: Rows,
    ax: Axes | None = None,
    *,
    epochs: Sequence[float] | None = None,
    names: Mapping[str, str] | None = None,
    **line: Any,
) -> Axes:
    """Draw a curve for each key, its standard deviation or error as a band, its name and last value at its end.

    Where all values are positive and span two decades or more, their axis is logarithmic.

    Call it again on the same axes to lay another run over the first, e.g. raw weights and their average.

    Args:
        rows: a result of ``compute()``, or one for each epoch.
        ax: to draw on; None makes one.
        epochs: where each row stands; 1, 2, … by default.
        names: what keys are called; themselves by default.
        line: matplotlib's properties of lines; ``label`` is put behind the name of each key.

    Returns:
        The axes.

    Example:
        >>> ax = curves([{"fid": 9.0}, {"fid": 4.0}], linestyle="--")
        >>> [text.get_text() for text in ax.texts]
        ['fid 4.00']
    """
    ax, rows = ax or new_axes(), as_rows(rows)
    xs = list(range(1, len(rows) + 1)) if epochs is None else list(epochs)
    suffix = f" {label}" if (label := line.pop("label", "")) else ""
    for colour, key in zip(cycle(COLOURS), leading(rows)):
        style = {"color": colour, "linewidth": 2, "marker": "o", "markersize": 3.5, **line}
        of = spread_of(key, rows)
        values, spread = column(rows, key), column(rows, of)
        [drawn] = ax.plot(xs, values, label=(names or {}).get(key, key) + suffix, **style)
        if any(map(math.isfinite, spread)):
            low, high = map(list, zip(*(band(key, v, of, s) for v, s in zip(values, spread))))
            ax.fill_between(xs, low, high, color=drawn.get_color(), alpha=0.15, linewidth=0)
    ax.set_xlabel("epoch", color=GREY, fontsize=8, loc="left")
    ax.locator_params(axis="x", integer=True)
    tidy(ax)
    _scale(ax)
    label_ends(ax)
    return ax


def pr_scatter(
    rows: Rows,
    ax: Axes | None = None,
    *,
    keys: tuple[str, str] = ("recall", "precision"),
    epochs: Sequence[float] | None = None,
    **points: Any,
) -> Axes:
    """Draw one measure against another, epoch after epoch, the later the stronger: recall across, precision up.

    Call it again on the same axes to lay another run over the first.

    Args:
        rows: a result of ``compute()``, or one for each epoch.
        ax: to draw on; None makes one.
        keys: across and up; ``("coverage", "density")`` is the other customary pair. Tags of keys may be left out;
            the two are of one measure and network.
        epochs: the number of each row, for the labels.
        points: matplotlib's properties of ``scatter``; ``label`` stands at the last point.

    Returns:
        The axes.

    Raises:
        ValueError: where the rows lack one of the keys.

    Example:
        >>> ax = pr_scatter([{"precision_pixels": 0.9, "recall_pixels": 0.2}])
        >>> ax.collections[0].get_offsets().tolist()
        [[0.2, 0.9]]
    """
    rows = as_rows(rows)
    across, up = (column(rows, key) for key in _found(rows, keys))
    from matplotlib.colors import is_color_like

    ax = ax or new_axes(4, 4)
    label = points.pop("label", "")
    strength = [0.25 + 0.75 * (i + 1) / len(rows) for i in range(len(rows))]
    style = {"color": COLOURS[0], "alpha": strength, "s": 36, "zorder": 2, "linewidths": 0, **points}
    colour = style["color"] if label and is_color_like(style["color"]) else INK  # points may have one each
    ax.plot(across, up, color=GREY, linewidth=0.8, alpha=0.5, zorder=1)
    ax.scatter(across, up, **style)
    for i, text in _said_of(across, up, epochs, label):
        side, align = (8, "left") if across[i] < 0.6 else (-8, "right")
        where = {"xy": (across[i], up[i]), "xytext": (side, 0), "textcoords": "offset points"}
        ax.annotate(text, **where, fontsize=8, color=colour, ha=align, va="center", gid="beside")
    ax.set(
        xlim=_room_for([float(x) for line in ax.lines for x in line.get_xdata()]),  # pyright: ignore
        ylim=_room_for([float(y) for line in ax.lines for y in line.get_ydata()]),  # pyright: ignore
    )
    keep_apart(ax)
    ax.set_xlabel(keys[0], color=GREY, fontsize=8, loc="left")
    ax.set_ylabel(keys[1], color=GREY, fontsize=8, loc="bottom")
    tidy(ax)
    ax.grid(axis="both", color=FAINT)
    return ax


def neighbour_grid(
    fakes: Tensor,
    reals: Tensor,
    ax: Axes | None = None,
    *,
    distances: Sequence[float] | Tensor | None = None,
    columns: int = 4,
) -> Axes:
    """Draw generated images, each with its nearest real one to the right of it.

    Args:
        fakes: ``(N, 3, H, W)`` uint8.
        reals: ``(N, 3, H, W)`` uint8, the neighbour of each.
        ax: to draw on; None makes one.
        distances: ``(N,)``, written below each pair.
        columns: pairs in a row.

    Returns:
        The axes, whose image is ``(rows, columns)`` cells of H + gap by 2·W + gap pixels, the gap an eighth of H.

    Raises:
        ValueError: unless there are as many of both, of one size.
    """
    if fakes.shape != reals.shape or fakes.ndim != 4 or not len(fakes):
        raise ValueError(
            f"neighbour_grid: expected as many real as generated images, (N, 3, H, W) of one size, got "
            f"{tuple(fakes.shape)} generated and {tuple(reals.shape)} real."
        )
    n, _, height, width = fakes.shape
    gap, columns = max(1, height // 8), min(columns, n)
    lines = -(-n // columns)
    ax = ax or new_axes(1.6 * columns, 0.95 * lines)
    picture = torch.full((3, lines * (height + gap), columns * (2 * width + gap)), 255, dtype=torch.uint8)
    for i, pair in enumerate(torch.cat([fakes, reals], -1).cpu()):
        top, left = i // columns * (height + gap), i % columns * (2 * width + gap)
        picture[:, top : top + height, left : left + 2 * width] = pair
        if distances is not None:
            where = (left + width - 0.5, top + height + gap / 2 - 0.5)
            ax.text(*where, f"{float(distances[i]):.2f}", ha="center", va="center", fontsize=7, color=GREY)
    ax.imshow(picture.permute(1, 2, 0).numpy(), interpolation="nearest")
    ax.set_axis_off()
    return ax


def plot_values(rows: Rows, ax: Any = None) -> tuple[Any, Any]:
    """Draw every key, those that share a scale together: torchmetrics' ``plot``.

    Args:
        rows: a result of ``compute()``, or a list of them.
        ax: one for all, or as many as there are groups; None makes a figure.

    Returns:
        The figure, and the axes, an array of them where there are several.
    """
    import numpy as np

    rows = as_rows(rows)
    groups = grouped(leading(rows))
    axes = _axes_for(len(groups)) if ax is None else list(np.atleast_1d(ax).flat)
    if len(axes) not in (1, len(groups)):
        raise ValueError(f"plot: expected one ax, or {len(groups)}, one for each group of measures, got {len(axes)}.")
    if len(axes) == 1:
        curves(rows, axes[0])
        axes[0].set_title(", ".join(panel.heading for panel, _ in groups), loc="left", color=INK, fontsize=10)
        return axes[0].get_figure(), axes[0]
    for (panel, keys), one in zip(groups, axes):
        curves(only(rows, keys), one).set_title(panel.heading, loc="left", color=INK, fontsize=10)
    return axes[0].get_figure(), np.array(axes, dtype=object)


def new_figure(width: float, height: float) -> Figure:
    """Return a figure of so many inches, which no global state holds on to.

    Raises:
        ModuleNotFoundError: without matplotlib, naming the extra that brings it.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'Plots and reports need matplotlib, which is not installed. Remedy: pip install "streaming-metrics[plots]".'
        ) from error
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def new_axes(width: float = 5, height: float = 3.2) -> Axes:
    """Return the axes of a new figure."""
    return new_figure(width, height).subplots()


def _axes_for(count: int) -> list[Axes]:
    columns = min(count, 3)
    lines = -(-count // columns)
    axes = list(new_figure(4 * columns, 2.9 * lines).subplots(lines, columns, squeeze=False).flat)
    for spare in axes[count:]:
        spare.remove()
    return axes[:count]


def _found(rows: Sequence[Row], names: tuple[str, str]) -> tuple[str, str]:
    if found := find_both(rows, names):
        return found
    lacking = next(
        (repr(name) for name in names if find(rows, name) is None), f"{names[0]!r} and {names[1]!r} of one measure"
    )
    raise ValueError(f"Expected {lacking} among the values, got {', '.join(leading(rows))}. Remedy: measure PRDC().")


def _said_of(
    across: Sequence[float], up: Sequence[float], epochs: Sequence[float] | None, label: str
) -> list[tuple[int, str]]:
    """Return what stands at the last point, and at the first if that is not too near: a label at the last alone."""
    last, numbers = len(across) - 1, epochs or range(1, len(across) + 1)
    if label or not last:
        return [(last, label or f"{number(up[0])} over {number(across[0])}")]
    is_far = math.dist((across[0], up[0]), (across[last], up[last])) > 0.15
    return [(0, f"epoch {numbers[0]:g}")] * is_far + [(last, f"epoch {numbers[last]:g}")]


def _room_for(values: Sequence[float]) -> tuple[float, float]:
    return 0, max([1.0, *filter(math.isfinite, values)]) * 1.03


def _scale(ax: Axes) -> None:
    """Let the axis of values be logarithmic where they span decades; else start at 0 what is above it."""
    from matplotlib.ticker import NullLocator

    drawn = [float(value) for line in ax.lines for value in line.get_ydata()]  # pyright: ignore
    if spans_decades(drawn):
        ax.set_yscale("log")
        ax.set_ylim(auto=True)
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")  # no mathematics, which a page cannot typeset
        ax.yaxis.set_minor_locator(NullLocator())
    elif ax.get_yscale() == "log":  # what was laid over it reaches 0
        ax.set_yscale("linear")
    if ax.get_yscale() == "linear" and ax.get_ylim()[0] > 0:
        ax.set_ylim(bottom=0, auto=None)  # what is laid over it may still need more room above


def tidy(ax: Axes) -> None:
    """Leave of an axes' frame what helps reading."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(FAINT)
    ax.tick_params(colors=GREY, labelsize=8)
    ax.grid(axis="y", color=FAINT)
    ax.set_axisbelow(True)
