"""Pair reduction: what is accumulated over all pairs of two sides, tile by tile."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from streaming_metrics.pairwise.tiling import DEFAULT_TILING, Tiling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Role
    from streaming_metrics.pairwise.shards import Shard
    from streaming_metrics.pairwise.tiles import Tile

Needs: TypeAlias = Literal["products", "distances", "bounds", "none"]
"""What is looked at in a tile: float32 products, float64 squared distances, bounds of these, or nothing."""


class PairReduction(ABC):
    """What is accumulated over all pairs of two sides; subclasses are frozen dataclasses, equal when they yield the
    same.

    A rank meets its own rows with every column; a side with itself leaves out the pairs (i, i), and of a rank's rows
    with themselves each pair comes once: see :class:`~streaming_metrics.pairwise.tiles.Tile`.
    """

    @property
    @abstractmethod
    def sides(self) -> tuple[Role, Role]:
        """Roles of a tile's rows and of its columns."""

    @property
    def requires(self) -> tuple[PairReduction, ...]:
        """Reductions over single sides whose results :meth:`start` is given."""
        return ()

    @property
    def sized_by(self) -> tuple[Role, ...]:
        """Roles on whose sizes the result depends, beyond what :attr:`sides` holds."""
        return ()

    def needs(self, context: PairContext) -> Needs:  # noqa: ARG002
        """Return what it looks at in tiles."""
        return "bounds"

    @abstractmethod
    def start(self, context: PairContext) -> Any:
        """Return a fresh accumulator."""

    @abstractmethod
    def tile(self, accumulator: Any, tile: Tile) -> None:
        """Add one tile."""

    def end_shard(self, accumulator: Any, local: Shard, remote: Shard) -> None:  # noqa: B027
        """Settle what needs the rows of ``remote`` once all its tiles were added, before it goes on."""

    @abstractmethod
    def finish(self, accumulator: Any, comm: Comm) -> Tensor:
        """Return the result, whole on every rank; collective."""


@dataclass(frozen=True)
class PairContext:
    """What a reduction knows when it starts.

    Args:
        sizes: rows of each side over all ranks.
        local: this rank's rows.
        results: what the reductions in :attr:`PairReduction.requires` yielded.
        tiling: the tiles' sizes.
    """

    sizes: Mapping[Role, int]
    local: Shard
    results: Mapping[PairReduction, Tensor]
    tiling: Tiling = DEFAULT_TILING


def check_distinct(owner: str, one: Role, other: Role) -> None:
    """Raise ValueError where two roles are one."""
    if one == other:
        raise ValueError(f"{owner}: expected two sides, got {one!r} twice. Remedy: name another role.")
