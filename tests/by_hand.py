"""Measures computed of sides made by hand, without the shell; and by the shell, in every order of freezing."""

from __future__ import annotations

import pickle
import re
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

import torch

from streaming_metrics import GenerativeMetrics
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.features import Features, Spec
from streaming_metrics.measures.base import Side, Sides
from streaming_metrics.pairwise.balls import squared_radii

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

    from streaming_metrics import Measure
    from streaming_metrics.features import Role
    from streaming_metrics.measures.base import Prepared
    from streaming_metrics.pairwise import PairReduction
    from streaming_metrics.statistics import Bank, State, Statistic


def compute(
    measure: Measure, samples: Mapping[Role, Features], comm: Comm | None = None, batch_size: int = 17
) -> dict[str, float]:
    """Return the measure's values: bound, where it has a fixed side, as the other roles' batches stream past.

    Args:
        samples: of each role, with their index; where ``comm`` is given, this rank's.
    """
    comm = comm or Comm.single()
    spec = _checked(measure, samples, comm)
    measure, prepared = _bound(measure, spec, samples, comm, batch_size)
    kept = measure.statistics(spec)
    sides = {role: _side(role, samples[role], kept[role], comm, batch_size) for role in kept}
    return _values(measure, Sides(sides, spec), prepared)


def compute_unbound(
    measure: Measure, samples: Mapping[Role, Features], comm: Comm | None = None, batch_size: int = 17
) -> dict[str, float]:
    """Return the values of a measure that has a fixed side while nothing is frozen: the banked rows of the others are
    streamed through the bound form at once.
    """
    comm = comm or Comm.single()
    spec = _checked(measure, samples, comm)
    banks = {
        role: _side(role, samples[role], statistics, comm, batch_size)
        for role, statistics in measure.statistics(spec).items()
    }
    bound, prepared = _bound(measure, spec, samples, comm, batch_size)
    kept = bound.statistics(spec)
    sides = {role: side if role == bound.fixed else _replayed(side, kept[role]) for role, side in banks.items()}
    return _values(bound, Sides(sides, spec), prepared)


def lives(measure: Measure, samples: Mapping[Role, Features], fixed: Role, batch_size: int = 17) -> dict[str, Lived]:
    """Return the values that the shell gives, by how it came to them: all equal, if it keeps its laws."""
    pool = samples["fake"].pool
    assert pool is not None

    def filled(*roles: Role, freeze: bool = True) -> GenerativeMetrics:
        metric = GenerativeMetrics([measure], extractor=None, num_features=pool.shape[1])
        for role in roles:
            for start in range(0, len(samples[role]), batch_size):
                metric.update(samples[role][start : start + batch_size], role=role)
            if role == fixed and freeze:
                metric.freeze(role)
        return metric

    first = filled(fixed, "fake")
    loaded = filled()
    loaded.persistent(True)
    first.persistent(True)
    loaded.load_state_dict(first.state_dict())
    found = {
        "nothing frozen": filled(fixed, "fake", freeze=False),
        "frozen first": first,
        "frozen last": filled("fake", fixed),
        "pickled": pickle.loads(pickle.dumps(first)),
        "loaded": loaded,
    }
    return {how: Lived(_bare(measure, metric.compute()), _rows_kept(metric)) for how, metric in found.items()}


class Lived(NamedTuple):
    """Values by key, and the features of generated samples that are kept."""

    values: dict[str, float]
    rows_kept: int


def _bare(measure: Measure, values: Mapping[str, Tensor]) -> dict[str, float]:
    return dict(zip(measure.keys, (value.item() for value in values.values())))


def _rows_kept(metric: GenerativeMetrics) -> int:
    return sum(len(state) for name, state in metric.metric_state.items() if re.match("fake_bank_.*_rows_", name))  # pyright: ignore


def _checked(measure: Measure, samples: Mapping[Role, Features], comm: Comm) -> Spec:
    pool = samples["fake"].pool
    assert pool is not None
    spec = Spec(num_features=pool.shape[1])
    measure.check(Sides({role: _side(role, samples[role], (), comm, 1) for role in measure.statistics(spec)}, spec))
    return spec


def _bound(
    measure: Measure, spec: Spec, samples: Mapping[Role, Features], comm: Comm, batch_size: int
) -> tuple[Measure, Prepared]:
    role = measure.fixed
    if role is None:
        return measure, {}
    side = _side(role, samples[role], measure.statistics(spec)[role], comm, batch_size)
    prepared = measure.prepare(spec, side)
    return measure.bind(spec, whole(side), prepared), prepared


def _values(measure: Measure, sides: Sides, prepared: Prepared) -> dict[str, float]:
    values = measure.compute(sides, prepared, {})
    assert all(value.dtype == torch.float64 and value.shape == () for value in values.values())
    return {key: value.item() for key, value in values.items()}


def _replayed(side: Side, statistics: Iterable[Statistic]) -> Side:
    ((_, bank),) = side.states.items()
    rows = Features(bank["rows"], index=bank["index"])
    states = {statistic: statistic.all_reduce(streamed(statistic, [rows]), side.comm) for statistic in statistics}
    return Side(side.role, side.num_samples, states, side.comm)


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
