"""A real side on disk; refused where the features are not the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streaming_metrics.state_file import read_tensors, write_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from streaming_metrics.statistics import State, Statistic

KIND = "streaming-metrics reference 1"


@dataclass(frozen=True)
class Reference:
    """The real side of a metric.

    Args:
        fingerprint: of the features that it was made of.
        states: by the name of each statistic.
    """

    fingerprint: str
    states: Mapping[str, State]

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, whole or not at all."""
        tensors = {f"{name}/{key}": tensor for name, state in self.states.items() for key, tensor in state.items()}
        write_tensors(path, tensors, KIND, self.fingerprint)

    @classmethod
    def load(cls, path: str | Path) -> Reference:
        """Read what :meth:`save` wrote.

        Raises:
            FileNotFoundError: where there is no such file.
            ValueError: where it is not such a file, or damaged.
        """
        tensors, fingerprint = read_tensors(path, KIND)
        states: dict[str, State] = {}
        for name, tensor in tensors.items():
            statistic, _, key = name.partition("/")
            states.setdefault(statistic, {})[key] = tensor
        return cls(fingerprint, states)

    def check_fingerprint(self, expected: str) -> None:
        """Raise ValueError where the features differ from the metric's."""
        if self.fingerprint != expected:
            raise ValueError(
                f"reference: expected features of {expected!r}, got features of {self.fingerprint!r}. "
                "Remedy: make the reference again with this extractor, weights and resize, or take its own."
            )

    def state_of(self, statistic: Statistic) -> State:
        """Return the state of a statistic, checked.

        Raises:
            ValueError: where the reference does not hold it.
        """
        if statistic.name not in self.states:
            raise ValueError(
                f"reference: expected the statistic {statistic.name!r}, got {sorted(self.states)}. "
                "Remedy: save it from a metric with the same measures."
            )
        state = self.states[statistic.name]
        statistic.check(state)
        return state
