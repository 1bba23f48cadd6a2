"""Binding: measures look at a frozen side once, and from then on keep nothing of the generated one but what they ask.

Both forms of a measure give the same value. Which is in force is read off the states, so that copies, files and other
numbers of ranks need no call; what is collective (``prepare``) happens only where ranks have met.
"""

from __future__ import annotations

import warnings
from collections import ChainMap
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from streaming_metrics.core.frozen import remembering
from streaming_metrics.core.layout import MEASURED, Slot
from streaming_metrics.core.pairs import reduce_pairs
from streaming_metrics.core.prepared import check_prepared
from streaming_metrics.core.states import Binder, States, in_order
from streaming_metrics.measures.base import NotEnoughSamples, Side, Sides
from streaming_metrics.statistics import Bank
from streaming_metrics.statistics.bank import bank_features
from streaming_metrics.statistics.base import MOST_SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from streaming_metrics.core.frozen import Remembered
    from streaming_metrics.core.layout import Layout
    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Role
    from streaming_metrics.pairwise import PairReduction
    from streaming_metrics.statistics import State

BIND_LIMIT = 1 << 30
"""Bytes of a frozen side's features that every rank may hold whole, so that measures bind."""


def fix(
    states: States,
    role: Role,
    held: Mapping[Slot, State],
    comm: Comm,
    remembered: Remembered,
    *,
    limit: int = BIND_LIMIT,
    known: Mapping[str, Tensor] | None = None,
) -> None:
    """Freeze a role and bind what can be bound to it, or bind to one that is frozen; collective, all or none.

    Args:
        states: of the metric.
        role: which.
        held: the role's states over all ranks, banks sharded.
        comm: the ranks.
        remembered: of this side.
        limit: bytes of features that a rank may hold whole.
        known: what measures had prepared of this side, by name, as far as it was saved.
    """
    n = next(int(state["n"]) for slot, state in held.items() if slot.statistic.name == "count")
    _warn_of_spread(states.layout, role, n, limit)
    binding = to_bind(states.layout, role, n, limit)
    prepared = dict(_prepared(states.layout, binding, held, role, n, comm, remembered, known or {}))
    whole, part = held, (0, 1)
    if binding:
        whole = {slot: _whole(slot, state, comm) for slot, state in held.items()}
    elif comm.world_size > 1 and any(slot.statistic.is_sharded for slot in held):
        part = comm.rank, comm.world_size
    changes: dict[str, object] = dict(prepared)
    for slot, state in whole.items():
        changes |= {states.layout.names[slot][key]: tensor for key, tensor in state.items()}
    changes[states.layout.frozen[role]] = torch.tensor([1, *part], device="cpu")
    others = replayed(states, ahead_of(states, changes))
    states.fix(role, changes, {MEASURED: others} if others else {})


def to_bind(layout: Layout, role: Role, n: int, limit: int) -> list[int]:
    """Return which measures, by their places, bind to a role of n samples: the same on every rank."""
    able = [place for place, form in enumerate(layout.bound) if form and layout.measures[place].fixed == role]
    able = [place for place in able if _is_defined(layout, place, role, n)]
    return able if _bytes_of(layout, role, n) <= limit else []


def _warn_of_spread(layout: Layout, role: Role, n: int, limit: int) -> None:
    """Warn where measures would bind to a role of n samples, were it not for the limit; at 0 nobody expects it."""
    able, size = to_bind(layout, role, n, MOST_SAMPLES), _bytes_of(layout, role, n)
    if able and limit and size > limit:
        names = ", ".join(layout.measures[place].describe() for place in able)
        warnings.warn(
            f"{names}: the {role} side's features take {size / 2**30:.1f} GiB, more than the {limit / 2**30:.1f} GiB "
            "that each rank may hold whole, so it stays spread over the ranks, and features of the generated side are "
            "kept. Remedy: bind_limit= of more bytes, or fewer samples.",
            stacklevel=5,
        )


def _bytes_of(layout: Layout, role: Role, n: int) -> int:
    """Return the bytes of a role's features, whole."""
    banks = [slot.statistic for slot in layout.slots[role] if isinstance(slot.statistic, Bank)]
    return sum(min(n, bank.capacity or n) * _bytes_a_row(bank) for bank in banks)


def _prepared(
    layout: Layout,
    binding: list[int],
    held: Mapping[Slot, State],
    role: Role,
    n: int,
    comm: Comm,
    remembered: Remembered,
    known: Mapping[str, Tensor],
) -> Iterator[tuple[str, Tensor]]:
    for place in binding:
        names = layout.prepared[place]
        if known.keys() >= set(names.values()):
            check_prepared(layout, place, known, n)
        if all(len(known.get(name, ())) for name in names.values()):
            yield from ((name, known[name]) for name in names.values())
            continue
        network = layout.places[place]
        side = side_of(role, n, network, held, comm, remembered)
        made = layout.measures[place].prepare(layout.networks[network].spec, side)
        yield from ((name, comm.broadcast(made[key].clone())) for key, name in names.items())


def side_of(role: Role, n: int, network: int, held: Mapping[Slot, State], comm: Comm, remembered: Remembered) -> Side:
    """Return what measures see of one role and network."""
    of_network = {slot.statistic: state for slot, state in held.items() if slot.network == network}
    counted = Side(role, n, of_network, comm, kept=remembered.kept.setdefault(network, {}))

    def reduce(bank: Bank, reduction: PairReduction) -> Tensor:
        with remembering({role: remembered}, network) as cache:
            return reduce_pairs(bank, [reduction], {role: counted}, comm, cache)[reduction]

    return replace(counted, reduce=reduce)  # a side that it held itself would keep its rows until garbage is collected


def ahead_of(states: States, changes: Mapping[str, object]) -> States:
    """Return the states as they will be once tensors change, and leave them as they are."""
    tensors = ChainMap(dict(changes), states.tensors)
    return States(states.layout, tensors, Binder(states.layout)(tensors))


def replayed(before: States, after: States) -> dict[Slot, State]:
    """Return what the measured side holds once measures have other forms: what was banked, streamed through them.

    Raises:
        ValueError: where samples were counted by a form that is given up: their features were not kept.
    """
    layout, streaming, old = after.layout, after.streaming(MEASURED), before.of(MEASURED)
    stale = {slot for place in _bound_anew(before, after) for slot in _slots_of_fakes(after, place)}
    if set(streaming) == set(old) and not stale & old.keys():
        return {}
    found = {slot: old[slot] for slot in streaming if slot in old and slot not in stale}
    for place in _bound_anew(before, after):
        bank = layout.bank_to_replay(place)
        assert bank is not None
        source = Slot(MEASURED, layout.places[place], bank)
        for slot in _slots_of_fakes(after, place):
            if slot not in found and source in old:
                found[slot] = _streamed(slot, bank, old[source])
    if before.count(MEASURED) and not found.keys() >= set(streaming):
        raise ValueError(
            "Generated samples were counted against a frozen side, and their features were not kept: they cannot be "
            "compared with another side. Remedy: reset() first."
        )
    live = {slot: slot for slot in streaming}
    device = old[streaming[1]]["total"].device
    left = {s: live.get(s, s).statistic.empty(device) for s in layout.slots[MEASURED] if s not in found}
    return found | left


def _bound_anew(before: States, after: States) -> list[int]:
    """Return the measures, by their places, that are bound, and were not, or to a side of other samples."""
    bound = [place for place in range(len(after.streams.forms)) if after.streams.is_bound(place)]
    return [place for place in bound if not (before.streams.is_bound(place) and _is_one_side(before, after, place))]


def _is_one_side(before: States, after: States, place: int) -> bool:
    role = after.layout.measures[place].fixed or ""
    names = [name for slot in after.streaming(role) for name in after.layout.names[slot].values()]
    names += after.layout.prepared[place].values()
    is_as_it_was = all(before.tensors[name] is after.tensors[name] for name in names)
    return is_as_it_was or before.digest(role) == after.digest(role)


def _slots_of_fakes(states: States, place: int) -> list[Slot]:
    """Return what a form of a measure keeps of the measured side, and its unbound form does not."""
    layout, network = states.layout, states.layout.places[place]
    spec = layout.networks[network].spec
    own, always = (form.statistics(spec)[MEASURED] for form in (states.streams.forms[place], layout.measures[place]))
    return [Slot(MEASURED, network, statistic) for statistic in own if statistic not in always]


def _streamed(slot: Slot, bank: Bank, source: State) -> State:
    state = slot.statistic.empty(source["rows"].device)
    for features in bank_features(bank, source):
        state = slot.statistic.update(state, features)
    return state


def _whole(slot: Slot, state: State, comm: Comm) -> State:
    """Return a state whole, a bank's rows in the order of ids."""
    if not slot.statistic.is_sharded:
        return state
    return in_order(slot, slot.statistic.replicate(state, comm))


def _is_defined(layout: Layout, place: int, role: Role, n: int) -> bool:
    """Return whether a role of n samples is large enough for a measure, however many the others have."""
    sides = {other: Side(other, n if other == role else MOST_SAMPLES, {}) for other in layout.roles}
    with suppress(KeyError):  # a measure that must look at states
        try:
            layout.measures[place].check(Sides(sides, layout.networks[layout.places[place]].spec))
        except NotEnoughSamples:
            return False
    return True


def _bytes_a_row(bank: Bank) -> int:
    return sum(column.shape[1:].numel() * column.element_size() for column in bank.empty("meta").values())
