"""Count: the number of samples that a role has seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from streaming_metrics.statistics.base import MOST_SAMPLES, State
from streaming_metrics.statistics.sums import Shapes, Sums

if TYPE_CHECKING:
    from streaming_metrics.features import Features


@dataclass(frozen=True)
class Count(Sums):
    """Number of samples: ``n () int64``, on the CPU, so that no device is waited for.

    Example:
        >>> import torch
        >>> from streaming_metrics.features import Features
        >>> Count().update(Count().empty(), Features(pool=torch.zeros(3, 2)))
        {'n': tensor(3)}
    """

    @property
    def name(self) -> str:
        return "count"

    @property
    def shapes(self) -> Shapes:
        return {"n": ((), torch.int64)}

    def empty(self, device: torch.device | str = "cpu") -> State:  # noqa: ARG002
        return super().empty("cpu")

    def move(self, state: State, device: torch.device) -> State:  # noqa: ARG002
        return super().move(state, torch.device("cpu"))

    def sums_of(self, features: Features) -> State:
        return {"n": torch.tensor(len(features), device="cpu")}

    def check(self, state: State) -> None:
        super().check(state)
        self._expect(0 <= int(state["n"]) <= MOST_SAMPLES, f"a number of samples, got {int(state['n'])}")

    def bounds(self, state: State) -> tuple[float, float]:
        return int(state["n"]), int(state["n"])
