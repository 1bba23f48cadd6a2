"""Pair results: the reductions that measures ask for, one sweep a pair of sides, over banks that stay sharded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import torch

from streaming_metrics.pairwise import PairContext, PairReduction, Shard, Tiling
from streaming_metrics.pairwise.chunks import column_sums
from streaming_metrics.pairwise.sweep import sweep
from streaming_metrics.statistics.index import is_anonymous

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from torch import Tensor

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Role
    from streaming_metrics.measures.base import Side
    from streaming_metrics.statistics import Bank, State

Key: TypeAlias = "tuple[Bank, PairReduction, tuple[int, ...]]"


@dataclass
class PairCache:
    """Results over single frozen sides, kept while these stay frozen.

    Args:
        frozen: roles whose sides do not change while this is kept.
        results: by bank, reduction and the sizes that it depends on.
    """

    frozen: frozenset[Role] = frozenset()
    results: dict[Key, Tensor] = field(default_factory=dict)

    def copy(self) -> PairCache:
        """Return a cache that knows the same, and into which others may be put."""
        return PairCache(self.frozen, dict(self.results))

    def to(self, device: torch.device) -> PairCache:
        """Return the cache with its results on a device."""
        return PairCache(self.frozen, {key: result.to(device) for key, result in self.results.items()})

    def known_to_all(self, keys: Iterable[Key], comm: Comm) -> list[Key]:
        """Return the keys that every rank knows: where one has forgotten, all sweep again, together; collective."""
        keys = list(keys)
        known = comm.min(torch.tensor([int(key in self.results) for key in keys], dtype=torch.int64, device="cpu"))
        return [key for key, is_known in zip(keys, known.tolist()) if is_known]

    def keep(self, bank: Bank, results: Mapping[Key, Tensor]) -> None:
        """Keep these results of a bank in place of all others of it: of a subset average that is drawn anew each time,
        the last alone.
        """
        self.results = {key: result for key, result in self.results.items() if key[0] != bank} | dict(results)


def reduce_pairs(
    bank: Bank,
    reductions: Iterable[PairReduction],
    sides: Mapping[Role, Side],
    comm: Comm,
    cache: PairCache,
    tiling: Tiling | None = None,
) -> dict[PairReduction, Tensor]:
    """Return the reductions' results, and those of what they require, over all pairs of the bank's rows; collective.

    Args:
        bank: whose rows are compared.
        reductions: what to read off them.
        sides: at least those that the reductions name, each with the bank's state, this rank's shard of it.
        comm: over which the shards go around.
        cache: results over one frozen side are taken from here, and left here for the next time; give a copy to keep
            what it knows of others.
        tiling: the tiles' sizes.

    Raises:
        ValueError: where a side holds a sample twice.
    """
    wanted = _with_required(reductions)
    named = {role for reduction in wanted for role in (*reduction.sides, *reduction.sized_by)}
    banks = {role: _ShardedBank(role, side[bank], comm) for role, side in sides.items() if role in named}
    sizes = {role: sharded.size for role, sharded in banks.items()}
    keys = {
        reduction: (bank, reduction, tuple(sizes[role] for role in reduction.sized_by))
        for reduction in wanted
        if len({*reduction.sides}) == 1 and reduction.sides[0] in cache.frozen
    }
    known = cache.known_to_all(keys.values(), comm)
    results = {reduction: cache.results[key] for reduction, key in keys.items() if key in known}
    for rows, columns in _pairs_of_sides(reduction for reduction in wanted if reduction not in results):
        missing = [r for r in wanted if r.sides == (rows, columns) and r not in results]
        local, tiled = banks[rows].seen_from(banks[columns].centre), tiling or Tiling()
        results |= sweep(missing, PairContext(sizes, local, results, tiled), banks[columns].shards(comm), comm)
    cache.keep(bank, {key: results[reduction] for reduction, key in keys.items()})
    return results


class _ShardedBank:
    """One side's bank: this rank's shard, and the others' as they come around.

    A side with itself is seen from its own mean: from afar, a collapsed generator's rows would all round alike.
    """

    def __init__(self, role: Role, state: State, comm: Comm) -> None:
        self.counts = comm.counts(len(state["index"]))
        self.size = sum(self.counts)
        index = comm.gather(state["index"], self.counts)
        order = index.argsort(stable=True)
        _check_unique(index[order], role)
        places = torch.empty_like(order)
        places[order] = torch.arange(len(order), device=order.device)
        self.places = places.split(self.counts)
        self.centre = (comm.sum(column_sums(state["rows"])) / max(self.size, 1)).float()
        self.shard = Shard(state["rows"], self.places[comm.rank], self.centre)

    def seen_from(self, centre: Tensor) -> Shard:
        """Return this rank's shard as another side's centre shows it."""
        return self.shard if centre is self.centre else Shard(self.shard.rows, self.shard.position, centre)

    def shards(self, comm: Comm) -> Iterator[Shard]:
        """Yield every rank's shard, this one's first."""
        for rank, rows in comm.ring(self.shard.rows, self.counts):
            yield self.shard if rank == comm.rank else Shard(rows, self.places[rank], self.centre)


def _with_required(reductions: Iterable[PairReduction]) -> list[PairReduction]:
    wanted: dict[PairReduction, None] = {}
    for reduction in reductions:
        wanted.update(dict.fromkeys((*reduction.requires, reduction)))
    return list(wanted)


def _pairs_of_sides(reductions: Iterable[PairReduction]) -> list[tuple[Role, Role]]:
    """Return the pairs of sides to sweep, each once: single sides first, whose results others require."""
    pairs = dict.fromkeys(reduction.sides for reduction in reductions)
    return sorted(pairs, key=lambda pair: pair[0] != pair[1])


def _check_unique(index: Tensor, role: Role) -> None:
    twice = index[1:][(index[1:] == index[:-1]) & ~is_anonymous(index[1:])]
    if len(twice):
        raise ValueError(
            f"{len(twice)} {role} samples came twice, e.g. index {int(twice[0])}. A DistributedSampler pads with "
            "duplicates; gather_for_metrics() hands every sample to every rank. Remedy: drop the padding "
            "(streaming_metrics.sampling.keep_unpadded), and update each rank with its own samples only."
        )
