"""Measures computed of sides made by hand: what the contract says of the two forms, without the shell."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from streaming_metrics.distributed.comm import Comm
from streaming_metrics.features import Spec
from streaming_metrics.measures.base import Side, Sides
from streaming_metrics.pairwise.balls import squared_radii

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

    from streaming_metrics import Features, Measure
    from streaming_metrics.features import Role
    from streaming_metrics.pairwise import PairReduction
    from streaming_metrics.statistics import Bank, State, Statistic


def compute(
    measure: Measure, samples: Mapping[Role, Features], comm: Comm | None = None, batch_size: int = 17
) -> dict[str, float]:
    """Return the measure's values, bound where it has a fixed side: what it prepared, the other roles stream past.

    Args:
        samples: of each role, with their index, and where ``comm`` is given this rank's.
    """
    comm, prepared = comm or Comm.single(), {}
    pool = samples["fake"].pool
    assert pool is not None
    spec = Spec(num_features=pool.shape[1])
    bare = {role: _side(role, samples[role], (), comm, batch_size) for role in measure.statistics(spec)}
    measure.check(Sides(bare, spec))
    if measure.fixed is not None:
        fixed = _side(measure.fixed, samples[measure.fixed], measure.statistics(spec)[measure.fixed], comm, batch_size)
        prepared = measure.prepare(spec, fixed)
        measure = measure.bind(spec, whole(fixed), prepared)
    kept = measure.statistics(spec)
    sides = {role: _side(role, samples[role], kept[role], comm, batch_size) for role in kept}
    return {key: value.item() for key, value in measure.compute(Sides(sides, spec), prepared, {}).items()}


def streamed(statistic: Statistic, batches: Iterable[Features]) -> State:
    return reduce(statistic.update, batches, statistic.empty())


def whole(side: Side) -> Side:
    """The side as a frozen one is, on each rank: rows in the order of ids."""
    return Side(side.role, side.num_samples, {bank: side.gather(bank) for bank in side.states})  # pyright: ignore


def _side(role: Role, rows: Features, statistics: Iterable[Statistic], comm: Comm, batch_size: int) -> Side:
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    states = {statistic: statistic.all_reduce(streamed(statistic, batches), comm) for statistic in statistics}

    def reduced(bank: Bank, reduction: PairReduction) -> Tensor:
        return squared_radii(side.rows(bank), reduction.k)  # pyright: ignore[reportAttributeAccessIssue]

    side = Side(role, sum(comm.counts(len(rows))), states, comm, reduced)
    return side
