"""Statistic: a value whose state is a flat dict of tensors with an identity, an update and a merge."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import torch
from torch import Tensor

from streaming_metrics.features import SAMPLE_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Features

State: TypeAlias = dict[str, Tensor]
LARGEST = 1e15
"""Bound of a feature: squares of such features still add up in float32."""
MOST_SAMPLES = 1 << 53
"""Bound of a count: float64 holds it."""


class Statistic(ABC):
    """Value that says what is kept of features; subclasses are frozen dataclasses, equal when they keep the same.

    Laws, up to rounding: ``merge`` is associative and commutative, ``empty()`` is its identity, ``update(s, x)`` equals
    ``merge([s, update(empty(), x)])``, and ``all_reduce`` over ranks equals ``merge`` of their states.

    Attributes:
        column: which of a network's columns it reads; none where it is empty.
        is_sharded: whether :meth:`all_reduce` leaves each rank its own part.
        is_optional: whether what was saved may lack it, and decides nothing: it is then taken as empty.
        rounds: whether it keeps or compares samples in float32, to which wider features are rounded.
        writes_in_place: whether :meth:`update` writes into the tensors that it is given.
    """

    column: str = ""
    is_sharded: ClassVar[bool] = False
    is_optional: ClassVar[bool] = False
    rounds: ClassVar[bool] = False
    writes_in_place: ClassVar[bool] = True

    @property
    @abstractmethod
    def name(self) -> str:
        """An identifier that carries every parameter: equal names mean equal statistics."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of :class:`Features` that it reads, index and hashes aside."""
        return (self.column,) if self.column else ()

    def rows_of(self, features: Features, column: str = "") -> Tensor:
        """Return the column of ``features`` that it reads ``(N, …)``, or another one that it reads; raise ValueError
        where there is none.
        """
        column = column or self.column
        rows = features.column(column)
        if rows is None:
            raise ValueError(
                f"{self.name}: expected a column {column!r}, got {features}. Remedy: give it in every batch."
            )
        return rows

    @abstractmethod
    def empty(self, device: torch.device | str = "cpu") -> State:
        """Return the state of no samples."""

    def typical(self) -> State:
        """Return a state, without data, of the size that states have, by which tables tell it; that of :meth:`empty`,
        unless samples decide it.
        """
        return self.empty("meta")

    @abstractmethod
    def update(self, state: State, features: Features) -> State:
        """Return the state with ``features`` added; ``state`` is consumed: its tensors may be written in place."""

    def staged(self, state: State, features: Features) -> Callable[[], State]:
        """Return what is left of :meth:`update` once all that may fail is done: the writing. Until that is called, and
        where this raises, ``state`` is as it was.
        """
        if self.writes_in_place:  # it does not say when
            return partial(self.update, state, features)
        updated = self.update(state, features)
        return lambda: updated

    @abstractmethod
    def merge(self, states: Sequence[State]) -> State:
        """Return the state of all the samples of ``states``, which are left as they are."""

    @abstractmethod
    def all_reduce(self, state: State, comm: Comm) -> State:
        """Return what :meth:`merge` of all ranks' states is, or this rank's shard of it; ``state`` is left as it is."""

    def replicate(self, state: State, comm: Comm) -> State:
        """Return the merge of all ranks' states, whole on every rank."""
        return self.all_reduce(state, comm)

    def share(self, state: State, rank: int, world_size: int) -> State:  # noqa: ARG002
        """Return the part of a state, whole on every rank, that ``rank`` answers for: all of it, unless it is
        sharded.
        """
        return state

    def move(self, state: State, device: torch.device) -> State:
        """Return ``state`` on ``device``, in its own dtypes."""
        return {key: tensor.to(device) for key, tensor in state.items()}

    def check(self, state: State) -> None:
        """Raise ValueError unless ``state`` could have come from this statistic."""
        models = self.empty("meta")
        if state.keys() != models.keys():
            raise ValueError(f"State {self.name}: expected {sorted(models)}, got {sorted(state)}.")
        for key, model in models.items():
            check_like(f"{self.name}.{key}", state[key], model, ragged=self.is_sharded)
            if not state[key].isfinite().all():
                raise ValueError(f"State {self.name}.{key}: expected finite values, got NaN or infinite ones.")

    def bounds(self, state: State) -> tuple[float, float]:  # noqa: ARG002
        """Return the least and the most samples that a whole state can be of."""
        return 0, inf

    def _expect(self, holds: Any, what: str) -> None:
        """Raise ValueError unless what must hold of a state does."""
        if not holds:
            raise ValueError(
                f"State {self.name}: expected {what}. Remedy: write it again, by update() and save_state()."
            )


def check_column(column: Any) -> None:
    """Raise unless ``column`` can be the name of a network's column."""
    if not isinstance(column, str):
        raise TypeError(f"column: expected a name like 'pool', got {column!r}. Remedy: column='pool'.")
    if not column.isidentifier() or column in SAMPLE_COLUMNS:
        taken = ", ".join(SAMPLE_COLUMNS)
        raise ValueError(
            f"column: expected a network's column, got {column!r}. Remedy: an identifier like 'pool', none of {taken}."
        )


def unless(default: str, column: str) -> str:
    """Return what a statistic's name says of its column: nothing where it is the default.

    Example:
        >>> "moments_4" + unless("pool", "pool"), "moments_4" + unless("pool", "spatial")
        ('moments_4', 'moments_4_spatial')
    """
    return "" if column == default else f"_{column}"


def in_name(value: float) -> str:
    """Return a number as it may stand in a statistic's name.

    Example:
        >>> in_name(2), in_name(2.5), in_name(-1e-7)
        ('2', '2p5', 'm1em07')
    """
    return f"{value}".replace(".", "p").replace("-", "m").replace("+", "")


def check_states(states: Mapping[Statistic, State], n: int, *, is_part: bool = False) -> None:
    """Raise ValueError unless the states of one role could have come from the same ``n`` samples.

    Args:
        states: of each statistic.
        n: what the role's count says.
        is_part: whether sharded ones are one rank's share of them.
    """
    for statistic, state in states.items():
        statistic.check(state)
        least, most = statistic.bounds(state)
        if not least <= n <= (inf if is_part and statistic.is_sharded else most):
            told = f"{least:.0f}" if least == most else f"{least:.0f} or more"
            raise ValueError(
                f"State {statistic.name}: expected the {n} samples that are counted, got {told}. An update that was "
                "interrupted, or states of different runs? Remedy: update() again from the start."
            )


def check_like(name: str, tensor: Tensor, model: Tensor, *, ragged: bool = False) -> None:
    """Raise ValueError unless ``tensor`` has the dtype and shape of ``model``, its length aside where ``ragged``."""
    if not isinstance(tensor, Tensor):
        raise ValueError(f"State {name}: expected a tensor, got {type(tensor).__name__}.")
    start = 1 if ragged else 0
    if tensor.dtype != model.dtype or tensor.ndim != model.ndim or tensor.shape[start:] != model.shape[start:]:
        shape = ("N", *model.shape[1:]) if ragged else tuple(model.shape)
        raise ValueError(
            f"State {name}: expected {model.dtype} of shape {shape}, got {tensor.dtype} of shape "
            f"{tuple(tensor.shape)}. It was saved "
            "with other parameters or another version. Remedy: build the metric as it was built then."
        )


def state_device(device: torch.device | str) -> torch.device:
    """Return where states of a metric on ``device`` live: float64 is needed, which MPS lacks."""
    device = torch.device(device)
    return torch.device("cpu") if device.type == "mps" else device
