"""Evaluation: from reduced states to named scalars, without images and torchmetrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from streaming_metrics.core.frozen import remembering
from streaming_metrics.core.layout import MEASURED
from streaming_metrics.core.pairs import reduce_pairs
from streaming_metrics.measures.base import Side, Sides
from streaming_metrics.statistics.bank import bank_features

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from streaming_metrics.core.frozen import Remembered
    from streaming_metrics.core.layout import Streams
    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Role
    from streaming_metrics.measures.base import Measure, Prepared, Results
    from streaming_metrics.pairwise import PairReduction
    from streaming_metrics.statistics import Bank
    from streaming_metrics.verdicts.evidence import Evidence


def evaluate(
    places: Sequence[int],
    streams: Streams,
    sides: Sequence[Mapping[Role, Side]],
    prepared: Sequence[Prepared],
    comm: Comm,
    remembered: Mapping[Role, Remembered],
) -> list[tuple[dict[str, Tensor], dict[str, Evidence]]]:
    """Return each measure's scalars, float64 ``()``, the same bits on every rank, and their evidence; collective.

    Args:
        places: which of the measures.
        streams: the measures as they are.
        sides: of each network, by role, over all ranks; banks still sharded.
        prepared: of each measure that is bound.
        comm: the ranks.
        remembered: of the frozen sides, which it adds to.
    """
    layout = streams.layout
    seen = {place: Sides(sides[n], layout.networks[n].spec) for place in places for n in (layout.places[place],)}
    for place in places:
        streams.forms[place].check(seen[place])
    results = _results(places, streams, sides, comm, remembered)
    values, evidence = [], []
    for place in places:
        form, shown, made = streams.forms[place], seen[place], prepared[place]
        found = results.get((layout.places[place], form.bank(shown.spec)), {})
        if layout.bound[place] is not None and not streams.is_bound(place) and not form.reductions(shown.spec):
            form, shown, made = bound_for_once(form, layout.bank_to_replay(place), shown, comm)
            found = {}
        values.append(form.compute(shown, made, found))
        evidence.append(form.evidence(shown, made, found))
    return list(zip(_of_rank_0(values, comm), evidence))


def _results(
    places: Sequence[int],
    streams: Streams,
    sides: Sequence[Mapping[Role, Side]],
    comm: Comm,
    remembered: Mapping[Role, Remembered],
) -> dict[tuple[int, Bank | None], Results]:
    """Return what was read off the pairs of rows, by network and bank: one sweep of a pair of sides for all."""
    wanted: dict[tuple[int, Bank | None], list[PairReduction]] = {}
    for place in places:
        network = streams.layout.places[place]
        spec = streams.layout.networks[network].spec
        if (bank := streams.forms[place].bank(spec)) is not None:
            wanted.setdefault((network, bank), []).extend(streams.forms[place].reductions(spec))
    found: dict[tuple[int, Bank | None], Results] = {}
    for (network, bank), reductions in wanted.items():
        assert bank is not None
        with remembering(remembered, network) as cache:
            found[network, bank] = reduce_pairs(bank, reductions, sides[network], comm, cache)
    return found


def bound_for_once(measure: Measure, bank: Bank | None, sides: Sides, comm: Comm) -> tuple[Measure, Sides, Prepared]:
    """Return a measure that has no unbound form of its own as it is bound, the sides as it sees them, what is banked
    streamed through it, and what it prepared; collective.
    """
    assert bank is not None
    assert measure.fixed is not None
    fixed, fake = sides[measure.fixed], sides[MEASURED]
    made = measure.prepare(sides.spec, fixed)
    prepared = {key: comm.broadcast(tensor.clone()) for key, tensor in made.items()}
    whole = {s: fixed.gather(s) if s.is_sharded else state for s, state in fixed.states.items()}  # pyright: ignore
    form = measure.bind(sides.spec, Side(measure.fixed, fixed.num_samples, whole), prepared)
    streamed = dict(fake.states)
    for statistic in form.statistics(sides.spec)[MEASURED]:
        if statistic in streamed:  # whatever the form: moments, of the features as they came
            continue
        state = statistic.empty(fake[bank]["rows"].device)
        for features in bank_features(bank, fake[bank]):
            state = statistic.update(state, features)
        streamed[statistic] = statistic.all_reduce(state, comm)
    shown = Side(MEASURED, fake.num_samples, streamed, comm, kept=fake.kept)
    return form, Sides({**sides.by_role, MEASURED: shown}, sides.spec), prepared


def _of_rank_0(values: list[dict[str, Tensor]], comm: Comm) -> list[dict[str, Tensor]]:
    """Return scalars that were made everywhere with the bits of rank 0."""
    flat = comm.broadcast(torch.stack([value for one in values for value in one.values()])).unbind()
    shared = iter(flat)
    return [{key: next(shared) for key in one} for one in values]
