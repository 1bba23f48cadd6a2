"""Incoming states: those of another metric or a file, read for this metric's layout and checked before any is taken."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from streaming_metrics.core.layout import COUNT, MEASURED, Slot
from streaming_metrics.core.prepared import check_prepared
from streaming_metrics.core.states import Binder, States
from streaming_metrics.statistics import Neighbours

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streaming_metrics.core.layout import Layout
    from streaming_metrics.features import Role

FORMER = re.compile(r"fake_neighbours_([0-9a-f]{16})_(\d+)_(open|closed)_counts_([0-9a-f]{8})")
"""Names of counts that carried a digest of the rows that they were counted against."""


def read(own: States, given: Mapping[str, Any], device: torch.device) -> tuple[States, list[Role]]:
    """Return saved states in this metric's layout, checked, and the roles that they speak of.

    Args:
        own: the metric's, which gives a frozen side that a file relies on and does not hold.
        given: tensors by name.
        device: where states live.

    Raises:
        ValueError: where a tensor is absent, of another kind, or could not have come from samples.
    """
    layout, given = own.layout, present_names(own, given)
    tensors: dict[str, Any] = dict(layout.empty(device))
    for name in (*layout.frozen.values(), *layout.torn.values()):
        if name in given:
            tensors[name] = given[name]
    _check_marks(own, tensors)
    roles = [role for role in layout.roles if any(n in given for n in names_of(own, role))]
    for role in sorted(roles, key=lambda role: role == MEASURED):  # what it streams is decided by the others
        _fill(own, role, given, tensors, device)
    states = States(layout, tensors, Binder(layout)(tensors))
    for role in roles:
        states.check(role)
    return states, roles


def same_side(own: States, other: States, role: Role, given: Mapping[str, Any]) -> bool:
    """Return whether a role is frozen in both, with the same samples as far as the file holds them, or in neither."""
    if own.is_frozen(role) != other.is_frozen(role):
        return False
    of_one = {n for n in own.prepared_names(role) if not (len(own.tensors[n]) and len(other.tensors[n]))}
    held = given.keys() - of_one  # what one has not prepared follows from the samples
    return not own.is_frozen(role) or own.digest(role, held) == other.digest(role, held)


def names_of(own: States, role: Role) -> set[str]:
    """Return the names of a role's states and of what is prepared of it, marks aside."""
    kept = {name for slot in own.layout.slots[role] for name in own.layout.names[slot].values()}
    return kept | set(own.prepared_names(role))


def _fill(own: States, role: Role, given: Mapping[str, Any], tensors: dict[str, Any], device: torch.device) -> None:
    layout = own.layout
    relies = role in layout.frozen and bool(tensors[layout.frozen[role]][0]) and own.is_frozen(role)
    streaming = {slot: slot for slot in Binder(layout)(tensors)[role].slots}
    for slot in layout.slots[role]:
        names = layout.names[slot]
        absent = sorted(set(names.values()) - given.keys())
        if not absent:
            tensors.update(_moved(slot, {key: given[name] for key, name in names.items()}, names, device))
        elif len(absent) < len(names) or not (relies or slot not in streaming or set(absent) <= layout.optional):
            raise ValueError(f"State {absent[0]}: expected a tensor, got none.")
        elif relies and not slot.statistic.is_optional:
            tensors.update({name: own.tensors[name] for name in names.values()})
        elif slot in streaming:
            tensors.update({names[key]: tensor for key, tensor in streaming[slot].statistic.empty(device).items()})
    _fill_prepared(own, role, given, tensors, device, relies)


def _moved(slot: Slot, state: Mapping[str, Any], names: Mapping[str, str], device: torch.device) -> dict[str, Tensor]:
    """Return a state's tensors by name, on a device."""
    for key, tensor in state.items():
        if not isinstance(tensor, Tensor):
            raise ValueError(f"State {slot.statistic.name}.{key}: expected a tensor, got {type(tensor).__name__}.")
    return {names[key]: tensor for key, tensor in slot.statistic.move(dict(state), device).items()}


def _fill_prepared(
    own: States, role: Role, given: Mapping[str, Any], tensors: dict[str, Any], device: torch.device, relies: bool
) -> None:
    names = own.prepared_names(role)
    if relies and not any(name in given for name in names) and _is_of_own(own, role, given, tensors):
        tensors.update({name: own.tensors[name] for name in names})
    tensors.update({name: given[name] for name in names if name in given})
    _check_prepared(own.layout, role, tensors)
    tensors.update({name: tensors[name].to(device) for name in names})


def _is_of_own(own: States, role: Role, given: Mapping[str, Any], tensors: dict[str, Any]) -> bool:
    """Return whether what this metric prepared of its own side serves for what was saved without it: the side is the
    same, and the measures had been bound to it, so that they kept no bank of the measured side.
    """
    layout = own.layout
    unbound = layout.slots_of(layout.measures)
    banked = [s for s in unbound if s.role == MEASURED and s.statistic.is_sharded]
    counted = [s for s in layout.slots[MEASURED] if s not in (*unbound, *layout.of_role(MEASURED, []))]
    if _any_held(layout, banked, given) and not _any_held(layout, counted, given):
        return False
    names = {name for slot in layout.slots[role] for name in layout.names[slot].values()}
    saved = States(layout, tensors, Binder(layout)(tensors))
    return own.digest(role, names) == saved.digest(role, names)


def _any_held(layout: Layout, slots: Iterable[Slot], given: Mapping[str, Any]) -> bool:
    return any(name in given for slot in slots for name in layout.names[slot].values())


def _check_prepared(layout: Layout, role: Role, tensors: Mapping[str, Any]) -> None:
    count = {key: tensors[name] for key, name in layout.names[Slot(role, 0, COUNT)].items()}
    COUNT.check(count)
    for place, measure in enumerate(layout.measures):
        names = layout.prepared[place].values()
        if measure.fixed != role or not names:
            continue
        check_prepared(layout, place, tensors, int(count["n"]))
        frozen, _, parts = tensors[layout.frozen[role]].tolist()
        if any(len(tensors[name]) for name in names) and not (frozen and parts == 1):
            raise ValueError(
                f"State {role}_prepared of {measure.describe()}: expected none, or a whole frozen {role} side, got "
                "some of a side that is not. Remedy: write it again, by freeze() and save_state()."
            )


def _check_marks(own: States, tensors: Mapping[str, Any]) -> None:
    for role, name in own.layout.frozen.items():
        flag = tensors[name]
        if isinstance(flag, Tensor) and flag.dtype == torch.int64 and flag.shape == (3,):
            frozen, rank, parts = flag.tolist()
            if frozen in (0, 1) and 0 <= rank < parts:
                continue
        raise ValueError(f"State {role}_frozen: expected int64 (0 or 1, rank, parts), got {flag!r}.")
    for name in own.layout.torn.values():
        mark = tensors[name]
        if not (isinstance(mark, Tensor) and mark.dtype == torch.int64 and mark.shape == () and int(mark) in (0, 1)):
            raise ValueError(f"State {name}: expected int64 (), 0 or 1, got {mark!r}.")


def present_names(own: States, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return tensors by the names of this version: counts in balls were named after what they are counted against."""
    renamed = dict(given)
    for name in given:
        if (former := FORMER.fullmatch(name)) and (present := _present_name(own, *former.groups())):
            renamed[present] = renamed.pop(name)
    return renamed


def _present_name(own: States, rows: str, k: str, kind: str, digest: str) -> str | None:
    for slot in own.layout.slots["fake"]:
        statistic = slot.statistic
        if not isinstance(statistic, Neighbours) or own.layout.networks[slot.network].digest != digest:
            continue
        if (str(statistic.k), statistic.strict) == (k, kind == "open"):
            live = next((s.statistic for s in own.streaming("fake") if s == slot), statistic)
            if isinstance(live, Neighbours) and live.balls is not None and _digest(live.balls.rows) == rows:
                return own.layout.names[slot]["counts"]
            raise ValueError(
                f"Expected counts in the balls of this metric's real side, got counts in those of another ({rows}). "
                "Remedy: reference= of the file that they were counted against."
            )
    return None


def _digest(rows: Tensor) -> str:
    return hashlib.sha256(rows.cpu().contiguous().numpy().data).hexdigest()[:16]
