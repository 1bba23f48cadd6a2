"""Mode reader: the table of modes that a metric holds, with the samples to look at."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from streaming_metrics.core.evaluate import bound_for_once
from streaming_metrics.core.nearest_samples import bank_of
from streaming_metrics.measures.base import NotEnoughSamples, Sides
from streaming_metrics.measures.extremes import highest
from streaming_metrics.measures.jackknife import Jackknife
from streaming_metrics.measures.modes import Modes
from streaming_metrics.statistics.bank import bank_features

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from streaming_metrics.core.layout import Streams
    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Role
    from streaming_metrics.measures.base import Measure, Prepared, Side
    from streaming_metrics.measures.mode_table import ModeTable

EXAMPLES = 2
"""Samples of each side to look at in a mode."""


def mode_table(
    streams: Streams,
    sides: Sequence[Mapping[Role, Side]],
    prepared: Sequence[Prepared],
    comm: Comm,
    among: Tensor | None = None,
) -> ModeTable | None:
    """Return the table of the first :class:`Modes` measured, else of ``Modes()`` where another measure's bank holds
    what that needs; None where there is neither, or too few samples; collective.

    Args:
        streams: the measures as they are.
        sides: of each network, by role, over all ranks; banks still sharded.
        prepared: of each measure that is bound.
        comm: the ranks.
        among: ids of the generated samples that may be shown; None for all.
    """
    asked = next((place for place, form in enumerate(streams.forms) if isinstance(_itself(form), Modes)), None)
    if asked is not None:
        form, network, made = streams.forms[asked], streams.layout.places[asked], prepared[asked]
        is_bound = streams.is_bound(asked)
    elif (kept := bank_of(streams)) is not None:
        form, network, made, is_bound = Modes(), kept[0], {}, False
    else:
        return None
    measure, seen = _itself(form), Sides(sides[network], streams.layout.networks[network].spec)
    assert isinstance(measure, Modes)
    bank = measure.rows(seen.spec)
    try:
        form.check(seen)
    except NotEnoughSamples:
        return None
    if not is_bound:
        if not all(bank in side.states for side in (seen.real, seen.fake)):
            return None
        form, seen, made = bound_for_once(form, bank, seen, comm)
        measure = _itself(form)
        assert isinstance(measure, Modes)
    table = measure.table(form.unblocked(seen) if isinstance(form, Jackknife) else seen, made)
    real, fake = (_examples(measure, seen, role, comm, ids) for role, ids in (("real", None), ("fake", among)))
    return replace(table, real_examples=real, fake_examples=fake)


def _itself(form: Measure) -> Measure:
    """Return a measure without the jackknife around it."""
    return form.measure if isinstance(form, Jackknife) else form


def _examples(form: Modes, sides: Sides, role: Role, comm: Comm, among: Tensor | None) -> Tensor:
    """Return the ids of the samples nearest to the centre of each mode ``(M, k)``, where features of them are kept."""
    bank, sums = form.rows(sides.spec), form.sums(sides.spec)
    state = sides[role].states.get(bank)
    if state is None:
        return torch.empty(form.count, 0, dtype=torch.int64)
    scores = torch.full((len(state["index"]), form.count), -torch.inf, dtype=torch.float64)
    start = 0
    for features in bank_features(bank, state):
        mode, distance = (found.cpu() for found in sums.assigned(features))
        scores[start + torch.arange(len(mode)), mode] = -distance
        start += len(mode)
    return highest(scores, state["index"], EXAMPLES, comm, among)
