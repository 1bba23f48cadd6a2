"""Sums of a kernel over pairs: of every row, or of drawn subsets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from streaming_metrics.folds.base import Fold, Role, Setting, Tile

if TYPE_CHECKING:
    from streaming_metrics.comm import Comm


@dataclass(frozen=True)
class PolynomialKernel:
    """``k(x, y) = (gamma·xᵀy + coef)^degree``, with ``gamma = 1/D`` where None."""

    degree: int = 3
    gamma: float | None = None
    coef: float = 1.0

    def __call__(self, tile: Tile) -> Tensor:
        """Return the kernel of a tile's pairs, float64; ``xᵀy`` is restored from products of centred rows."""
        gamma = 1 / tile.own.rows.shape[1] if self.gamma is None else self.gamma
        half_norm = tile.own.centre.double().square().sum() / 2
        rows = gamma * (tile.own.offsets[tile.rows] - half_norm) + self.coef
        columns = gamma * (tile.visitor.offsets[tile.columns] - half_norm)
        base = tile.products.double().mul_(gamma).add_(rows.unsqueeze(1)).add_(columns.unsqueeze(0))
        values = base.clone()
        for _ in range(self.degree - 1):
            values *= base
        return values.fill_diagonal_(0) if tile.diagonal else values


@dataclass(frozen=True)
class Draw:
    """Which rows each subset holds.

    Args:
        subsets, size: S subsets of ``size`` rows a side, without replacement.
        seed: of one ``numpy.random.RandomState``; each subset draws its generated rows first, then its real ones, as
            torch-fidelity does. Bytes are the state of a torch generator: real rows first, by ``randperm``, as
            torchmetrics does.

    Example:
        >>> Draw(subsets=2, size=3, seed=0).places(num_real=5, num_fake=4)["fake"].shape
        torch.Size([2, 3])
    """

    subsets: int
    size: int
    seed: int | bytes

    def places(self, num_real: int, num_fake: int) -> dict[Role, Tensor]:
        """Return int64 ``(S, size)`` of each side: places in the order of the index."""
        return _places(self, num_real, num_fake)[0]

    def membership(self, role: Role, setting: Setting) -> Tensor:
        """Return bool ``(S, N)``: whether the subset holds the row."""
        places = self.places(setting.num_real, setting.num_fake)[role]
        member = torch.zeros(self.subsets, setting.size(role), dtype=torch.bool, device="cpu")
        return member.scatter_(1, places, True).to(setting.own.rows.device)

    def state_after(self, num_real: int, num_fake: int) -> bytes:
        """Return the torch generator's state once all subsets are drawn."""
        return _places(self, num_real, num_fake)[1]


@lru_cache(maxsize=4)
def _places(draw: Draw, num_real: int, num_fake: int) -> tuple[dict[Role, Tensor], bytes]:
    real, fake = [], []
    if isinstance(draw.seed, bytes):
        generator = torch.Generator()
        generator.set_state(torch.frombuffer(bytearray(draw.seed), dtype=torch.uint8))
        for _ in range(draw.subsets):
            real.append(torch.randperm(num_real, generator=generator)[: draw.size])
            fake.append(torch.randperm(num_fake, generator=generator)[: draw.size])
        after = generator.get_state().numpy().tobytes()
    else:
        random, after = np.random.RandomState(draw.seed), b""
        for _ in range(draw.subsets):
            fake.append(torch.from_numpy(random.choice(num_fake, draw.size, replace=False)))
            real.append(torch.from_numpy(random.choice(num_real, draw.size, replace=False)))
    return {"real": torch.stack(real), "fake": torch.stack(fake)}, after


@dataclass(frozen=True)
class SubsetSums(Fold):
    """``Σ k(x, y)`` over the pairs of every subset, float64 ``(S,)``; pairs of a row with itself left out."""

    rows: Role
    columns: Role
    kernel: PolynomialKernel
    draw: Draw

    @property
    def sides(self) -> tuple[Role, Role]:
        return self.rows, self.columns

    @property
    def spans_both(self) -> bool:
        return True

    def start(self, setting: Setting) -> _SubsetSums:
        rows = self.draw.membership(self.rows, setting)
        columns = rows if self.rows == self.columns else self.draw.membership(self.columns, setting)
        return _SubsetSums(rows, columns, setting.own.norms.new_zeros(self.draw.subsets))

    def tile(self, accumulator: _SubsetSums, tile: Tile) -> None:
        rows = accumulator.rows[:, tile.own.position[tile.rows]].double()
        columns = accumulator.columns[:, tile.visitor.position[tile.columns]]
        accumulator.sums += (rows @ self.kernel(tile)).mul_(columns).sum(1)

    def finish(self, accumulator: _SubsetSums, comm: Comm) -> Tensor:
        return comm.sum(accumulator.sums)


@dataclass
class _SubsetSums:
    rows: Tensor
    columns: Tensor
    sums: Tensor


@dataclass(frozen=True)
class KernelSums(Fold):
    """``Σ_y k(x, y)`` of every row, then, between two sides, ``Σ_x k(x, y)`` of every column: float64.

    ``(N,)`` over one side, pairs of a row with itself left out; ``(rows + columns,)`` between two.
    """

    rows: Role
    columns: Role
    kernel: PolynomialKernel

    @property
    def sides(self) -> tuple[Role, Role]:
        return self.rows, self.columns

    def start(self, setting: Setting) -> tuple[Tensor, Tensor]:
        between = self.rows != self.columns
        sizes = setting.size(self.rows), setting.size(self.columns) if between else 0
        rows, columns = (setting.own.norms.new_zeros(size) for size in sizes)
        return rows, columns

    def tile(self, accumulator: tuple[Tensor, Tensor], tile: Tile) -> None:
        values = self.kernel(tile)
        rows, columns = accumulator
        rows[tile.own.position[tile.rows]] += values.sum(1)
        if len(columns):
            columns[tile.visitor.position[tile.columns]] += values.sum(0)

    def finish(self, accumulator: tuple[Tensor, Tensor], comm: Comm) -> Tensor:
        return comm.sum(torch.cat(accumulator))
