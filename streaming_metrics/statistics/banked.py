"""Banked: statistics that keep a few numbers made of each sample's features, and its index, as a bank does."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from streaming_metrics.statistics.base import State, Statistic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from torch import Tensor

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Features
    from streaming_metrics.statistics.bank import Bank


class Banked(Statistic):
    """Statistic over a :class:`Bank` of what :meth:`made_of` makes of rows; sharded over ranks as that is.

    It is no bank itself, since distances between what it keeps are not those of features.
    """

    is_sharded: ClassVar[bool] = True
    rounds: ClassVar[bool] = True

    @property
    @abstractmethod
    def bank(self) -> Bank:
        """What keeps the numbers."""

    @abstractmethod
    def made_of(self, rows: Tensor) -> Tensor:
        """Return what is kept of ``rows (N, D)``, a row each."""

    def empty(self, device: torch.device | str = "cpu") -> State:
        return self.bank.empty(device)

    def update(self, state: State, features: Features) -> State:
        return self.staged(state, features)()

    def staged(self, state: State, features: Features) -> Callable[[], State]:
        return self.bank.staged(state, features.having(pool=self.made_of(self.rows_of(features))))

    def merge(self, states: Sequence[State]) -> State:
        return self.bank.merge(states)

    def all_reduce(self, state: State, comm: Comm) -> State:
        return self.bank.all_reduce(state, comm)

    def replicate(self, state: State, comm: Comm) -> State:
        return self.bank.replicate(state, comm)

    def share(self, state: State, rank: int, world_size: int) -> State:
        return self.bank.share(state, rank, world_size)

    def check(self, state: State) -> None:
        self.bank.check(state)

    def bounds(self, state: State) -> tuple[float, float]:
        return self.bank.bounds(state)
