"""From reduced states to named scalars: no torchmetrics, no images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from streaming_metrics.core.pairs import RealCache, reduce_pairs
from streaming_metrics.measures.base import Inputs, Roles, Side
from streaming_metrics.statistics import Count, Distinct

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Spec
    from streaming_metrics.measures.base import Measure
    from streaming_metrics.pairwise import PairReduction, Role
    from streaming_metrics.statistics import Bank, State, Statistic

COUNT, DISTINCT = Count(), Distinct()


def statistics_of(measures: Sequence[Measure], spec: Spec) -> Roles[tuple[Statistic, ...]]:
    """Return the statistics that measures need of each role, each once; samples and their repeats are counted too."""
    needed, always = [measure.statistics(spec) for measure in measures], (COUNT, DISTINCT)
    real, fake = (tuple(dict.fromkeys((*always, *(s for need in needed for s in need[role])))) for role in (0, 1))
    return Roles(real, fake)


def reduce_side(role: Role, states: Mapping[Statistic, State], comm: Comm) -> Side:
    """Return one role over all ranks; collective, and ``states`` are left as they are."""
    reduced = {statistic: statistic.all_reduce(state, comm) for statistic, state in states.items()}
    return Side(role, int(reduced[COUNT]["n"]), reduced)


def evaluate(
    measures: Sequence[Measure], spec: Spec, real: Side, fake: Side, comm: Comm, memo: RealCache | None = None
) -> dict[str, Tensor]:
    """Return all measures' scalars, float64 ``()``, the same bits on every rank; collective.

    Args:
        measures: what to compute.
        spec: the extractor's widths.
        real, fake: the sides over all ranks, banks still sharded.
        comm: the ranks.
        memo: kept by the caller while the real side does not change; what depends on it alone is computed once.
    """
    memo = RealCache() if memo is None else memo
    for measure in measures:
        measure.check(real, fake)
    results = {
        bank: reduce_pairs(bank, reductions, real, fake, comm, memo)
        for bank, reductions in _reductions(measures, spec).items()
    }
    kept = memo.prepared
    memo.prepared = {m: kept[m] if m in kept else m.prepare(real, spec) for m in measures}
    values: dict[str, Tensor] = {}
    for measure in measures:
        bank = measure.bank(spec)
        seen = results[bank] if bank else {}
        values |= measure.compute(Inputs(real, fake, spec, memo.prepared[measure], seen))
    return dict(zip(values, comm.broadcast(torch.stack(list(values.values()))).unbind()))


def _reductions(measures: Sequence[Measure], spec: Spec) -> dict[Bank, list[PairReduction]]:
    reductions: dict[Bank, list[PairReduction]] = {}
    for measure in measures:
        if (bank := measure.bank(spec)) is not None:
            reductions.setdefault(bank, []).extend(measure.reductions(spec))
    return reductions
