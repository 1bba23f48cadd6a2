"""Feature map: real and generated samples where a projection places them, some as pictures."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

import torch

from streaming_metrics.plots.figures import COLOURS, GREY, new_axes, tidy

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from matplotlib.axes import Axes
    from torch import Tensor

    from streaming_metrics.measures.projection import Projection

ACROSS = 16
"""Pictures that have room beside each other on a map, and on top of each other."""


def projection(
    found: Projection,
    ax: Axes | None = None,
    *,
    real: Mapping[int, Tensor] | None = None,
    fake: Mapping[int, Tensor] | None = None,
) -> Axes:
    """Draw a projection of features: real samples in one colour, generated ones in another.

    Args:
        found: what ``metric.projection()`` returned.
        ax: to draw on; None makes one.
        real, fake: images ``(3, H, W)`` uint8 by id; where there is room, they stand in place of points, in frames of
            their side's colour.

    Returns:
        The axes.

    Example:
        >>> import torch
        >>> from streaming_metrics.measures.projection import Projection
        >>> ids = torch.arange(2)
        >>> ax = projection(Projection(ids, ids, torch.eye(2), torch.eye(2) + 1, torch.tensor([0.6, 0.4])))
        >>> ax.get_xlabel(), [len(points.get_offsets()) for points in ax.collections]
        ('60 % of the variance of real features', [2, 2])
    """
    ax = ax or new_axes(6, 6)
    for points, colour, label in ((found.real, COLOURS[0], "real"), (found.fake, COLOURS[1], "generated")):
        ax.scatter(*points.T.tolist(), color=colour, s=14, alpha=0.7, linewidths=0, label=label)
    for is_fake, place in with_room(found, real or {}, fake or {}):
        ids, points, images = (found.fake_ids, found.fake, fake) if is_fake else (found.real_ids, found.real, real)
        assert images is not None
        _draw_picture(ax, images[int(ids[place])], points[place].tolist(), COLOURS[is_fake])
    across, up = (f"{share:.0%}".replace("%", " %") for share in found.explained.tolist())
    ax.set_xlabel(f"{across} of the variance of real features", color=GREY, fontsize=8, loc="left")
    ax.set_ylabel(up, color=GREY, fontsize=8, loc="bottom")
    ax.legend(frameon=False, fontsize=8, loc="best")
    tidy(ax)
    ax.grid(visible=False)
    return ax


def with_room(found: Projection, real: Collection[int], fake: Collection[int]) -> list[tuple[bool, int]]:
    """Return the samples whose pictures do not cover each other: whether generated, and the place among its side.

    Sides take turns, so that neither hides the other; of a side those whose ids are in ``real`` or ``fake``,
    in their order.
    """
    placed = placed_within(found)
    sides = [
        [place for place, number in enumerate(ids.tolist()) if number in images]
        for ids, images in ((found.real_ids, real), (found.fake_ids, fake))
    ]
    turns = [(is_fake, place) for pair in zip_longest(*sides) for is_fake, place in zip((False, True), pair)]
    shown: list[tuple[bool, int]] = []
    taken = torch.empty(0, 2, dtype=torch.float64)
    for is_fake, place in turns:
        if place is not None and ((taken - placed[is_fake][place]).abs().amax(1) * ACROSS >= 1).all():
            taken = torch.cat([taken, placed[is_fake][place][None]])
            shown.append((is_fake, place))
    return shown


def placed_within(found: Projection) -> tuple[Tensor, Tensor]:
    """Return real and generated points within [0, 1]², from left to right and from below; those of a line at ½."""
    points = torch.cat([found.real, found.fake])
    low, high = points.amin(0), points.amax(0)
    spread = high - low
    scaled = torch.where(spread > 0, (points - low) / spread.clamp(min=torch.finfo(spread.dtype).tiny), 0.5)
    return scaled[: len(found.real)], scaled[len(found.real) :]


def _draw_picture(ax: Axes, image: Tensor, at: list[float], colour: str) -> None:
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    zoom = 22 / max(image.shape[-2:])
    picture = OffsetImage(image.permute(1, 2, 0).cpu().numpy(), zoom=zoom, interpolation="nearest")
    box = AnnotationBbox(picture, (at[0], at[1]), pad=0.1, bboxprops={"edgecolor": colour, "linewidth": 1.2})
    ax.add_artist(box)
