"""Samples set aside: a metric's generated samples, while it takes those of another generator against the same sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streaming_metrics.core.binding import replayed
from streaming_metrics.core.layout import MEASURED
from streaming_metrics.core.states import States

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SetAside:
    """Samples set aside: the states of generated samples, and the sides that they were streamed against; no copies, so
    that they can be put back once.

    Args:
        states: as they were; none once they are put back.
    """

    states: States


def set_aside(states: States, device: torch.device) -> SetAside:
    """Take the generated samples out of a metric's states, which then hold none; local."""
    kept = SetAside(States(states.layout, dict(_measured(states) | _fixed(states)), states.streams))
    states.replace({MEASURED: states.empty(MEASURED, device)})
    return kept


def put_back(states: States, kept: SetAside) -> None:
    """Have a metric's states hold generated samples that were set aside, in place of those they hold; local.

    Where measures have been bound to a side since, what was banked streams through their bound forms.

    Raises:
        ValueError: where samples were counted against a side that is another by now, or were put back before, since
            when the metric may have written to them.
    """
    if not kept.states.tensors:
        raise ValueError(
            "put_back(): expected samples that are set aside, got some that were put back before. Remedy: set_aside() "
            "again, which returns them anew."
        )
    ahead = States(states.layout, {**states.tensors, **_measured(kept.states)}, states.streams)
    found = replayed(kept.states, ahead) or {slot: kept.states.read(slot) for slot in states.layout.slots[MEASURED]}
    states.replace({MEASURED: found})
    kept.states.tensors.clear()


def _measured(states: States) -> dict[str, torch.Tensor]:
    names = (name for slot in states.layout.slots[MEASURED] for name in states.layout.names[slot].values())
    return {name: states.tensors[name] for name in names}


def _fixed(states: States) -> dict[str, torch.Tensor]:
    """Return the marks of the sides, and what is frozen of them: by these it is known whether measures are bound."""
    marks = {*states.layout.frozen.values(), *states.layout.torn.values()}
    frozen = (role for role in states.layout.frozen if states.is_frozen(role))
    names = marks.union(*(states.all_names(role) for role in frozen))
    return {name: states.tensors[name] for name in names}
