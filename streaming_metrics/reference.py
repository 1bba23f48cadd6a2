"""A real side on disk: safetensors, never a pickle; refused where the features are not the same."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from streaming_metrics.signature import library_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.statistics import State, Statistic

FORMAT = "streaming-metrics reference 1"


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
        """Write a safetensors file; a file that was there is replaced only once the new one is whole."""
        path = Path(path)
        tensors = {
            f"{name}/{key}": t.cpu().contiguous() for name, state in self.states.items() for key, t in state.items()
        }
        metadata = {"format": FORMAT, "fingerprint": self.fingerprint, "version": library_version()}
        partial = path.with_name(path.name + ".partial")
        save_file(tensors, partial, metadata={"streaming_metrics": json.dumps(metadata)})
        partial.replace(path)

    @classmethod
    def load(cls, path: str | Path) -> Reference:
        """Read what :meth:`save` wrote.

        Raises:
            FileNotFoundError: where there is no such file.
            ValueError: where it is not such a file.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"reference: expected a file written by save_reference(), found none at {path}.")
        try:
            with safe_open(path, framework="pt") as file:
                metadata = json.loads((file.metadata() or {}).get("streaming_metrics", "{}"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, ValueError) as error:
            raise ValueError(
                f"reference {path}: expected a safetensors file, got one that does not read: {error}."
            ) from error
        if metadata.get("format") != FORMAT:
            raise ValueError(f"reference {path}: expected {FORMAT!r}, got {metadata.get('format')!r}.")
        states: dict[str, State] = {}
        for name, tensor in tensors.items():
            statistic, _, key = name.partition("/")
            states.setdefault(statistic, {})[key] = tensor
        return cls(metadata["fingerprint"], states)

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
