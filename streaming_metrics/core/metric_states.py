"""States of torchmetrics' metrics over ranks: gathered at once, and merged as each metric says.

torchmetrics' own synchronisation is one collective for each element of a list, and hangs where ranks hold lists of
other lengths: where one had a batch more than another, or none.
"""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from streaming_metrics.distributed.comm import Comm

    State = dict[str, Any]
    """How often a metric was updated, under ``"updates"``, and its tensors and lists of tensors by name."""


def state_of(metric: Any) -> State:
    """Return the state of a metric, without those of metrics inside of it."""
    kept = {name: _detached(value) for name, value in metric.metric_state.items()}
    return {"updates": metric._update_count, "kept": kept}


def gathered(own: Sequence[State], comm: Comm, device: torch.device) -> list[list[State]]:
    """Return the states of every rank, in the order of ranks; collective, twice whatever they hold.

    Args:
        own: of this rank; none where it has nothing to say.
        comm: the ranks.
        device: where to have them.
    """
    if comm.world_size == 1:
        return [list(own)]
    stream = io.BytesIO()
    torch.save(list(own), stream)
    mine = torch.frombuffer(bytearray(stream.getvalue()), dtype=torch.uint8)
    counts = comm.counts(len(mine))
    parts = comm.gather(mine, counts).split(counts)
    return [torch.load(io.BytesIO(part.numpy().tobytes()), device, weights_only=True) for part in parts]


def merged(metric: Any, states: Sequence[State]) -> State:
    """Return one state of several ranks' by the reductions that a metric was made with."""
    if len(states) == 1:
        return states[0]
    reductions: Mapping[str, Any] = metric._reductions
    kept = {name: _reduced([state["kept"][name] for state in states], reductions[name]) for name in reductions}
    return {"updates": sum(state["updates"] for state in states), "kept": kept}


@contextmanager
def holding(metrics: Sequence[Any], states: Sequence[State]) -> Iterator[None]:
    """Let metrics hold other states while inside."""
    own = [(dict(metric.metric_state), metric._update_count) for metric in metrics]
    try:
        for metric, state in zip(metrics, states):
            set_state(metric, state)
        yield
    finally:
        for metric, (kept, updates) in zip(metrics, own):
            _set(metric, kept, updates)


def set_state(metric: Any, state: State) -> None:
    """Have a metric hold a state."""
    _set(metric, state["kept"], state["updates"])


def _set(metric: Any, kept: Mapping[str, Any], updates: int) -> None:
    for name, value in kept.items():
        setattr(metric, name, value)
    metric._update_count, metric._computed = updates, None


def _reduced(values: Sequence[Any], reduction: Any) -> Any:
    if isinstance(values[0], Tensor):
        stacked = torch.stack(list(values))
        return stacked if reduction is None else reduction(stacked)
    listed = [tensor for value in values for tensor in value]
    return reduction(listed) if reduction is not None and listed else listed


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else [one.detach() for one in value]
