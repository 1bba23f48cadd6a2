"""FDr6: Fréchet distances of six networks, each as a ratio to that of real images held out, and their mean.

J. Yang, Z. Geng, X. Ju, Y. Tian, Y. Wang, "Representation Fréchet loss for visual generation", 2026, arXiv:2604.28190.
Parity target: ``eval_all_fds.py`` of the authors, given the same features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.measures.base import Measure, Scalar, width
from streaming_metrics.measures.frechet import warn_if_few
from streaming_metrics.measures.gaussian import distance_of
from streaming_metrics.statistics import Moments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Sides
    from streaming_metrics.statistics import Statistic

DIVISORS = {"inception": 1.68, "convnext": 56.87, "dinov2": 14.19, "mae": 0.04, "siglip": 0.60, "clip": 5.60}
"""Published distances of ImageNet's validation images to its training images, by the column of the network."""
ROUNDED = 0.005
"""How far a published divisor may be from what it was before it was rounded."""
FAMILY = "Fréchet distance ratios"
TITLES = {
    "inception": "Inception v3",
    "convnext": "ConvNeXt V2",
    "dinov2": "DINOv2",
    "mae": "MAE",
    "siglip": "SigLIP 2",
    "clip": "CLIP",
}


@dataclass(frozen=True)
class FDr6(Measure):
    """Mean of six Fréchet distance ratios: ``1/6 Σ_k FD_k(real, generated) / FD_k(training, validation)``.

    The divisors are the published distances of ImageNet's validation images at 256 pixels; the reference they belong to
    is its training set (for the Inception guided-diffusion's file of it), so values of other data sets or references
    are not FDr6. ImageNet's validation images have 1. Range [0, ∞), lower is better. ``fdr_inception``,
    ``fdr_convnext``, ``fdr_dinov2``, ``fdr_mae``, ``fdr_siglip`` and ``fdr_clip`` are the ratios.

    The divisors are published to two decimals: MAE's 0.04 may stand for anything from 0.035 to 0.045, which moves its
    ratio by 14 %. ``fdr6_rounding`` is how far the mean may be off, were all divisors as far off as they can be. Models
    compared by the published divisors do not suffer from it; it weighs the networks.

    Its network, ``"fdr6"``, comes with it. Six moments are kept of each side.

    Raises:
        NotEnoughSamples: at compute, with fewer than 2 samples a side.
        ValueError: for a network without the six columns.

    Warns:
        BiasWarning: with no more samples than features, where the value is defined but far too high.

    Example:
        >>> from streaming_metrics import Features, GenerativeMetrics
        >>> metric = GenerativeMetrics([FDr6()], extractor=None, widths=dict.fromkeys(DIVISORS, 1))
        >>> for shift, is_real in ((0.0, True), (1.0, False)):
        ...     rows = torch.tensor([[0.0], [2.0], [4.0]]) + shift
        ...     metric.update(Features(**dict.fromkeys(DIVISORS, rows)), real=is_real)
        >>> values = metric.compute()  # each distance is 1
        >>> round(values["fdr_clip_features"].item(), 4), round(1 / 5.6, 4)
        (0.1786, 0.1786)
    """

    label: ClassVar[str] = "fdr6"
    group: ClassVar[str] = "distances"
    paper: ClassVar[str] = "Yang et al., 2026"
    network: ClassVar[str | None] = "fdr6"
    column: ClassVar[str] = "inception"
    jackknifed: ClassVar[tuple[str, ...]] = ("fdr6",)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        mean = Scalar("fdr6", "Mean of six Fréchet distance ratios", "lower", FAMILY, kind="positive")
        rounding = Scalar("fdr6_rounding", "", None, FAMILY, "fdr6")
        ratios = (
            Scalar(f"fdr_{column}", f"Fréchet distance ratio, {TITLES[column]}", "lower", FAMILY, kind="positive")
            for column in DIVISORS
        )
        return (mean, rounding, *ratios)

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        moments = tuple(_moments(spec).values())
        return {"real": moments, "fake": moments}

    def check(self, sides: Sides) -> None:
        for side in (sides.real, sides.fake):
            side.require(2, "FDr6")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        each = _moments(sides.spec)
        for side in (sides.real, sides.fake):
            warn_if_few(side, max(moments.num_features for moments in each.values()), "FDr6")
        divisors = torch.tensor(list(DIVISORS.values()), dtype=torch.float64)
        distances = torch.stack([distance_of(sides, moments) for moments in each.values()])
        divisors = divisors.to(distances.device)
        ratios = distances / divisors
        rounding = distances / (divisors - ROUNDED) - ratios
        values = {"fdr6": ratios.mean(), "fdr6_rounding": rounding.mean()}
        return values | {f"fdr_{column}": ratio for column, ratio in zip(each, ratios.unbind())}


def _moments(spec: Spec) -> dict[str, Moments]:
    return {column: Moments(width(spec, "FDr6", column), column) for column in DIVISORS}
