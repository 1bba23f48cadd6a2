"""Sums of a kernel over the pairs of drawn subsets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer
from streaming_metrics.pairwise.base import Block, PairReduction, Role, Setting, Shard, Sight, Tile
from streaming_metrics.pairwise.sweep import tiles

if TYPE_CHECKING:
    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.pairwise.kernels import PolynomialKernel


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

    def __post_init__(self) -> None:
        check_integer("subsets", self.subsets, least=1)
        check_integer("size", self.size, least=2)
        check_seed("seed", self.seed)

    def places(self, num_real: int, num_fake: int) -> dict[Role, Tensor]:
        """Return int64 ``(S, size)`` of each side: places in the order of the index."""
        return _places(self, num_real, num_fake)[0]

    def is_sparse(self, num_real: int, num_fake: int) -> bool:
        """Return whether multiplying out the subsets' pairs costs less than those of the whole sides.

        A subset meets itself in three of four quarters, and the other side's; whole sides meet themselves in halves.
        """
        return 2.5 * self.subsets * self.size**2 < (num_real + num_fake) ** 2 / 2

    def state_after(self, num_real: int, num_fake: int) -> bytes:
        """Return the torch generator's state once all subsets are drawn."""
        return _places(self, num_real, num_fake)[1]


def check_seed(name: str, seed: int | bytes) -> None:
    """Raise TypeError or ValueError unless ``seed`` is one of NumPy's, or the state of a torch generator."""
    if not isinstance(seed, bytes):
        return check_integer(name, seed, least=0, most=2**32 - 1)
    try:
        _generator(seed)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{name}: expected the bytes of a torch generator's state, got {len(seed)} others.") from error


def _generator(state: bytes) -> torch.Generator:
    generator = torch.Generator()
    return generator.set_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))


@lru_cache(maxsize=4)
def _places(draw: Draw, num_real: int, num_fake: int) -> tuple[dict[Role, Tensor], bytes]:
    real, fake = [], []
    if isinstance(draw.seed, bytes):
        generator = _generator(draw.seed)
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
class SubsetSums(PairReduction):
    """``Σ k(x, y)`` over the pairs of every subset, float64 ``(S,)``; pairs of a row with itself left out.

    Where the subsets together hold more pairs than the sides do, a 0/1 matrix of memberships sums all subsets over each
    tile; else each subset's own pairs are multiplied out, and no tile is looked at.
    """

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

    def reads(self, setting: Setting) -> Sight:
        return "nothing" if self.draw.is_sparse(setting.num_real, setting.num_fake) else "products"

    def start(self, setting: Setting) -> _SubsetSums:
        places, device = self.draw.places(setting.num_real, setting.num_fake), setting.own.rows.device
        rows, columns = (_membership(places[role], setting.size(role)).to(device) for role in self.sides)
        is_sparse = self.reads(setting) == "nothing"
        return _SubsetSums(rows, columns, setting.own.norms.new_zeros(self.draw.subsets), is_sparse)

    def tile(self, accumulator: _SubsetSums, tile: Tile) -> None:
        rows, columns = accumulator.members(tile.rows, tile.columns)
        rest = self.kernel.rest(tile)
        sums = (rest @ columns.to(rest.dtype)).mul_(rows).sum(0, dtype=torch.float64)
        accumulator.sums += 2 * sums if tile.mirrored else sums

    def leave(self, accumulator: _SubsetSums, own: Shard, visitor: Shard) -> None:
        rows, columns = accumulator.members(own, visitor)
        weights = rows.double().T, columns.double().T
        for x, y in self.kernel.powers(own, visitor):
            accumulator.sums += (weights[0] @ x) * (weights[1] @ y)
            if own is visitor:
                accumulator.sums -= weights[0] @ (x * y)
        if accumulator.is_sparse:
            for subset, members in enumerate(zip(rows.T, columns.T)):
                some, others = (member.nonzero()[:, 0] for member in members)
                accumulator.sums[subset] += self._within(own, visitor, some, others)

    def finish(self, accumulator: _SubsetSums, comm: Comm) -> Tensor:
        return comm.sum(accumulator.sums)

    def _within(self, own: Shard, visitor: Shard, rows: Tensor, columns: Tensor) -> Tensor:
        """Return the sum of :meth:`PolynomialKernel.rest` over one subset's pairs."""
        total = own.norms.new_zeros(())
        for tile in tiles(own, visitor, among=(rows, columns)):
            total += (2 if tile.mirrored else 1) * self.kernel.rest(tile).sum(dtype=torch.float64)
        return total


@dataclass
class _SubsetSums:
    """Bool ``(N, S)`` of each side, whether the subset holds the row; and the sums so far."""

    rows: Tensor
    columns: Tensor
    sums: Tensor
    is_sparse: bool

    def members(self, rows: Block | Shard, columns: Block | Shard) -> tuple[Tensor, Tensor]:
        return self.rows[rows.position], self.columns[columns.position]


def _membership(places: Tensor, n: int) -> Tensor:
    return torch.zeros(n, len(places), dtype=torch.bool, device="cpu").scatter_(0, places.T, True)
