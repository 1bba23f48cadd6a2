"""Scores of given features, for tests that compare them with a formula or a peer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from streaming_metrics import Features, GenerativeMetrics

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics import Measure


def score(measure: Measure, real: Tensor, fake: Tensor, batch_size: int = 37) -> dict[str, float]:
    """Return ``measure`` by its own keys, of features streamed in small batches."""
    metric = GenerativeMetrics([measure], extractor=None, num_features=real.shape[1])
    for role, rows in ((True, real), (False, fake)):
        for batch in rows.split(batch_size):
            metric.update(batch, real=role)
    return dict(zip(measure.keys, (value.item() for value in metric.compute().values())))


def score_logits(measure: Measure, logits: Tensor, index: Tensor | None = None) -> dict[str, float]:
    """Return ``measure`` of generated samples' class scores by its own keys."""
    metric = GenerativeMetrics([measure], extractor=None, num_classes=logits.shape[1])
    index = torch.arange(len(logits)) if index is None else index
    for rows in torch.arange(len(logits)).split(37):
        metric.update(Features(logits=logits[rows], index=index[rows]), real=False)
    return dict(zip(measure.keys, (value.item() for value in metric.compute().values())))


def score_predictions(measure: Measure, real: Tensor, fake: Tensor) -> dict[str, float]:
    """Return ``measure`` of both sides' class scores by its own keys, streamed in small batches."""
    metric = GenerativeMetrics([measure], extractor=None, num_classes=real.shape[1])
    for role, logits in ((True, real), (False, fake)):
        for batch in logits.split(37):
            metric.update(batch, real=role)
    return dict(zip(measure.keys, (value.item() for value in metric.compute().values())))


def normal(seed: int, n: int, width: int, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Return ``(n, width)`` float32 Gaussian rows."""
    return mean + std * torch.randn(n, width, generator=torch.Generator().manual_seed(seed))
