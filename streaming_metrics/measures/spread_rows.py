"""Spread rows: those of a side's samples, of which each rank has a share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streaming_metrics.statistics import Bank
from streaming_metrics.statistics.index import in_first_half

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.measures.base import Side


@dataclass(frozen=True, eq=False)
class SpreadRows:
    """Rows and ids of a side's samples, this rank's share of them.

    Args:
        rows: ``(n, W)`` float32.
        index: ``(n,)`` int64.
        comm: the ranks.
    """

    rows: Tensor
    index: Tensor
    comm: Comm

    @classmethod
    def of(cls, side: Side, bank: Bank) -> SpreadRows:
        """Return what a side holds in a bank; nothing where it has none."""
        state = side.states.get(bank, bank.empty())
        return cls(state["rows"], state["index"], side.comm)

    def half(self, first: bool) -> SpreadRows:
        """Return those of one of two halves, which hashes of ids draw."""
        inside = in_first_half(self.index) == first
        return SpreadRows(self.rows[inside], self.index[inside], self.comm)

    def whole(self, most: int | None = None) -> Tensor:
        """Return the rows of all ranks in the order of ids, or so many that ids alone decide; collective."""
        bank = Bank(self.rows.shape[1], most)
        state = bank.replicate(bank.merge([{"rows": self.rows, "index": self.index}]), self.comm)
        return state["rows"][state["index"].argsort(stable=True)]
