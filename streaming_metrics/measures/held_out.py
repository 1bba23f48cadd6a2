"""Held-out halves: samples of a side that train a classifier or critic, and others that it is judged by."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from streaming_metrics.measures.base import Roles
from streaming_metrics.statistics.index import hashed

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.measures.base import Side, Sides
    from streaming_metrics.statistics import Bank


class Halves(NamedTuple):
    """Rows ``(n, D)`` to train with, and as many, or one more, to test by."""

    train: Tensor
    test: Tensor


def balanced_size(sides: Sides, most: int) -> int:
    """Return how many samples to take of each side, so that there are as many real as generated ones."""
    return min(most, sides.real.num_samples, sides.fake.num_samples)


def balanced_halves(sides: Sides, bank: Bank, most: int) -> Roles[Halves]:
    """Return equally many rows of the real and the generated side, in halves that ids alone decide; collective."""
    size = balanced_size(sides, most)
    return Roles(*(halves_of(side, bank, size) for side in (sides.real, sides.fake)))


def halves_of(side: Side, bank: Bank, size: int) -> Halves:
    """Return ``size`` of a side's rows in the order of their hashed ids, cut in two; collective."""
    state = side.gather(bank, size)
    rows = state["rows"][hashed(state["index"]).argsort(stable=True)]
    return Halves(rows[: len(rows) // 2], rows[len(rows) // 2 :])
