"""Sums: base of the statistics whose state is plain sums over samples."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import torch

from streaming_metrics.statistics.base import State, Statistic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Features

Shapes: TypeAlias = Mapping[str, tuple[tuple[int, ...], torch.dtype]]
"""Shape and dtype of each tensor of a state."""


def counts_of(places: Tensor, length: int) -> Tensor:
    """Return how often each place in ``[0, length)`` comes, int64 ``(length,)``; no device is waited for, as
    ``bincount`` does.

    Example:
        >>> counts_of(torch.tensor([2, 0, 2]), 4)
        tensor([1, 0, 2, 0])
    """
    return places.new_zeros(length).scatter_add_(0, places, torch.ones_like(places))


class Sums(Statistic):
    """Sums over samples; a subclass says their shapes, and the sums over a batch.

    Example:
        >>> from dataclasses import dataclass
        >>> from streaming_metrics.features import Features
        >>> @dataclass(frozen=True)
        ... class Total(Sums):
        ...     num_features: int
        ...     column = "pool"
        ...     @property
        ...     def name(self):
        ...         return f"total_{self.num_features}"
        ...     @property
        ...     def shapes(self):
        ...         return {"total": ((self.num_features,), torch.float64)}
        ...     def sums_of(self, features):
        ...         return {"total": self.rows_of(features).double().sum(0)}
        >>> Total(2).update(Total(2).empty(), Features(pool=torch.ones(3, 2)))
        {'total': tensor([3., 3.], dtype=torch.float64)}
    """

    writes_in_place: ClassVar[bool] = False

    @property
    @abstractmethod
    def shapes(self) -> Shapes:
        """Shape and dtype of each sum: float64, or int64 for counts."""

    @abstractmethod
    def sums_of(self, features: Features) -> State:
        """Return the sums over a batch."""

    def empty(self, device: torch.device | str = "cpu") -> State:
        return {key: torch.zeros(shape, dtype=dtype, device=device) for key, (shape, dtype) in self.shapes.items()}

    def update(self, state: State, features: Features) -> State:
        return {key: state[key] + summed for key, summed in self.sums_of(features).items()}

    def merge(self, states: Sequence[State]) -> State:
        return {key: torch.stack([state[key] for state in states]).sum(0) for key in states[0]}

    def all_reduce(self, state: State, comm: Comm) -> State:
        return {key: comm.sum(summed.clone()) for key, summed in state.items()}
