"""Incoming states: those of another metric or a file, read for this metric's layout and checked before any is taken."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from streaming_metrics.core.states import Binder, States
from streaming_metrics.statistics import Neighbours

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.core.layout import Slot
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
    for role in roles:
        _fill(own, role, given, tensors, device)
    states = States(layout, tensors, Binder(layout)(tensors))
    for role in roles:
        states.check(role)
    return states, roles


def same_side(own: States, other: States, role: Role, given: Mapping[str, Any]) -> bool:
    """Return whether a role is frozen in both, with the same tensors as far as the file holds them, or in neither."""
    if own.is_frozen(role) != other.is_frozen(role):
        return False
    return not own.is_frozen(role) or own.digest(role, given) == other.digest(role, given)


def names_of(own: States, role: Role) -> set[str]:
    """Return the names of a role's states and of what is prepared of it, marks aside."""
    kept = {name for slot in own.layout.slots[role] for name in own.layout.names[slot].values()}
    return kept | set(own.prepared_names(role))


def _fill(own: States, role: Role, given: Mapping[str, Any], tensors: dict[str, Any], device: torch.device) -> None:
    relies = role in own.layout.frozen and bool(tensors[own.layout.frozen[role]][0]) and own.is_frozen(role)
    for slot in own.layout.slots[role]:
        names = own.layout.names[slot]
        absent = sorted(set(names.values()) - given.keys())
        if len(absent) == len(names) and relies and not slot.statistic.is_optional:
            tensors.update({name: own.tensors[name] for name in names.values()})
        elif absent and not (len(absent) == len(names) and set(absent) <= own.layout.optional):
            raise ValueError(f"State {absent[0]}: expected a tensor, got none.")
        elif not absent:
            tensors.update(_moved(slot, {key: given[name] for key, name in names.items()}, names, device))
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
    models = dict(own.layout.empty(torch.device("meta")))
    for name in own.prepared_names(role):
        if name not in given:
            if relies and not any(other in given for other in own.prepared_names(role)):
                tensors[name] = own.tensors[name]
            continue
        tensor, model = given[name], models[name]
        if (
            not isinstance(tensor, Tensor)
            or tensor.dtype != model.dtype
            or tensor.shape[1:] != model.shape[1:]
            or not tensor.isfinite().all()
        ):
            raise ValueError(
                f"State {name}: expected finite {model.dtype} (N, {list(model.shape[1:])}), got {tensor!r}."
            )
        tensors[name] = tensor.to(device)


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
