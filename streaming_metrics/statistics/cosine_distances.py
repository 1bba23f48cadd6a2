"""Cosine distances: how far points are from the rows of a fixed side that point most nearly their way."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING, ClassVar

import torch

from streaming_metrics.arguments import check_integer
from streaming_metrics.statistics.fixed_rows import FixedRows
from streaming_metrics.statistics.sums import Shapes, Sums

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.features import Features
    from streaming_metrics.statistics.base import State


@dataclass(frozen=True, eq=False)
class Directions:
    """Rows that points are compared with by angle alone, in either direction.

    Args:
        rows: ``(n, D)`` float32, n ≥ 1, none of them 0.

    Example:
        >>> rows = Directions(torch.tensor([[2.0, 0.0], [3.0, 4.0]]))
        >>> rows.distances(torch.tensor([[0.0, 1.0], [-7.0, 0.0]]))
        tensor([0.2000, 0.0000], dtype=torch.float64)
    """

    rows: Tensor

    def distances(self, points: Tensor) -> Tensor:
        """Return ``1 − |cos|`` of each of ``points (N, D)``, none 0, and the row for which it is smallest, float64
        ``(N,)``.

        The row is that of the nearest unit vector in float32; its distance is half of that vector's squared distance
        in float64, which is 0 for a copy and keeps its digits for what is nearly one.
        """
        ways = unit(points.double())
        found = self._from(ways)
        if self._is_one_sided and bool((points >= 0).all()):
            return found  # with neither has a negative component, no angle is above 90°
        return torch.minimum(found, self._from(-ways))

    def _from(self, ways: Tensor) -> Tensor:
        _, place = self._units.nearest(ways.float())
        rows = self.rows.to(ways.device)[place].double()
        return (unit(rows) - ways).square().sum(1) / 2

    @cached_property
    def _units(self) -> FixedRows:
        return FixedRows(torch.cat([unit(some.double()).float() for some in self.rows.split(4096)]))

    @cached_property
    def _is_one_sided(self) -> bool:
        return bool((self.rows >= 0).all())


@dataclass(frozen=True)
class CosineDistances(Sums):
    """Sums of ``1 − |cos|`` between points and the row of a fixed side for which that is smallest.

    Points whose features sum to 0 are left out. The state is ``points () int64``, those that were not, and
    ``distances () float64``, the sum.

    Args:
        num_features: D.
        role: whose rows they are; it tells the states of two sides apart.
        rows: the same on every rank; None before there are any, when nothing is summed.

    Example:
        >>> from streaming_metrics.features import Features
        >>> rows = Directions(torch.tensor([[2.0, 0.0], [3.0, 4.0]]))
        >>> distances = CosineDistances(2, rows=rows)
        >>> distances.update(distances.empty(), Features(pool=torch.tensor([[0.0, 1.0], [7.0, 0.0], [0.0, 0.0]])))
        {'points': tensor(2), 'distances': tensor(0.2000, dtype=torch.float64)}
    """

    num_features: int
    role: str = "train"
    rows: Directions | None = field(default=None, compare=False, repr=False)

    column = "pool"
    rounds: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_integer("num_features", self.num_features, least=1)

    @property
    def name(self) -> str:
        return f"cosines_{self.num_features}_{self.role}"

    @property
    def shapes(self) -> Shapes:
        return {"points": ((), torch.int64), "distances": ((), torch.float64)}

    def sums_of(self, features: Features) -> State:
        assert self.rows is not None
        points = self.rows_of(features).float()
        points = points[has_direction(points)]
        distances = self.rows.distances(points)
        return {"points": torch.ones_like(distances, dtype=torch.int64).sum(), "distances": distances.sum()}

    def check(self, state: State) -> None:
        super().check(state)
        points, distances = int(state["points"]), float(state["distances"])
        self._expect(0 <= distances <= points * (1 + 1e-9), "a sum of distances in [0, 1]")

    def bounds(self, state: State) -> tuple[float, float]:
        return float(state["points"]), inf


def has_direction(rows: Tensor) -> Tensor:
    """Return bool ``(N,)``: which of ``rows (N, D)`` have features that do not sum to 0."""
    return rows.double().sum(1) != 0


def unit(rows: Tensor) -> Tensor:
    """Return float64 rows ``(N, D)``, none 0, at length 1."""
    scaled = rows / rows.abs().amax(1, keepdim=True)  # squares of very small features would vanish
    return scaled / torch.linalg.vector_norm(scaled, dim=1, keepdim=True)
