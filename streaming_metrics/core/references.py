"""References of a metric: saved sides, matched to its networks by their fingerprints, and written from its states."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from streaming_metrics.core.binding import replayed
from streaming_metrics.core.layout import COUNT, DISTINCT, MEASURED, Layout, Slot, Streams
from streaming_metrics.core.states import States
from streaming_metrics.files.npz import UNKNOWN
from streaming_metrics.files.reference import Reference, ReferenceOptions, radii_of_banks
from streaming_metrics.pairwise import Radii
from streaming_metrics.statistics import Bank

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.features import Role
    from streaming_metrics.statistics import State

OneReference: TypeAlias = "str | Path | Reference"
References: TypeAlias = "OneReference | Iterable[OneReference] | Mapping[Role, OneReference | Iterable[OneReference]]"
"""What users may give as ``reference=``: one file, or one of each network; of other roles than the real one by role."""


@dataclass
class SavedSide:
    """A role as files hold it.

    Args:
        held: its states.
        prepared: what measures had prepared of it, by name.
        reduced: results of reductions over it, by network.
    """

    held: dict[Slot, State]
    prepared: dict[str, Tensor] = field(default_factory=dict)
    reduced: dict[int, dict[Any, Tensor]] = field(default_factory=dict)


def by_role(given: References | None) -> dict[Role, list[Reference]]:
    """Return the references of each role, read."""
    if given is None:
        return {}
    sides = given if isinstance(given, Mapping) else {"real": given}
    return {str(role): [_read(one) for one in _several(files)] for role, files in sides.items()}


def saved_side(layout: Layout, role: Role, references: list[Reference]) -> SavedSide:
    """Return a role as references hold it.

    Raises:
        ValueError: where a reference is of none of the networks, or does not hold what the measures need.
    """
    if role not in layout.frozen:
        raise ValueError(
            f"reference: expected roles among {sorted(layout.frozen)}, got {role!r}, which no "
            "measure here reads. Remedy: leave it out, or a measure that asks for it."
        )
    if not references:
        raise ValueError(f"reference: expected a file of the {role} side, or one of each network, got none.")
    matched = match(layout, references)
    first = next(iter(matched.values()))
    slots = layout.of_role(role, layout.slots_of(layout.measures))
    held: dict[Slot, State] = {}
    for slot in slots:
        source = first if slot.statistic in (COUNT, DISTINCT) else matched.get(slot.network)
        if source is None:
            network = layout.networks[slot.network]
            raise ValueError(
                f"reference: expected one of each network, got none of {network.fingerprint!r}. Remedy: reference=[…] "
                f"with a file of each, which save_reference(…, on={network.name!r}) writes."
            )
        held[slot] = source.state_of(slot.statistic)
    sizes = {reference.num_samples for reference in matched.values()}
    if len(sizes) > 1:
        raise ValueError(f"reference: expected files of the same samples, got {sorted(sizes)} samples.")
    _check_same_images(matched.values())
    prepared = {name: tensor for reference in matched.values() for name, tensor in reference.prepared.items()}
    return SavedSide(held, prepared, {place: dict(_radii(layout, role, place, one)) for place, one in matched.items()})


def saved_as_generated(states: States, references: list[Reference], held: int) -> dict[Slot, State]:
    """Return what references hold, as the states of generated samples; ``held`` is how many there are already.

    Raises:
        ValueError: where one is of other features, or does not hold what the measures need.
    """
    layout, device = states.layout, torch.device("cpu")
    slots = layout.of_role(MEASURED, layout.slots_of(layout.measures))
    matched = match(layout, references)
    first = next(iter(matched.values()))
    sources = {s: first if s.statistic in (COUNT, DISTINCT) else matched.get(s.network) for s in slots}
    absent = [
        s.statistic.name
        for s, source in sources.items()
        if not s.statistic.is_optional and (source is None or s.statistic.name not in source.states)
    ]
    if absent:
        raise ValueError(
            f"merge_reference(): the reference, which keeps what measures need of real samples, has no {absent}. "
            "Remedy: give the generated images, or leave out the measures (IS) that look at them alone."
        )
    if first.num_samples == UNKNOWN and held:
        raise ValueError(
            "merge_reference(): moments of an unknown number of samples cannot be added to others. "
            "Remedy: reset() first, or save_reference() from the images."
        )
    given = States(layout, dict(layout.empty(device)), Streams(layout, layout.measures))
    given.replace({MEASURED: {s: source.state_of(s.statistic) for s, source in sources.items() if source is not None}})
    found = replayed(given, states) or given.of(MEASURED)
    return {slot: found[slot] for slot in states.streaming(MEASURED)}


def match(layout: Layout, references: list[Reference]) -> dict[int, Reference]:
    """Return the reference of each network, by its place.

    Raises:
        ValueError: where one is of none of them.
    """
    prints = [network.fingerprint for network in layout.networks]
    matched: dict[int, Reference] = {}
    for reference in references:
        place = prints.index(reference.fingerprint) if reference.fingerprint in prints else 0
        reference.check_fingerprint(prints[place] if reference.fingerprint in prints else " or ".join(prints))
        if place in matched:
            raise ValueError(f"reference: expected one file of each network, got two of {prints[place]!r}.")
        matched[place] = reference
    return matched


def neighbours_of(layout: Layout, role: Role) -> list[int]:
    """Return the k of every radius that measures need around a role's samples."""
    needed = [
        need
        for measure, place in zip(layout.measures, layout.places)
        for reduction in measure.reductions(layout.networks[place].spec)
        for need in (*reduction.requires, reduction)
    ]
    return sorted({need.k for need in needed if isinstance(need, Radii) and need.role == role})


def reference_of(
    layout: Layout,
    network: int,
    whole: Mapping[Slot, State],
    prepared: Mapping[str, Tensor],
    options: ReferenceOptions,
    about: Mapping[str, Any],
) -> Reference:
    """Return a role's states of one network as a reference.

    Args:
        layout: of the metric.
        network: its place.
        whole: states that are whole.
        prepared: what measures prepared of the side, by name.
        options: what is kept of banks.
        about: what else the file says.
    """
    role = next(iter(whole)).role
    mine = [
        (slot.statistic, state)
        for slot, state in whole.items()
        if slot.network == network or slot.statistic in (COUNT, DISTINCT)
    ]
    kept = [pair for statistic, state in mine if (pair := options(statistic, state))]
    radii = radii_of_banks(kept, neighbours_of(layout, role))
    names = {n for place, p in zip(layout.places, layout.prepared) if place == network for n in p.values()}
    is_as_it_was = options.bank and options.capacity is None and not options.half
    saved = {name: tensor for name, tensor in prepared.items() if name in names} if is_as_it_was else {}
    states = {statistic.name: state for statistic, state in kept}
    return Reference(layout.networks[network].fingerprint, states, radii, dict(about), saved)


def _check_same_images(references: Iterable[Reference]) -> None:
    """Raise ValueError where files of several networks, as many samples each, are of different images.

    Sketches tell, where pixels were hashed; those of given features are of one network's rows.
    """
    of_images = [reference for reference in references if "name" in reference.about.get("extractor", {})]
    sketches = [sketch for one in of_images if DISTINCT.read(sketch := one.state_of(DISTINCT)).num_samples]
    for sketch in sketches[1:]:
        if not all(sketch[key].equal(sketches[0][key]) for key in ("keys", "counts")):
            raise ValueError(
                "reference: expected files of the same images, got files of different ones. Remedy: save both from one "
                "metric of several networks, with save_reference(on=…)."
            )


def _radii(layout: Layout, role: Role, network: int, reference: Reference) -> Iterable[tuple[Any, Tensor]]:
    for slot in layout.slots[role]:
        if slot.network == network and isinstance(slot.statistic, Bank) and slot.statistic.name in reference.states:
            for k in neighbours_of(layout, role):
                if (squared := reference.radii_of(slot.statistic, k)) is not None:
                    yield (slot.statistic, Radii(role, k), ()), squared


def _several(files: Any) -> list[Any]:
    return [files] if isinstance(files, (str, Path, Reference)) else list(files)


def _read(one: OneReference) -> Reference:
    return one if isinstance(one, Reference) else Reference.load(one)


def num_samples_of(n: int) -> int | None:
    """Return a number of samples as a file says it; None where it is not known."""
    return None if n >= UNKNOWN else n
