"""Bandwidth grid: the widths of Gaussian kernels that measures choose among."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch

from streaming_metrics.arguments import check_real
from streaming_metrics.measures.mmd import median_distance
from streaming_metrics.pairwise import Bandwidths

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.measures.base import Side


def checked_widths(owner: str, widths: Any) -> tuple[float, ...] | None:
    """Return widths that were given as a tuple; raise TypeError or ValueError unless all are positive numbers."""
    if widths is None:
        return None
    given = tuple(widths if isinstance(widths, Iterable) else (widths,))
    for one in given:
        check_real(f"{owner} widths", one, above=0)
    if not given:
        raise ValueError(f"{owner} widths: expected at least one, got none. Remedy: widths=None.")
    return tuple(map(float, given))


def bandwidths_of(widths: tuple[float, ...] | None, scale: float) -> Bandwidths:
    """Return the widths that were given, or else the grid around a scale."""
    if widths is None:
        return Bandwidths.around(scale)
    return Bandwidths(torch.tensor(widths, dtype=torch.float64, device="cpu"))


def typical_spread(owner: str, side: Side, rows: Tensor) -> float:
    """Return ``median ‖x_i − x_j‖ / √(2D)`` of some of a side's ``rows (n, D)``: of Gaussian ones about the standard
    deviation of a coordinate, and unmoved by outliers.

    Raises:
        ValueError: where it is 0.
    """
    median = side.once(("median distance", len(rows)), lambda: median_distance(rows))
    if median == 0:
        raise ValueError(
            f"{owner}: expected {side.role} features of which most differ, got a median distance of 0. Remedy: give "
            "`widths`, drop duplicates, or check the extractor."
        )
    return median / (2 * rows.shape[1]) ** 0.5


def is_at_an_end(widths: Tensor, best: int) -> str:
    """Return whether the best of several widths is the ``"smallest"`` or the ``"largest"``; else nothing."""
    ends = {"smallest": int(widths.argmin()), "largest": int(widths.argmax())}
    return next((which for which, place in ends.items() if place == best and len(widths) > 1), "")
