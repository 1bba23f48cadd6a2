"""Probe hits: how many samples a fixed classifier puts into the class that their label says."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer
from streaming_metrics.statistics.bank import check_labels
from streaming_metrics.statistics.sums import Shapes, Sums

if TYPE_CHECKING:
    from streaming_metrics.features import Features
    from streaming_metrics.statistics.base import State
    from streaming_metrics.statistics.linear_probe import LinearProbe


@dataclass(frozen=True)
class ProbeHits(Sums):
    """Numbers of samples that have passed, and of those whose label a probe predicts.

    The state is ``counts (2,) int64``: samples, and those predicted right.

    Args:
        num_features: D.
        labels: L, with ``Features.labels`` in [0, L).
        kind: how the probe was trained; it tells probes of one side apart.
        probe: the same on every rank; None before there is one, when there are no counts.

    Example:
        >>> from streaming_metrics.features import Features
        >>> from streaming_metrics.statistics.linear_probe import LinearProbe
        >>> weights, bias = torch.tensor([[-1.0], [1.0]]).double(), torch.zeros(2).double()
        >>> hits = ProbeHits(1, labels=2, probe=LinearProbe(weights, bias, torch.tensor([True, True])))
        >>> features = Features(pool=torch.tensor([[-3.0], [1.0], [2.0]]), labels=torch.tensor([0, 0, 1]))
        >>> hits.update(hits.empty(), features)
        {'counts': tensor([3, 2])}
    """

    num_features: int
    labels: int
    kind: str = "lda"
    probe: LinearProbe | None = field(default=None, compare=False, repr=False)

    column = "pool"
    rounds: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_integer("num_features", self.num_features, least=1)
        check_integer("labels", self.labels, least=1)

    @property
    def name(self) -> str:
        return f"probe_hits_{self.num_features}_{self.labels}_{self.kind}"

    @property
    def columns(self) -> tuple[str, ...]:
        return self.column, "labels"

    @property
    def shapes(self) -> Shapes:
        return {"counts": ((2,), torch.int64)}

    def sums_of(self, features: Features) -> State:
        assert self.probe is not None
        labels = check_labels(features.labels, len(features), self.labels)
        is_right = self.probe.predicted(self.rows_of(features).float()) == labels
        return {"counts": torch.stack([torch.ones_like(labels).sum(), is_right.sum()])}

    def check(self, state: State) -> None:
        super().check(state)
        samples, hits = state["counts"].tolist()
        self._expect(0 <= hits <= samples, "no more hits than samples")

    def bounds(self, state: State) -> tuple[float, float]:
        samples = float(state["counts"][0])
        return (samples, samples) if self.probe is not None else (0, inf)

    def share_of(self, state: State) -> Tensor:
        """Return the share of samples that are predicted right, float64 ``()``."""
        samples, hits = state["counts"].double()
        return hits / samples
