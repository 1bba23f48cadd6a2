"""Spatial FID: Fréchet distance of features that know where in the image things are.

C. Nash, J. Menick, S. Dieleman, P. Battaglia, "Generating images with sparse representations", ICML 2021.
Parity target: guided-diffusion's ``sFID``, of the same features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from streaming_metrics.measures.base import Scalar
from streaming_metrics.measures.frechet_of import FrechetOf


@dataclass(frozen=True)
class SFID(FrechetOf):
    """Spatial FID: Fréchet distance between Gaussians fitted to spatial features of real and generated images.

    ``‖μr − μf‖² + tr(Σr + Σf − 2(Σr Σf)^½)`` of the column ``spatial (N, 2023)``: the first 7 channels of a layer of
    17 × 17 pixels, which the reference Inception makes on its way to the pool, at no cost. It notices where things are
    in the image, which the pool's mean over space forgets. Range [0, ∞), lower is better.

    Raises:
        ValueError: for a network without spatial features.
        NotEnoughSamples: at compute, with fewer than 2 samples a side.

    Warns:
        BiasWarning: with no more samples than features, where the value is defined but far too high.

    Example:
        >>> import torch
        >>> from streaming_metrics import Features, GenerativeMetrics
        >>> metric = GenerativeMetrics([SFID()], extractor=None, widths={"spatial": 1})
        >>> metric.update(Features(spatial=torch.tensor([[0.0], [2.0], [4.0]])), real=True)
        >>> metric.update(Features(spatial=torch.tensor([[3.0], [5.0], [7.0]])), real=False)
        >>> metric.compute()
        {'sfid_features': tensor(9., dtype=torch.float64)}
    """

    label: ClassVar[str] = "sfid"
    column: ClassVar[str] = "spatial"
    group: ClassVar[str] = "distances"
    paper: ClassVar[str] = "Nash et al., ICML 2021"

    @property
    def scalars(self) -> tuple[Scalar]:
        return (Scalar("sfid", "Spatial Fréchet distance", "lower", kind="positive"),)
