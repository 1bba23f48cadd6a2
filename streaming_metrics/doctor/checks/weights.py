"""Weights: whether the network was ever trained, and on what the measure is published on.

What training makes of a convolution is smooth: neighbouring weights of a kernel are alike. Weights that were drawn at
random are not, whatever their distribution. So the null hypothesis is "drawn independently about 0", and a network
whose weights do not refute it is taken as random. Where that is true, the sum of products of neighbours has mean 0 and
the variance of the sum of their squares, whatever each layer's scale. EfficientNet-Lite0, trained: correlation 0.34,
z = 98; as PyTorch initialises it: 0.002, z = 1.1; tests hold both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scipy import stats
from torch import nn

from streaming_metrics.doctor.checks.base import Finding, number
from streaming_metrics.doctor.facts import ALPHA

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.doctor.facts import Facts

FEWEST = 1000
"""Pairs of neighbours below which even trained weights may not refute that they are random."""


class Neighbours(NamedTuple):
    """How alike neighbouring weights of a network's kernels are: how many pairs, their correlation, its z."""

    pairs: int
    correlation: float
    z: float


def neighbours_of(network: nn.Module) -> Neighbours:
    """Return how alike neighbouring weights of a network's two-dimensional kernels are, layers of equal weight a pair.

    Example:
        >>> import torch
        >>> with torch.random.fork_rng():
        ...     _ = torch.manual_seed(0)
        ...     untrained = nn.Conv2d(3, 64, 7)
        >>> abs(neighbours_of(untrained).z) < 4
        True
    """
    pairs, product, squares, scale = 0, 0.0, 0.0, 0.0
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and max(layer.kernel_size) > 1:
            weights = _standardised(layer.weight)
            for one, other in ((weights[..., 1:], weights[..., :-1]), (weights[..., 1:, :], weights[..., :-1, :])):
                products = one * other
                pairs += products.numel()
                product += float(products.sum())
                squares += float(products.square().sum())
                scale += float(one.square().sum() * other.square().sum()) ** 0.5
    return Neighbours(pairs, product / scale if scale else 0.0, product / squares**0.5 if squares else 0.0)


def _standardised(weights: Tensor) -> Tensor:
    weights = weights.detach().double().cpu()
    weights = weights - weights.mean()
    return weights / weights.square().mean().sqrt().clamp(min=1e-300)


def weights(facts: Facts) -> Finding:
    """Find a network that was never trained, or whose weights are not those that the measure is published on."""
    found = neighbours_of(facts.network) if facts.network is not None else Neighbours(0, 0.0, 0.0)
    numbers = {"pairs": found.pairs, "correlation": found.correlation, "z": found.z}
    if found.pairs < FEWEST:
        return Finding(
            "cannot tell",
            f"The network has {found.pairs:,} pairs of neighbouring weights in its kernels: too few to tell training "
            "from chance.",
            numbers=numbers,
        )
    told = f"correlate {found.correlation:.3f} over {found.pairs:,} pairs (z = {number(found.z)})"
    if abs(found.z) < stats.norm.isf(ALPHA / 2):
        return Finding(
            "fault",
            f"Neighbouring weights of the network's kernels {told}, as they do where weights are drawn at random: its "
            "features know nothing of images.",
            "Give --weights of the trained network.",
            numbers,
        )
    if facts.is_published is False:
        return Finding(
            "fault",
            f"The weights are trained (neighbouring ones {told}), and not those of the file that FID is defined on.",
            "Give --weights of the published file, sha256 6726825d…, or do not call the value FID.",
            numbers,
        )
    return Finding(
        "fine", f"Neighbouring weights of the network's kernels {told}, which no random ones do.", "", numbers
    )
