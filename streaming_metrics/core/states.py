"""States: what a metric holds, by role and statistic, in tensors by name; it knows nothing of torchmetrics.

A role is torn from before the first of its tensors is written until after the last: what is interrupted in between is
known to be of no whole number of samples.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from streaming_metrics.core.layout import COUNT, MEASURED, NOT_FROZEN, Slot, Streams
from streaming_metrics.files.tensors import digest_of
from streaming_metrics.measures.base import Side
from streaming_metrics.statistics.base import check_states

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping, Sequence

    from streaming_metrics.core.layout import Layout
    from streaming_metrics.features import Features, Role
    from streaming_metrics.statistics import State

    Write: TypeAlias = tuple[Mapping[str, str], Callable[[], State]]
    """The names of a state's tensors, and what writes it."""


class Binder:
    """Binds measures to what the states hold of frozen sides, anew where these are other tensors."""

    def __init__(self, layout: Layout) -> None:
        self._layout, self._seen, self._streams = layout, (), Streams(layout, layout.measures)
        names = [(measure.fixed, names) for measure, names in zip(layout.measures, layout.prepared) if names]
        self._watched = tuple(
            name for role, prepared in names for name in (layout.frozen[role or ""], *prepared.values())
        )

    def __call__(self, tensors: Mapping[str, Any]) -> Streams:
        """Return the measures as they stream: each bound where its fixed side is frozen, whole and prepared."""
        seen = tuple(tensors.get(name) for name in self._watched)
        if len(seen) != len(self._seen) or any(a is not b for a, b in zip(seen, self._seen)):
            unbound = Streams(self._layout, self._layout.measures)
            states = States(self._layout, tensors, unbound)  # pyright: ignore[reportArgumentType]
            forms = tuple(self._form(place, states) for place in range(len(unbound.forms)))
            self._streams, self._seen = Streams(self._layout, forms), seen
        return self._streams

    def _form(self, place: int, states: States) -> Any:
        measure, prepared = self._layout.measures[place], states.prepared(place)
        role = measure.fixed
        if role is None or not prepared or not states.is_frozen(role) or states.parts(role) > 1:
            return measure
        network = self._layout.places[place]
        return measure.bind(self._layout.networks[network].spec, states.local(role, network), prepared)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_seen": (), "_streams": Streams(self._layout, self._layout.measures)}


@dataclass
class States:
    """The states of one metric, or those that were saved of one.

    Args:
        layout: which there are.
        tensors: by name; written to.
        streams: the measures as they are.
    """

    layout: Layout
    tensors: MutableMapping[str, Any]
    streams: Streams

    def count(self, role: Role) -> int:
        """Return the number of samples of a role."""
        return int(self.read(Slot(role, 0, COUNT))["n"])

    def is_frozen(self, role: Role) -> bool:
        """Return whether a role is an immutable reference."""
        return role != MEASURED and bool(self.tensors[self.layout.frozen[role]][0])

    def part(self, role: Role) -> tuple[int, int]:
        """Return which part of a frozen role is here, and of how many."""
        return (0, 1) if role == MEASURED else tuple(self.tensors[self.layout.frozen[role]][1:].tolist())

    def parts(self, role: Role) -> int:
        """Return over how many ranks a frozen role is spread; 1 where it is whole here."""
        return self.part(role)[1]

    def torn(self, roles: Iterable[Role]) -> list[Role]:
        """Return which of the roles an interrupted update has left torn."""
        return [role for role in roles if bool(self.tensors[self.layout.torn[role]])]

    def read(self, slot: Slot) -> State:
        """Return one state."""
        return {key: self.tensors[name] for key, name in self.layout.names[slot].items()}

    def of(self, role: Role) -> dict[Slot, State]:
        """Return the states of a role that stream."""
        return {slot: self.read(slot) for slot in self.streaming(role)}

    def streaming(self, role: Role) -> tuple[Slot, ...]:
        """Return the slots that an update of a role writes."""
        return self.streams[role].slots

    def prepared(self, place: int) -> dict[str, Tensor]:
        """Return what a measure has prepared of its fixed side; empty where it has not."""
        found = {key: self.tensors[name] for key, name in self.layout.prepared[place].items()}
        return found if all(len(tensor) for tensor in found.values()) else {}

    def local(self, role: Role, network: int) -> Side:
        """Return a role of one network as it is here."""
        return Side(
            role, self.count(role), {s.statistic: state for s, state in self.of(role).items() if s.network == network}
        )

    def empty(self, role: Role, device: torch.device) -> dict[Slot, State]:
        """Return the states of no samples, of all forms of the measures."""
        streaming = {slot: slot for slot in self.streaming(role)}
        return {slot: streaming.get(slot, slot).statistic.empty(device) for slot in self.layout.slots[role]}

    def staged(self, role: Role, batch: Sequence[Features]) -> list[Write]:
        """Return what is left of adding a batch to a role once all that can fail is done: the writing."""
        writes = []
        for slot in self.streams[role].slots:
            names = self.layout.names[slot]
            state = {key: self.tensors[name] for key, name in names.items()}
            writes.append((names, slot.statistic.staged(state, batch[slot.network])))
        return writes

    def write(self, role: Role, writes: list[Write]) -> None:
        """Add a batch that is staged, all or none, and once: it is taken from the list."""
        with self.writing(role, torn=self.torn([role])):
            staged, writes[:] = [*writes], []
            written = [(names, write()) for names, write in staged]
            for names, state in written:
                self.tensors.update({name: state[key] for key, name in names.items()})

    def replace(self, sides: Mapping[Role, Mapping[Slot, State]], torn: Sequence[Role] = ()) -> None:
        """Write several roles' states, all or none; ``torn`` roles stay so."""
        with self.writing(*sides, torn=torn):
            for states in sides.values():
                for slot, state in states.items():
                    self._put(slot, state)

    def fix(self, role: Role, changes: Mapping[str, Any], others: Mapping[Role, Mapping[Slot, State]]) -> None:
        """Freeze a role, or bind to one that is frozen, all or none.

        Args:
            role: which.
            changes: its tensors from now on, by name.
            others: what other roles hold from now on.
        """
        with self.writing(role, *others, torn=self.torn(others)):
            self.tensors.update(changes)
            for states in others.values():
                for slot, state in states.items():
                    self._put(slot, state)

    def thaw(self, role: Role, device: torch.device) -> None:
        """Forget a frozen role and what was prepared of it; local."""
        with self.writing(role):
            self.tensors[self.layout.frozen[role]] = torch.tensor(NOT_FROZEN, device="cpu")
            empty = dict(self.layout.empty(device))
            for name in self.prepared_names(role):
                self.tensors[name] = empty[name]
            for slot in self.layout.slots[role]:
                self._put(slot, slot.statistic.empty(device))

    def prepared_names(self, role: Role) -> list[str]:
        """Return the names of all that measures prepare of a role."""
        fixed = zip(self.layout.measures, self.layout.prepared)
        return [name for measure, names in fixed if measure.fixed == role for name in names.values()]

    def all_names(self, role: Role) -> set[str]:
        """Return the names of a fixed role's states, of what is prepared of it, and of its marks."""
        kept = {name for slot in self.layout.slots[role] for name in self.layout.names[slot].values()}
        return {*kept, *self.prepared_names(role), self.layout.frozen[role], self.layout.torn[role]}

    @contextmanager
    def writing(self, *roles: Role, torn: Sequence[Role] = ()) -> Iterator[None]:
        """Mark roles as torn while they are written, and after that those that are ``torn`` anyway."""
        for role in roles:
            self.tensors[self.layout.torn[role]] = torch.tensor(1, device="cpu")
        yield
        for role in roles:
            self.tensors[self.layout.torn[role]] = torch.tensor(int(role in torn), device="cpu")

    def digest(self, role: Role, held: Collection[str] | None = None) -> str:
        """Return 48 bits of a digest of a role's samples, in whatever order they are, and of what is prepared of it.

        Args:
            role: which.
            held: names of the tensors to look at; by default all.
        """
        slots = [slot for slot in self.streaming(role) if not slot.statistic.is_optional]
        kept = {self.layout.names[s][key]: t for s in slots for key, t in in_order(s, self.read(s)).items()}
        kept |= {name: self.tensors[name] for name in self.prepared_names(role)}
        return digest_of({}, {name: t.cpu() for name, t in kept.items() if held is None or name in held})[:12]

    def check(self, role: Role) -> None:
        """Raise ValueError unless a role's states could have come from the samples that it counts."""
        n, is_part = self._checked_count(role), self.parts(role) > 1
        streaming = set(self.streaming(role))
        for slot in self.layout.slots[role]:
            state = self.read(slot)
            if slot in streaming:
                live = next(s for s in self.streaming(role) if s == slot)
                check_states({live.statistic: state}, n, is_part=is_part)
            else:
                check_states({slot.statistic: state}, 0)

    def _checked_count(self, role: Role) -> int:
        COUNT.check(self.read(Slot(role, 0, COUNT)))
        return self.count(role)

    def _put(self, slot: Slot, state: State) -> None:
        for key, name in self.layout.names[slot].items():
            self.tensors[name] = state[key]


def in_order(slot: Slot, state: State) -> State:
    """Return a state, a bank's rows in the order of ids."""
    if not slot.statistic.is_sharded or bool((state["index"].diff() >= 0).all()):
        return state
    order = state["index"].argsort(stable=True)
    return {key: column[order] for key, column in state.items()}
