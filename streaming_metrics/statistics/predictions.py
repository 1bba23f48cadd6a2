"""Predictions' moments: what the error of an Inception Score is made of, and of scores like it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer
from streaming_metrics.statistics.base import State
from streaming_metrics.statistics.index import cluster_of, hashed, shifted
from streaming_metrics.statistics.moments import Moments
from streaming_metrics.statistics.sums import Shapes, Sums

if TYPE_CHECKING:
    from streaming_metrics.features import Features

BUCKETS = 1024


@dataclass(frozen=True)
class PredictionMoments(Moments):
    """Moments of rows ``[Σ_c p_c·log p_c, p]``, with ``p = softmax(logits)``: 8 MB of 1008 classes.

    Args:
        num_features: C + 1.
        column: of the logits.

    Example:
        >>> from streaming_metrics.features import Features
        >>> moments = PredictionMoments(3)
        >>> state = moments.update(moments.empty(), Features(logits=torch.zeros(4, 2)))
        >>> [round(value, 3) for value in moments.mean(state).tolist()]
        [-0.693, 0.5, 0.5]
    """

    column: str = "logits"

    @property
    def name(self) -> str:
        return f"prediction_{super().name}"

    def rows_of(self, features: Features, column: str = "") -> Tensor:
        return prediction_rows(super().rows_of(features, column))

    def error(self, state: State, log_marginal: Tensor) -> Tensor:
        """Return the standard error of the mean of ``Σ_c p_c·(log p_c − log q_c)``, by ``log q (C,)``, ``()``."""
        slope, n = _slope(log_marginal), self.count(state)
        return (slope @ self.scatter(state) @ slope).clamp(min=0).div(n - 1).div(n).sqrt()


@dataclass(frozen=True)
class ClusteredPredictions(Sums):
    """Sums of rows ``[1, Σ_c p_c·log p_c, p]`` over 1024 groups of clusters: 8 MB of 1008 classes.

    Errors by clusters need each cluster's sum; by random groups of clusters they are known to within 2 %.

    Args:
        num_classes: C.
        cluster: how many consecutive ids are one.

    Example:
        >>> from streaming_metrics.features import Features
        >>> sums = ClusteredPredictions(2, cluster=2)
        >>> state = sums.update(sums.empty(), Features(logits=torch.zeros(4, 2), index=torch.arange(4)))
        >>> state["sums"].sum(0)
        tensor([ 4.0000, -2.7726,  2.0000,  2.0000], dtype=torch.float64)
    """

    num_classes: int
    cluster: int

    column = "logits"

    def __post_init__(self) -> None:
        check_integer("num_classes", self.num_classes, least=1)
        check_integer("cluster", self.cluster, least=1)

    @property
    def name(self) -> str:
        return f"clustered_predictions_{self.num_classes}_{self.cluster}"

    @property
    def shapes(self) -> Shapes:
        return {"sums": ((BUCKETS, self.num_classes + 2), torch.float64)}

    def sums_of(self, features: Features) -> State:
        assert features.index is not None
        rows = prediction_rows(self.rows_of(features))
        place = shifted(hashed(cluster_of(features.index, self.cluster)), 1).to(rows.device) % BUCKETS
        sums = rows.new_zeros(self.shapes["sums"][0])
        return {"sums": sums.index_add_(0, place, torch.cat([torch.ones_like(rows[:, :1]), rows], 1))}

    def check(self, state: State) -> None:
        super().check(state)
        counts, p = state["sums"][:, 0], state["sums"][:, 2:]
        self._expect((counts >= 0).all() and (counts == counts.round()).all(), "whole numbers of samples")
        self._expect((p >= 0).all() and ((p.sum(1) - counts).abs() <= 1e-9 * counts).all(), "sums of probabilities")

    def bounds(self, state: State) -> tuple[float, float]:
        n = float(state["sums"][:, 0].sum())
        return n, n

    def error(self, state: State, log_marginal: Tensor) -> Tensor:
        """Return the standard error of the mean of ``Σ_c p_c·(log p_c − log q_c)``, by ``log q (C,)``, ``()``."""
        counts, sums = state["sums"][:, 0], state["sums"][:, 1:] @ _slope(log_marginal)
        n, groups = counts.sum(), (counts > 0).sum()
        apart = sums - counts * (sums.sum() / n)
        error = (apart.square().sum() * groups / (groups - 1)).sqrt() / n
        return error.where(groups > 1, torch.nan)  # rounding over nothing would be infinite


def prediction_rows(logits: Tensor) -> Tensor:
    """Return ``[Σ_c p_c·log p_c, p]`` of logits ``(N, C)``, float64 ``(N, C + 1)``."""
    log_p = logits.to(torch.float64).log_softmax(1)
    p = log_p.exp()
    return torch.cat([torch.where(p > 0, p * log_p, 0.0).sum(1, keepdim=True), p], 1)


def divergences(logits: Tensor, log_marginal: Tensor) -> Tensor:
    """Return ``Σ_c p_c·(log p_c − log q_c)`` of logits ``(N, C)``, by ``log q (C,)``, nats, float64 ``(N,)``."""
    return prediction_rows(logits) @ _slope(log_marginal)


def _slope(log_marginal: Tensor) -> Tensor:
    """Return what a row is multiplied by: of a class that nobody shows, whose log is −∞, nothing."""
    return torch.cat([torch.ones_like(log_marginal[:1]), -log_marginal.where(log_marginal.isfinite(), 0.0)])
