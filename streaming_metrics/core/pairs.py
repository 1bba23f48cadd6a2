"""Runs the reductions that measures ask for: one sweep a pair of sides, over banks that stay sharded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import torch

from streaming_metrics.pairwise import PairReduction, Role, Setting, Shard
from streaming_metrics.pairwise.base import column_sums
from streaming_metrics.pairwise.sweep import sweep
from streaming_metrics.statistics.index import is_anonymous

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.measures.base import Measure, Side
    from streaming_metrics.statistics import Bank, State


@dataclass
class RealCache:
    """What depends on a real side alone, kept while that does not change.

    Args:
        prepared: what :meth:`Measure.prepare` returned.
        reduced: results of the last sweep over the real side, by bank, reduction and, where they matter, the sizes.
    """

    prepared: dict[Measure, Any] = field(default_factory=dict)
    reduced: dict[Any, Tensor] = field(default_factory=dict)

    def reduced_on(self, device: torch.device) -> RealCache:
        """Return the reductions' results on a device; what was prepared is prepared there again."""
        return RealCache(reduced={key: result.to(device) for key, result in self.reduced.items()})


def reduce_pairs(
    bank: Bank, reductions: Iterable[PairReduction], sides: Any, comm: Comm, remembered: Any
) -> dict[PairReduction, Tensor]:
    """Return the reductions' results over all pairs of the two banks; collective.

    Args:
        bank: whose rows are compared.
        reductions: what to read off them.
        real, fake: sides that hold the bank's state, this rank's shard of it.
        comm: over which the shards go around.
        memo: results over the real side alone are taken from here, and left here for the next time.
    """
    memo = remembered.get("real", RealCache())
    wanted = _with_needs(reductions)
    banks = {side.role: _Sharded(side.role, side[bank], comm) for side in sides.values() if bank in side.states}
    sizes = tuple(banks[r].size if r in banks else 0 for r in ("real", "fake"))
    keys = {
        reduction: (bank, reduction, sizes if reduction.spans_both else None)
        for reduction in wanted
        if reduction.sides == ("real", "real")
    }
    results: dict[PairReduction, Tensor] = _recall(memo.reduced, keys, comm)
    for pair in (("real", "real"), ("fake", "fake"), ("fake", "real"), ("real", "fake")):
        missing = [reduction for reduction in wanted if reduction.sides == pair and reduction not in results]
        if missing:
            rows, columns = (banks[cast("Role", role)] for role in pair)
            setting = Setting(sizes[0], sizes[1], rows.seen_from(columns.centre), results)
            results |= sweep(missing, setting, columns.visitors(comm), comm)
    others = {key: result for key, result in memo.reduced.items() if key[0] != bank}
    memo.reduced = others | {key: results[reduction] for reduction, key in keys.items()}
    return results


class _Sharded:
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

    def visitors(self, comm: Comm) -> Iterator[Shard]:
        for rank, rows in comm.ring(self.shard.rows, self.counts):
            yield self.shard if rank == comm.rank else Shard(rows, self.places[rank], self.centre)


def _with_needs(reductions: Iterable[PairReduction]) -> list[PairReduction]:
    wanted: dict[PairReduction, None] = {}
    for reduction in reductions:
        wanted.update(dict.fromkeys((*reduction.needs, reduction)))
    return list(wanted)


def _recall(reduced: dict[Any, Tensor], keys: dict[PairReduction, Any], comm: Comm) -> dict[PairReduction, Tensor]:
    """Return what every rank remembers: one that has forgotten makes all sweep again, together."""
    remembered = comm.min(torch.tensor([int(key in reduced) for key in keys.values()], dtype=torch.int64, device="cpu"))
    return {reduction: reduced[key] for (reduction, key), known in zip(keys.items(), remembered.tolist()) if known}


def _check_unique(index: Tensor, role: Role) -> None:
    twice = index[1:][(index[1:] == index[:-1]) & ~is_anonymous(index[1:])]
    if len(twice):
        raise ValueError(
            f"{len(twice)} {role} samples came twice, e.g. index {int(twice[0])}. A DistributedSampler pads with "
            "duplicates; gather_for_metrics() hands every sample to every rank. Remedy: drop the padding "
            "(streaming_metrics.sampling.keep_unpadded), and update each rank with its own samples only."
        )
