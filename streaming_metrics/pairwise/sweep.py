"""Sweep: shows every tile of a pair of sides to every reduction, however the sides are sharded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming_metrics.pairwise.tiling import tiles
from streaming_metrics.precision import full_precision

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.pairwise.base import PairContext, PairReduction
    from streaming_metrics.pairwise.shards import Shard


def sweep(
    reductions: Sequence[PairReduction], context: PairContext, shards: Iterable[Shard], comm: Comm
) -> dict[PairReduction, Tensor]:
    """Show ``reductions`` every pair of this rank's rows with every shard's, and return their results; collective.

    Args:
        reductions: reductions over one pair of sides.
        context: with this rank's shard of the rows' side.
        shards: those of the columns' side; where it is the rows' side, one of them is ``context.local`` itself.
        comm: over which results are reduced.
    """
    local, tiling = context.local, context.tiling
    accumulators = {reduction: reduction.start(context) for reduction in reductions}
    needs = {reduction: reduction.needs(context) for reduction in reductions}
    looking = {reduction: accumulators[reduction] for reduction in reductions if needs[reduction] != "none"}
    bf16 = "products" not in needs.values() and tiling.uses_bf16(local.rows)
    with full_precision(local.rows.device):
        for remote in shards:
            for tile in tiles(local, remote, bf16, tiling=tiling) if looking else ():
                for reduction, accumulator in looking.items():
                    reduction.tile(accumulator, tile)
            for reduction, accumulator in accumulators.items():
                reduction.end_shard(accumulator, local, remote)
    return {reduction: reduction.finish(accumulator, comm) for reduction, accumulator in accumulators.items()}
