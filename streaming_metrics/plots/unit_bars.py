"""Unit bars: how far real and generated samples are apart in the units of a network."""

from __future__ import annotations

from math import inf, isfinite
from typing import TYPE_CHECKING

from streaming_metrics.plots.figures import COLOURS, FAINT, GREY, INK, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from streaming_metrics.measures.units import Units


def units(found: Units, ax: Axes | None = None) -> Axes:
    """Draw a bar for each unit: the standardised difference of its means, that which differs most on top.

    Args:
        found: what ``metric.units()`` returned; an infinite difference is drawn as long as the longest other.
        ax: to draw on; None makes one.

    Returns:
        The axes.

    Example:
        >>> import torch
        >>> from streaming_metrics.measures.units import Units
        >>> none = torch.empty(2, 0, dtype=torch.int64)
        >>> ax = units(Units(torch.tensor([7, 3]), torch.tensor([1.5, -0.5]), none, none))
        >>> [text.get_text() for text in ax.get_yticklabels()], [text.get_text() for text in ax.texts]
        (['unit 7', 'unit 3'], ['+1.50', '−0.50'])
    """
    ax = ax or new_axes()
    values = found.difference.tolist()
    longest = max([abs(value) for value in values if isfinite(value)], default=0) or 1.0
    lengths = [max(-longest, min(longest, value)) for value in values]
    places = list(range(len(found)))
    ax.barh(places, lengths, color=[COLOURS[1] if value >= 0 else COLOURS[0] for value in values], height=0.6)
    for place, length, value in zip(places, lengths, values):
        side, align = (4, "left") if value >= 0 else (-4, "right")
        at = (length, place)
        ax.annotate(
            signed(value), at, (side, 0), textcoords="offset points", fontsize=8, color=INK, ha=align, va="center"
        )
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.set_yticks(places, [f"unit {unit}" for unit in found.places.tolist()])
    ax.invert_yaxis()
    ax.margins(x=0.18)
    ax.set_xlabel("generated minus real, standard deviations", color=GREY, fontsize=8, loc="left")
    tidy(ax)
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x", color=FAINT)
    return ax


def signed(value: float) -> str:
    """Return a difference with its sign.

    Example:
        >>> signed(1.234), signed(-0.5), signed(float("-inf"))
        ('+1.23', '−0.50', '−∞')
    """
    size = "∞" if abs(value) == inf else f"{abs(value):.2f}"
    return ("−" if value < 0 else "+") + size
