"""Nearest points: the few that are nearest to each fixed row, of all that have passed."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, ClassVar

import torch

from streaming_metrics.arguments import check_integer
from streaming_metrics.pairwise.candidates import nearest_candidates
from streaming_metrics.pairwise.ragged import spread_out
from streaming_metrics.statistics.bank import check_labels
from streaming_metrics.statistics.base import State, Statistic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Features
    from streaming_metrics.statistics.fixed_rows import FixedRows

FREE = {"squared": torch.finfo(torch.float64).max, "ids": torch.iinfo(torch.int64).max, "labels": -1}
"""What a place holds that no point has taken yet."""


@dataclass(frozen=True)
class NearestPoints(Statistic):
    """The k points that are nearest to each of n fixed rows, from near to far; of equally near ones those with the
    smallest ids.

    The state is ``squared (n, k) float64``, exact squared distances, ``ids (n, k) int64`` and, with labels,
    ``labels (n, k) int64``. Features are not kept.

    Args:
        num_features: D.
        k: how many.
        labels: L, with ``Features.labels`` in [0, L); None keeps none.
        most: of how many rows at most the fixed ones are.
        rows: the same on every rank; None before there are any.

    Example:
        >>> from streaming_metrics.features import Features
        >>> from streaming_metrics.statistics.fixed_rows import FixedRows
        >>> nearest = NearestPoints(1, k=2, rows=FixedRows(torch.tensor([[0.0], [4.0]])))
        >>> points = Features(pool=torch.tensor([[1.0], [9.0], [3.0]]), index=torch.arange(3))
        >>> nearest.update(nearest.empty(), points)["ids"]
        tensor([[0, 2],
                [2, 0]])
    """

    num_features: int
    k: int = 1
    labels: int | None = None
    most: int = 500
    rows: FixedRows | None = field(default=None, compare=False, repr=False)

    column = "pool"
    rounds: ClassVar[bool] = True
    writes_in_place: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in ("num_features", "k", "most"):
            check_integer(name, getattr(self, name), least=1)
        check_integer("labels", self.labels, least=1, optional=True)

    @property
    def name(self) -> str:
        labels = "" if self.labels is None else f"_labels_{self.labels}"
        return f"nearest_{self.num_features}_{self.k}_{self.most}{labels}"

    @property
    def columns(self) -> tuple[str, ...]:
        return ("pool",) if self.labels is None else ("pool", "labels")

    def empty(self, device: torch.device | str = "cpu") -> State:
        shape, dtypes = (0 if self.rows is None else len(self.rows), self.k), {"squared": torch.float64}
        keys = FREE if self.labels is not None else ("squared", "ids")
        return {key: torch.full(shape, FREE[key], dtype=dtypes.get(key, torch.int64), device=device) for key in keys}

    def update(self, state: State, features: Features) -> State:
        assert self.rows is not None
        assert features.index is not None
        beside = {"ids": features.index}
        if self.labels is not None:
            beside["labels"] = check_labels(features.labels, len(features), self.labels)
        for tile in self.rows.tiles(self.rows_of(features)):
            rows, columns, squared = nearest_candidates(tile, self.k, state["squared"][:, -1])
            places = tile.columns.places(columns)
            found = {key: column[places] for key, column in beside.items()} | {"squared": squared}
            batch = {key: spread_out(found[key], rows, len(self.rows), FREE[key]) for key in state}
            state = self.merge([state, batch])
        return state

    def merge(self, states: Sequence[State]) -> State:
        merged = {key: torch.cat([state[key] for state in states], 1) for key in states[0]}
        for key in ("ids", "squared"):  # the last one decides first
            order = merged[key].argsort(dim=1, stable=True)
            merged = {key: column.gather(1, order) for key, column in merged.items()}
        return {key: column[:, : self.k].clone() for key, column in merged.items()}

    def all_reduce(self, state: State, comm: Comm) -> State:
        """Return the merge of all ranks' states, which go around the ring."""
        bits = {key: column.view(torch.int64) for key, column in state.items()}
        packed, visitors = torch.stack(list(bits.values())), []
        for _, visitor in comm.ring(packed, [len(packed)] * comm.world_size):
            visitors.append({key: row.view(state[key].dtype) for key, row in zip(state, visitor.clone())})
        return self.merge(visitors)

    def check(self, state: State) -> None:
        super().check(state)
        squared, is_free = state["squared"], state["squared"] == FREE["squared"]
        self._expect((squared >= 0).all() and (squared.diff() >= 0).all(), "squared distances that ascend")
        self._expect(((state["ids"] >= 0) & ((state["ids"] == FREE["ids"]) == is_free)).all(), "an id a point")
        if self.labels is not None:
            labels = state["labels"]
            self._expect(((labels < self.labels) & ((labels >= 0) != is_free)).all(), "a label a point")

    def bounds(self, state: State) -> tuple[float, float]:
        if self.rows is None:
            return 0, inf
        held = int((state["squared"] < FREE["squared"]).sum(1).max())
        return held, inf if held == self.k else held
