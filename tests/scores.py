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


def labelled(seed: int, sizes: list[int], width: int, apart: float = 2.0, shift: float = 0.0) -> Features:
    """Return Gaussian classes of these sizes in a random order, with ids; class c lies ``apart`` along axis c."""
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    rows = normal(seed, len(labels), width) + apart * torch.eye(len(sizes), width)[labels] + shift
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    return Features(rows[order], labels=labels[order], index=torch.arange(len(labels)))


def score_labelled(measure: Measure, real: Features, fake: Features, batch_size: int = 37) -> dict[str, float]:
    """Return ``measure`` by its own keys, of features with labels streamed in small batches."""
    assert real.pool is not None
    metric = GenerativeMetrics([measure], extractor=None, num_features=real.pool.shape[1])
    for role, side in ((True, real), (False, fake)):
        for start in range(0, len(side), batch_size):
            metric.update(side[start : start + batch_size], real=role)
    return dict(zip(measure.keys, (value.item() for value in metric.compute().values())))
