"""Reservoir: a bounded uniform sample of the stream, whole on every rank once ranks have met."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer
from streaming_metrics.statistics.bank import Bank, exchange
from streaming_metrics.statistics.base import LARGEST, State, Statistic, check_column, unless

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Features

FREE = -1
LAST = torch.iinfo(torch.int64).max


@dataclass(frozen=True, eq=False)
class Drawn:
    """Rows ``(n, D)`` float32 of a reservoir, their ids ``(n,)`` int64, ascending, and of how many samples they are."""

    rows: Tensor
    index: Tensor
    num_samples: int


@dataclass(frozen=True)
class Reservoir(Statistic):
    """The rows whose hashed ids are smallest: a uniform sample that depends on the ids alone, not on order or ranks.

    The state is ``rows (capacity, D) float32``, ``index (capacity,) int64``, −1 where a slot is free, and ``n ()
    int64``, of how many samples: fewer than its side has where some came from a file without a reservoir. Unlike a
    :class:`~streaming_metrics.statistics.Bank` it has all its room from the start, and is not spread over ranks.

    Args:
        num_features: D.
        capacity: the most rows.
        column: of which features.
        cluster: how many consecutive ids, a divisor of the capacity, are kept or dropped together.

    Example:
        >>> from streaming_metrics.features import Features
        >>> reservoir = Reservoir(1, capacity=3)
        >>> features = Features(pool=torch.arange(5.0).view(5, 1), index=torch.arange(5))
        >>> reservoir.read(reservoir.update(reservoir.empty(), features)).index
        tensor([0, 1, 2])
    """

    num_features: int
    capacity: int
    column: str = "pool"
    cluster: int = 1

    def __post_init__(self) -> None:
        check_integer("num_features", self.num_features, least=1)
        check_integer("capacity", self.capacity, least=1)
        check_column(self.column)
        check_integer("cluster", self.cluster, least=1)
        if self.capacity % self.cluster:
            raise ValueError(
                f"capacity: expected a multiple of cluster={self.cluster}, got {self.capacity}. "
                f"Remedy: {self.capacity // self.cluster * self.cluster or self.cluster}."
            )

    is_optional: ClassVar[bool] = True
    rounds: ClassVar[bool] = True

    @property
    def name(self) -> str:
        clusters = "" if self.cluster == 1 else f"_clusters_{self.cluster}"
        return f"reservoir_{self.num_features}_{self.capacity}{unless('pool', self.column)}{clusters}"

    @cached_property
    def _bank(self) -> Bank:
        return Bank(self.num_features, self.capacity, self.column, cluster=self.cluster)

    def empty(self, device: torch.device | str = "cpu") -> State:
        rows = torch.zeros(self.capacity, self.num_features, dtype=torch.float32, device=device)
        index = torch.full((self.capacity,), FREE, dtype=torch.int64, device=device)
        return {"rows": rows, "index": index, "n": torch.zeros((), dtype=torch.int64, device=device)}

    def update(self, state: State, features: Features) -> State:
        return self.staged(state, features)()

    def staged(self, state: State, features: Features) -> Callable[[], State]:
        assert features.index is not None
        batch = {"rows": self.rows_of(features).to(torch.float32), "index": features.index}
        write, n = exchange(_kept(state), batch, self._keys), state["n"] + len(features)
        return lambda: write() | {"n": n}

    def merge(self, states: Sequence[State]) -> State:
        merged = {key: torch.cat([state[key] for state in states]) for key in ("rows", "index")}
        kept = self._keys(merged["index"]).topk(self.capacity, largest=False).indices
        n = torch.stack([state["n"] for state in states]).sum()
        return {key: column[kept] for key, column in merged.items()} | {"n": n}

    def all_reduce(self, state: State, comm: Comm) -> State:
        whole = self._bank.replicate({key: column[state["index"] >= 0] for key, column in _kept(state).items()}, comm)
        reduced = self.empty(state["rows"].device) | {"n": comm.sum(state["n"].clone())}
        for key, column in whole.items():
            reduced[key][: len(column)] = column
        return reduced

    def check(self, state: State) -> None:
        super().check(state)
        low, high = state["rows"].aminmax()
        self._expect(low > -LARGEST and high < LARGEST, f"features below {LARGEST:g}")
        self._expect((state["index"] >= FREE).all(), "ids that are not negative, or -1 where a slot is free")
        n, kept = int(state["n"]), int((state["index"] >= 0).sum())
        self._expect(kept == min(n, self.capacity), f"all rows of {n} samples that it has room for, got {kept}")

    def bounds(self, state: State) -> tuple[float, float]:
        return float(state["n"]), inf

    def read(self, state: State) -> Drawn:
        """Return the rows that are kept, in the order of their ids."""
        order = state["index"].argsort(stable=True)
        order = order[state["index"][order] >= 0]
        return Drawn(state["rows"][order], state["index"][order], int(state["n"]))

    def _keys(self, index: Tensor) -> Tensor:
        return self._bank.keys(index).where(index >= 0, LAST)


def _kept(state: State) -> State:
    return {key: state[key] for key in ("rows", "index")}
