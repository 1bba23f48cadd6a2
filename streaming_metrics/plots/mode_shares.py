"""Mode shares: what each mode holds of real and of generated samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming_metrics.plots.figures import COLOURS, GREY, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from streaming_metrics.measures.mode_table import ModeTable

NUMBERED = 40
"""Modes that are numbered one by one; of more there is no room to say which is which."""


def modes(table: ModeTable, ax: Axes | None = None) -> Axes:
    """Draw each mode's share of real samples as a line, and of generated ones as a point with its interval.

    Modes with significantly fewer generated samples stand out in colour. The largest real mode comes first; modes
    without a real sample are left out.

    Args:
        table: what ``metric.modes()`` returned.
        ax: to draw on; None makes one.

    Returns:
        The axes.

    Example:
        >>> import torch
        >>> from streaming_metrics.measures.mode_table import ModeTable
        >>> counts = torch.tensor([60, 40]), torch.tensor([100, 0])
        >>> ax = modes(ModeTable.of(*counts, *torch.ones(2, 2).double()))
        >>> ax.lines[0].get_ydata().tolist()
        [0.6, 0.4]
    """
    ax = ax or new_axes()
    order = [mode for mode in table.real_share.argsort(descending=True, stable=True).tolist() if table.is_mode[mode]]
    places = list(range(len(order)))
    real, fake, low, high = (t[order].tolist() for t in (table.real_share, table.fake_share, *table.interval))
    colours = [COLOURS[1] if is_fewer else GREY for is_fewer in table.is_fewer[order].tolist()]
    ax.plot(places, real, color=COLOURS[0], linestyle="", marker="_", markersize=11, markeredgewidth=2, zorder=3)
    ax.vlines(places, low, high, colors=colours, linewidth=1.5, zorder=2)
    ax.scatter(places, fake, c=colours, s=22, linewidths=0, zorder=4)
    ax.set_xticks(places, [str(mode) for mode in order] if len(order) <= NUMBERED else [""] * len(order))
    ax.set_ylim(bottom=0)
    ax.set_xlabel("label" if table.is_labelled else "mode", color=GREY, fontsize=8, loc="left")
    ax.set_ylabel("share", color=GREY, fontsize=8, loc="bottom")
    tidy(ax)
    ax.tick_params(axis="x", length=0, labelsize=8 if len(order) <= NUMBERED // 2 else 6)
    return ax
