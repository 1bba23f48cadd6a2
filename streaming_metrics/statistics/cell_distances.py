"""Cell distances: how far points are from the nearest fixed row in the same cell of a partition."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from streaming_metrics.arguments import check_integer
from streaming_metrics.statistics.bank import Bank
from streaming_metrics.statistics.banked import Banked
from streaming_metrics.statistics.eigenvectors import symmetric_eigenvectors
from streaming_metrics.statistics.fixed_rows import FixedRows

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.statistics.base import State


@dataclass(frozen=True, eq=False)
class Projection:
    """Projection of rows to few dimensions.

    Args:
        axes: ``(d, D)`` float64, of length 1 and at right angles.
        mean: ``(1, D)`` float64, which is taken off first.
    """

    axes: Tensor
    mean: Tensor

    @classmethod
    def principal(cls, rows: Tensor, components: int) -> Projection:
        """Return the projection of ``rows (n, D)`` to their principal components, those of large variance first."""
        x = rows.double()
        mean = x.mean(0, keepdim=True)
        _, vectors = symmetric_eigenvectors((x - mean).T @ (x - mean))
        return cls(vectors.T.flip(0)[:components].contiguous(), mean)

    def of(self, rows: Tensor) -> Tensor:
        """Return ``rows (N, D)`` in ``d`` dimensions, float32 ``(N, d)``."""
        axes, mean = self.axes.to(rows.device), self.mean.to(rows.device)
        return torch.cat([((some.double() - mean) @ axes.T).float() for some in rows.split(4096)])


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells around centres, each with the fixed rows that are in it.

    Args:
        rows: ``(n, D)``, at least one a cell.
        centres: ``(c, d)`` float32, of projected rows where there is a projection.
        projection: of rows and points; None leaves them as they are.

    Example:
        >>> cells = Cells(torch.tensor([[0.0], [1.0], [9.0]]), torch.tensor([[0.5], [9.0]]))
        >>> cells.distances(torch.tensor([[3.0], [6.0]]))  # the nearest row to 3 is 1; 6 is in the other cell
        tensor([[0., 2.],
                [1., 3.]])
    """

    rows: Tensor
    centres: Tensor
    projection: Projection | None = None

    def distances(self, points: Tensor) -> Tensor:
        """Return the cell of each of ``points (N, D)``, and how far the nearest row there is, float32 ``(N, 2)``."""
        points = self._projected(points)
        _, cell = self._centres.nearest(points)
        squared = points.new_zeros(len(points), dtype=torch.float64)
        for place, members in enumerate(self._members):
            inside = cell == place
            squared[inside] = members.nearest(points[inside])[0]
        return torch.stack([cell.float(), squared.sqrt().float()], 1)

    @cached_property
    def counts(self) -> Tensor:
        """How many rows are in each cell, int64 ``(c,)``."""
        return torch.tensor([len(members) for members in self._members], device="cpu")

    @cached_property
    def _members(self) -> list[FixedRows]:
        rows = self._projected(self.rows)
        _, cell = self._centres.nearest(rows)
        return [FixedRows(rows[cell == place]) for place in range(len(self.centres))]

    @cached_property
    def _centres(self) -> FixedRows:
        return FixedRows(self.centres)

    def _projected(self, rows: Tensor) -> Tensor:
        return rows.float() if self.projection is None else self.projection.of(rows)


@dataclass(frozen=True)
class CellDistances(Banked):
    """The cell of each point, its distance to the nearest fixed row there, and its index; sharded as a bank is.

    The state is ``rows (n, 2) float32`` and ``index (n,) int64``: 16 bytes a point, and nothing of its features.

    Args:
        num_features: D.
        name_of_cells: what tells these cells from others of the same side.
        cells: the same on every rank; None before there are any.

    Example:
        >>> from streaming_metrics.features import Features
        >>> cells = Cells(torch.tensor([[0.0], [1.0], [9.0]]), torch.tensor([[0.5], [9.0]]))
        >>> distances = CellDistances(1, "two", cells)
        >>> distances.update(distances.empty(), Features(torch.tensor([[3.0]]), index=torch.arange(1)))["rows"]
        tensor([[0., 2.]])
    """

    num_features: int
    name_of_cells: str
    cells: Cells | None = field(default=None, compare=False, repr=False)

    column = "pool"

    def __post_init__(self) -> None:
        check_integer("num_features", self.num_features, least=1)

    @property
    def name(self) -> str:
        return f"cell_distances_{self.num_features}_{self.name_of_cells}"

    @property
    def bank(self) -> Bank:
        """What keeps cells and distances."""
        return Bank(2)

    def made_of(self, rows: Tensor) -> Tensor:
        assert self.cells is not None
        return self.cells.distances(rows)

    def check(self, state: State) -> None:
        super().check(state)
        cell, distance = state["rows"].unbind(1)
        self._expect(
            ((cell >= 0) & (cell == cell.round()) & (distance >= 0)).all(), "cells, and distances of at least 0"
        )
