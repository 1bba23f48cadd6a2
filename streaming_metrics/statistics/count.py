"""How many samples a role has seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from streaming_metrics.statistics.base import MOST_SAMPLES, State, Statistic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Features


@dataclass(frozen=True)
class Count(Statistic):
    """Number of samples: ``n () int64``, on the CPU, so that no device is waited for.

    Example:
        >>> import torch
        >>> from streaming_metrics.features import Features
        >>> Count().update(Count().empty(), Features(pool=torch.zeros(3, 2)))
        {'n': tensor(3)}
    """

    writes_in_place: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return "count"

    def empty(self, device: torch.device | str = "cpu") -> State:  # noqa: ARG002
        return {"n": torch.zeros((), dtype=torch.int64, device="cpu")}

    def move(self, state: State, device: torch.device) -> State:  # noqa: ARG002
        return {"n": state["n"].cpu()}

    def update(self, state: State, features: Features) -> State:
        return {"n": state["n"] + len(features)}

    def merge(self, states: Sequence[State]) -> State:
        return {"n": torch.stack([state["n"] for state in states]).sum()}

    def check(self, state: State) -> None:
        super().check(state)
        self._expect(0 <= int(state["n"]) <= MOST_SAMPLES, f"a number of samples, got {int(state['n'])}")

    def bounds(self, state: State) -> tuple[float, float]:
        return int(state["n"]), int(state["n"])

    def all_reduce(self, state: State, comm: Comm) -> State:
        return {"n": comm.sum(state["n"].clone())}
