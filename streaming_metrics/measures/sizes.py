"""Sizes of what measures keep of samples, read off the states of their statistics."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

from streaming_metrics.features import Spec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streaming_metrics.statistics import Statistic


TYPICAL = {"logits": 1008, "spatial": 2023, "score": 1}
"""Widths of columns, by name: of the published Inception, and of a scorer."""


class TypicalSpec(Spec):
    """Widths by which sizes are said: those of :data:`TYPICAL`, 2048 of any other column."""

    def width(self, column: str) -> int:
        """Return the width of a column."""
        return TYPICAL.get(column, 2048)


class Kept(NamedTuple):
    """Bytes that are kept of a side: of a size of their own, and a sample, at most so many samples."""

    fixed: int = 0
    a_sample: int = 0
    most: int | None = None

    def __str__(self) -> str:
        most = "" if self.most is None else f", at most {self.most:,}"
        said = [size(self.fixed)] * bool(self.fixed) + [f"{size(self.a_sample)} a sample{most}"] * bool(self.a_sample)
        return " and ".join(said) or "nothing"


def kept_by(statistics: Iterable[Statistic]) -> Kept:
    """Return what some statistics of one side keep."""
    statistics = list(statistics)
    sharded = [statistic for statistic in statistics if statistic.is_sharded]
    mosts = {getattr(statistic, "capacity", None) for statistic in sharded}
    fixed = sum(t.nbytes for s in statistics if not s.is_sharded for t in s.typical().values())
    rows = [tensor for statistic in sharded for tensor in statistic.empty("meta").values()]
    a_sample = sum(tensor.element_size() * prod(tensor.shape[1:]) for tensor in rows)
    return Kept(fixed, a_sample, mosts.pop() if len(mosts) == 1 else None)


def size(num_bytes: float) -> str:
    """Return a number of bytes in words.

    Example:
        >>> size(16), size(8200), size(33587208)
        ('16 B', '8.2 KB', '33.6 MB')
    """
    power = next(power for power in (0, 1, 2, 3) if num_bytes < 1000 ** (power + 1) or power == 3)
    return f"{num_bytes / 1000**power:.3g} {('B', 'KB', 'MB', 'GB')[power]}"
