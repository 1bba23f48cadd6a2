"""Layout of a metric's states: which there are, of which role, network and statistic, and their names.

All forms of all measures are laid out when the metric is made, and nothing is added later: torchmetrics copies, saves
and compares metrics by the names of their states. What streams at a time is decided by what the states hold.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from streaming_metrics.core.networks import Network, network_of
from streaming_metrics.features import SAMPLE_COLUMNS, Role
from streaming_metrics.statistics import Bank, Count, Distinct, Statistic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from streaming_metrics.core.inputs import Needs
    from streaming_metrics.measures.base import Measure

COUNT, DISTINCT = Count(), Distinct()
ALWAYS = ("real", "fake")
"""Roles that every metric has."""
MEASURED = "fake"
"""The role that is measured against the others, and never frozen."""


class Slot(NamedTuple):
    """Where a state is: of a role, of a network by its place, of a statistic."""

    role: Role
    network: int
    statistic: Statistic


@dataclass(frozen=True)
class Stream:
    """What an update of one role writes.

    Args:
        slots: the states.
        needs: of each network, the columns that are read, and whether they are rounded to float32.
    """

    slots: tuple[Slot, ...]
    needs: tuple[Needs, ...]


@dataclass(frozen=True)
class Streams:
    """The measures as they are at a time, bound or not, and what an update of each role then writes.

    Args:
        layout: of the metric.
        forms: of the measures, in their order.
    """

    layout: Layout
    forms: tuple[Measure, ...]

    @cached_property
    def _by_role(self) -> Mapping[Role, Stream]:
        return {role: self._stream(role) for role in self.layout.roles}

    def __getitem__(self, role: Role) -> Stream:
        return self._by_role[role]

    def is_bound(self, place: int) -> bool:
        """Return whether a measure, by its place, is bound."""
        return self.forms[place] is not self.layout.measures[place]

    def _stream(self, role: Role) -> Stream:
        slots = self.layout.of_role(role, self.layout.slots_of(self.forms))
        of_each = [[s.statistic for s in slots if s.network == n] for n in range(len(self.layout.networks))]
        return Stream(slots, tuple(map(_needs, of_each)))


@dataclass(frozen=True)
class Layout:
    """Which states a metric has.

    Args:
        measures: unbound.
        networks: in their order; the counts and marks of roles carry the first one's digest.
    """

    measures: tuple[Measure, ...]
    networks: tuple[Network, ...]

    @cached_property
    def places(self) -> tuple[int, ...]:
        """The network that each measure reads, by its place."""
        return tuple(network_of(self.networks, measure) for measure in self.measures)

    def check_banks(self) -> None:
        """Raise ValueError where a measure compares rows that it does not keep, before a sample is read."""
        for measure, place in zip(self.measures, self.places):
            measure.bank(self.networks[place].spec)

    @cached_property
    def bound(self) -> tuple[Measure | None, ...]:
        """The form that each measure can bind to, without data; None where it cannot."""
        return tuple(self._bound(measure, place) for measure, place in zip(self.measures, self.places))

    @cached_property
    def roles(self) -> tuple[Role, ...]:
        """Roles that samples come in."""
        asked = (role for slot in self.slots_of(self.measures) for role in (slot.role,))
        return tuple(dict.fromkeys((*ALWAYS, *asked)))

    @cached_property
    def slots(self) -> Mapping[Role, tuple[Slot, ...]]:
        """All states of each role, whichever forms the measures have."""
        of_all = [*self.slots_of(self.measures), *self.slots_of(self._bound_where_possible)]
        return {role: self.of_role(role, of_all) for role in self.roles}

    @cached_property
    def names(self) -> Mapping[Slot, Mapping[str, str]]:
        """The name of each tensor of each state."""
        return {
            slot: {key: self._name(slot, key) for key in slot.statistic.empty("meta")}
            for slots in self.slots.values()
            for slot in slots
        }

    @cached_property
    def prepared(self) -> tuple[Mapping[str, str], ...]:
        """The names of what each measure prepares of its fixed side."""
        return tuple(
            {} if form is None else {key: self._prepared_name(place, key) for key in self._prepares(place)}
            for place, form in enumerate(self.bound)
        )

    @cached_property
    def torn(self) -> Mapping[Role, str]:
        """The name of each role's mark that an update was interrupted amid its writing."""
        return {role: f"{role}_torn_{self.digest}" for role in self.roles}

    @cached_property
    def frozen(self) -> Mapping[Role, str]:
        """The name of each role's flag: whether it is frozen, and which part of how many is here."""
        return {role: f"{role}_frozen_{self.digest}" for role in self.roles if role != MEASURED}

    @cached_property
    def optional(self) -> frozenset[str]:
        """Names that what was saved may lack: then they are taken as empty."""
        in_one_form = {*self.slots_of(self.measures)} ^ {*self.slots_of(self._bound_where_possible)}
        slots = {slot for slot in self.names if slot.statistic.is_optional} | in_one_form
        names = {name for slot in slots for name in self.names[slot].values()}
        later = {name for role, name in self.frozen.items() if role not in ALWAYS}
        return frozenset({*names, *later, *self.torn.values(), *(n for p in self.prepared for n in p.values())})

    @property
    def digest(self) -> str:
        """That of the first network."""
        return self.networks[0].digest

    def readers(self, role: Role, column: str | None = None) -> tuple[Measure, ...]:
        """Return the measures that read samples of a role, or a column of them; captions, by way of a network too."""
        return tuple(
            measure
            for measure, place in zip(self.measures, self.places)
            for statistics in [measure.statistics(self.networks[place].spec).get(role, ())]
            for wanted in [{column} | self._made_of(column, place)]
            if any(column is None or not wanted.isdisjoint(statistic.columns) for statistic in statistics)
        )

    def _made_of(self, column: str | None, place: int) -> set[str]:
        """Return the columns that a network makes of a column of samples: of captions, if it reads these."""
        extractor = self.networks[place].extractor
        return set(extractor.of_captions) if extractor is not None and column == "captions" else set()

    def empty(self, device: torch.device) -> Iterator[tuple[str, Tensor]]:
        """Yield every state's name and the tensor of no samples."""
        for slot, names in self.names.items():
            for key, tensor in slot.statistic.empty(device).items():
                yield names[key], tensor
        for place, names in enumerate(self.prepared):
            for key, name in names.items():
                yield name, self._prepares(place)[key].to(device)
        for name in self.frozen.values():
            yield name, torch.tensor(NOT_FROZEN, device="cpu")
        for name in self.torn.values():
            yield name, torch.tensor(0, device="cpu")

    def bank_to_replay(self, place: int) -> Bank | None:
        """Return the bank of the measured side whose rows a measure's bound form takes when it binds."""
        spec = self.networks[self.places[place]].spec
        kept = self.measures[place].statistics(spec).get(MEASURED, ())
        return next((statistic for statistic in kept if isinstance(statistic, Bank)), None)

    @cached_property
    def _bound_where_possible(self) -> tuple[Measure, ...]:
        return tuple(form or measure for form, measure in zip(self.bound, self.measures))

    def _bound(self, measure: Measure, place: int) -> Measure | None:
        spec = self.networks[place].spec
        if measure.fixed is None:
            return None
        form = measure.bind(spec, None, {})
        return form if form is not measure and self._replays(measure, form, place) else None

    def _replays(self, measure: Measure, form: Measure, place: int) -> bool:
        """Return whether a bound form reads only what the unbound one keeps."""
        spec = self.networks[place].spec
        banks = [s for s in measure.statistics(spec).get(MEASURED, ()) if isinstance(s, Bank)]
        held = {column for bank in banks for column in (*bank.columns, "index")}
        read = {column for s in form.statistics(spec).get(MEASURED, ()) for column in s.columns}
        return read <= held and all(bank.capacity is None for bank in banks)

    def _prepares(self, place: int) -> Mapping[str, Tensor]:
        return self.measures[place].prepares(self.networks[self.places[place]].spec)

    def slots_of(self, forms: Iterable[Measure]) -> list[Slot]:
        return [
            Slot(role, place, statistic)
            for form, place in zip(forms, self.places)
            for role, statistics in form.statistics(self.networks[place].spec).items()
            for statistic in statistics
        ]

    def of_role(self, role: Role, slots: Sequence[Slot]) -> tuple[Slot, ...]:
        always = (Slot(role, 0, COUNT), Slot(role, 0, DISTINCT))
        return tuple(dict.fromkeys((*always, *(slot for slot in slots if slot.role == role))))

    def _name(self, slot: Slot, key: str) -> str:
        if not slot.statistic.name.isidentifier():
            raise ValueError(
                f"{type(slot.statistic).__name__}.name: expected an identifier, got {slot.statistic.name!r}. Remedy: "
                "letters, digits and _, every parameter in it; statistics.base.in_name writes a number so."
            )
        return f"{slot.role}_{slot.statistic.name}_{key}_{self.networks[slot.network].digest}"

    def _prepared_name(self, place: int, key: str) -> str:
        measure = self.measures[place]
        described = hashlib.sha256(measure.describe().encode()).hexdigest()[:8]
        label = re.sub(r"\W", "_", measure.label)
        return f"{measure.fixed}_prepared_{label}_{described}_{key}_{self.networks[self.places[place]].digest}"


NOT_FROZEN = [0, 0, 1]
"""A flag: is it frozen, which part is here, of how many."""


def _needs(statistics: Iterable[Statistic]) -> Needs:
    needs: dict[str, bool] = {}
    for statistic in statistics:
        for column in statistic.columns:
            is_rounded = statistic.rounds and column not in SAMPLE_COLUMNS
            needs[column] = needs.get(column, False) or is_rounded
    return needs
