"""Kernels: similarities of pairs of rows, split into what varies within a tile and what sums of powers hold."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import accumulate
from math import comb, log10
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer, check_real
from streaming_metrics.pairwise.chunks import strips_of
from streaming_metrics.pairwise.shards import Block, Shard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming_metrics.pairwise.base import Needs
    from streaming_metrics.pairwise.tiles import Tile


class Kernel(ABC):
    """Kernel of pairs of rows, ``k(x, y) = rest(x, y) + Σ_t p_t(x)·q_t(y)``; subclasses are frozen dataclasses.

    Attributes:
        needs: what :meth:`rest` looks at in a tile: ``"products"``, or ``"distances"``.
    """

    needs: ClassVar[Needs]

    @abstractmethod
    def rest(self, tile: Tile) -> Tensor:
        """Return the part that each pair has to itself, float32 or float64, shaped as the tile; 0 where pairs do not
        count.
        """

    def strips(self, tile: Tile) -> Iterator[tuple[slice, Tensor]]:
        """Yield :meth:`rest` by slices of the tile's rows, each small enough to stay in a processor's cache."""
        rest = self.rest(tile)
        for part in strips_of(rest):
            yield part, rest[part]

    def powers(self, rows: Shard, columns: Shard) -> list[tuple[Tensor, Tensor]]:  # noqa: ARG002
        """Return the pairs ``(p_t, q_t)``, float64 ``(n,)`` and ``(m,)``, whose products make up the other part."""
        return []


DECADES = 30
"""Powers of ten that float32 holds either side of 1, with room for a tile's sums."""


def check_kernel(owner: str, degree: int, gamma: float | None, coef: float) -> None:
    """Raise TypeError or ValueError unless these make a polynomial kernel that is one: positive definite."""
    check_integer(f"{owner}degree", degree, least=1)
    if gamma is not None:
        check_real(f"{owner}gamma", gamma, above=0)
    check_real(f"{owner}coef", coef, least=0)


@dataclass(frozen=True)
class PolynomialKernel(Kernel):
    """``k(x, y) = (gamma·xᵀy + coef)^degree``, with ``gamma = 1/D`` where None.

    With ``x = μ + x̃`` and ``y = μ + ỹ`` it is ``(c + u)^degree``, where ``c = a(x) + b(y)`` holds what the mean
    contributes and ``u = gamma·x̃ᵀỹ`` the rest. Sums of ``c^degree`` are sums of powers of a and b, in float64; float32
    holds ``(c + u)^degree − c^degree`` alone, so that the constant part, by far the largest, rounds nothing away; where
    float32 cannot hold that, float64 does.
    """

    needs: ClassVar[Needs] = "products"

    degree: int = 3
    gamma: float | None = None
    coef: float = 1.0

    def __post_init__(self) -> None:
        check_kernel("", self.degree, self.gamma, self.coef)

    def rest(self, tile: Tile) -> Tensor:
        """Return ``(c + u)^degree − c^degree`` of a tile's pairs, float32 or float64; 0 where they do not count."""
        return torch.cat([rest for _, rest in self.strips(tile)])

    def strips(self, tile: Tile) -> Iterator[tuple[slice, Tensor]]:
        gamma, (a, _), (_, b) = self._gamma(tile.rows.shard), self.parts(tile.rows), self.parts(tile.columns)
        products = tile.products if self._fits_float32(tile) else tile.products64
        a, b = a.to(products.dtype).unsqueeze(1), b.to(products.dtype)
        for part in strips_of(products):
            rest = self._rest(a[part] + b, products[part], gamma)
            if tile.diagonal:
                rest[:, part].fill_diagonal_(0)
            yield part, rest

    def _rest(self, c: Tensor, products: Tensor, gamma: float) -> Tensor:
        """Return ``u·Σ_t (c + u)^t·c^(degree − 1 − t)``, which is the rest without a difference in which digits would
        cancel.
        """
        base = torch.add(c, products, alpha=gamma)
        total = base + c if self.degree > 1 else torch.ones_like(c)
        for power in accumulate([c] * (self.degree - 2), torch.mul):
            total.mul_(base).addcmul_(power, c)
        return torch.addcmul(c.new_zeros(()), total, products, value=gamma, out=base)

    def parts(self, block: Block | Shard) -> tuple[Tensor, Tensor]:
        """Return a and b of rows, float64 ``(n,)``: a of those that are a tile's rows, b of its columns."""
        shard = block.shard if isinstance(block, Block) else block
        b = self._gamma(shard) * block.offsets
        return b + self.coef, b

    def powers(self, rows: Shard, columns: Shard) -> list[tuple[Tensor, Tensor]]:
        """Return pairs ``(p, q)``, float64 ``(n,)`` and ``(m,)``, with ``c^degree = Σ p(x)·q(y)``."""
        a, b, d = self.parts(rows)[0], self.parts(columns)[1], self.degree
        return [(comb(d, t) * a ** (d - t), b**t) for t in range(d + 1)]

    def _fits_float32(self, tile: Tile) -> bool:
        """Return whether the largest pair that the two shards can make is far from float32's ends."""
        rows, columns = tile.rows.shard, tile.columns.shard
        gamma, (x, x_mean), (y, y_mean) = self._gamma(rows), rows.reach, columns.reach
        if abs(log10(gamma)) >= DECADES:
            return False
        least = self.coef + gamma * (x_mean + y_mean)
        if least and self._is_moderate(least) and self._is_moderate(least + gamma * x * y):
            return True
        largest = least + gamma * rows.longest * columns.longest  # a pass over the rows, which few need
        return largest == 0 or self._is_moderate(largest)

    def _is_moderate(self, largest: float) -> bool:
        """Return whether float32 holds the kernel of such a pair."""
        return abs(self.degree * log10(largest)) < DECADES

    def _gamma(self, shard: Shard) -> float:
        return 1 / shard.rows.shape[1] if self.gamma is None else self.gamma


@dataclass(frozen=True)
class RBFKernel(Kernel):
    """``k(x, y) = mean over w in widths of exp(−‖x − y‖² / (2w²))``, in (0, 1], and 1 where x = y.

    Distances are within 2⁻³⁰ of themselves, so that a value is within 4e-10, wherever the rows lie.

    Args:
        widths: at least one, each greater than 0, in the units of the features.

    Example:
        >>> RBFKernel(widths=(1, 2.0))
        RBFKernel(widths=(1.0, 2.0))
    """

    needs: ClassVar[Needs] = "distances"

    widths: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.widths:
            raise ValueError("RBFKernel widths: expected at least one, got none. Remedy: the median distance, say.")
        for width in self.widths:
            check_real("RBFKernel widths", width, above=0)
        object.__setattr__(self, "widths", tuple(float(width) for width in self.widths))

    def rest(self, tile: Tile) -> Tensor:
        """Return the whole kernel, float64: there is no other part."""
        values = torch.zeros_like(tile.squared)
        for width in self.widths:
            values += (tile.squared / (2 * width)).div_(-width).exp_()  # width² alone may be beyond float64
        values /= len(self.widths)
        return values.fill_diagonal_(0) if tile.diagonal else values
