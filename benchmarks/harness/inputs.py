"""Inputs that all candidates share, and the seams to options of the library."""

from __future__ import annotations

import inspect
import sys
import tempfile
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
from torch import Tensor, nn

from streaming_metrics import Features, GenerativeMetrics
from streaming_metrics.extractors import InceptionV3
from streaming_metrics.pairwise import tiling

sys.path.append(str(Path(__file__).parents[2] / "tests"))

from reference_weights import draw_images, write_dinov2, write_reference_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = [
    "Given",
    "draw_features",
    "draw_images",
    "exactly",
    "fed",
    "has_pre_pass",
    "our_precisions",
    "reference_weights",
    "uncached",
    "write_dinov2",
]

WIDTH, CLASSES, LATENT = 2048, 1008, 64


def draw_features(n: int, width: int = WIDTH, *, seed: int = 0, shift: float = 0.0) -> Tensor:
    """Return float32 ``(n, width)`` like a pool layer's: not negative, of few dimensions, some noise."""
    mixing = torch.randn(LATENT, width, generator=torch.Generator().manual_seed(2020)) / LATENT**0.5
    generator = torch.Generator().manual_seed(seed)
    latent = torch.randn(n, LATENT, generator=generator) + shift
    return (latent @ mixing).add_(torch.randn(n, width, generator=generator), alpha=0.1).relu_()


def fed(measures: Sequence[Any], real: Tensor, fake: Tensor, *, frozen: bool = False) -> GenerativeMetrics:
    """Return a metric over given features; once frozen, what is kept of the real side is already there."""
    metric = GenerativeMetrics(measures, extractor=None, num_features=real.shape[1])
    for rows, is_real in ((real, True), (fake, False)):
        for batch in rows.split(1000):
            metric.update(Features(pool=batch), real=is_real)
    if frozen:
        metric.freeze_real()
        metric.compute()
    return metric


class Given(nn.Module):
    """Features that are given as they are, for peers that ask for a network."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def uncached(metric: Any) -> Any:
    """Return what a torchmetrics metric computes, anew: it keeps the value until the next update."""
    metric._computed = None
    return metric.compute()


@contextmanager
def reference_weights(given: Path | None) -> Iterator[Path]:
    """Yield the path of Inception weights: those given, or random ones that are gone afterwards."""
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        yield write_reference_weights(Path(folder) / "inception.pth")


# SEAMS: the two places where these scripts name what belongs to the library's insides, and do without where it is not.

PRE_PASS = "bf16_pays"
"""The function of ``pairwise.tiling`` that says whether rows are first compared in low precision."""


def our_precisions() -> list[dict[str, str]]:
    """Return the options of :class:`InceptionV3` for each precision that it has, the default first."""
    return [{}, {"precision": "bf16"}] if "precision" in inspect.signature(InceptionV3).parameters else [{}]


def has_pre_pass(rows: Tensor) -> bool:
    """Return whether such rows are first compared in low precision."""
    return getattr(tiling, PRE_PASS, lambda _: False)(rows)


def exactly(compute: Callable[[], Any]) -> Callable[[], Any]:
    """Return ``compute`` with all inner products in float32, without the low-precision pre-pass."""

    def exact() -> Any:
        with mock.patch.object(tiling, PRE_PASS, return_value=False) if hasattr(tiling, PRE_PASS) else nullcontext():
            return compute()

    return exact
