"""Reconstruction FID: Fréchet distance between images and what an autoencoder makes of them.

R. Rombach, A. Blattmann, D. Lorenz, P. Esser, B. Ommer, "High-resolution image synthesis with latent diffusion models",
CVPR 2022.
Parity target: torch-fidelity's FID of the two sets of images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from streaming_metrics.measures.base import Measure, Scalar, width
from streaming_metrics.measures.frechet import warn_if_few
from streaming_metrics.measures.gaussian import frechet_distance, gaussian_of
from streaming_metrics.statistics import Moments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Sides
    from streaming_metrics.statistics import Statistic


@dataclass(frozen=True)
class RFID(Measure):
    """Reconstruction FID, rFID: Fréchet distance between images, as real, and their reconstructions, as generated.

    ``‖μr − μf‖² + tr(Σr + Σf − 2(Σr Σf)^½)``: FID's formula by another name, since a reconstruction has seen its image:
    a number far below FID's says nothing of what the model can generate. Range [0, ∞), lower is better; 0 where every
    image is given back. Reported as ``rfid`` for the reference Inception, else as ``rfd_<tag>``.

    Raises:
        NotEnoughSamples: at compute, with fewer than 2 samples a side.

    Warns:
        BiasWarning: with no more samples than features, where the covariances are singular.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([RFID()], extractor=None, num_features=1)
        >>> images = torch.tensor([[0.0], [2.0], [4.0]])
        >>> metric.update(images, real=True)
        >>> metric.update(images / 2, real=False)
        >>> metric.compute()
        {'rfd_features': tensor(2., dtype=torch.float64)}
    """

    label: ClassVar[str] = "rfid"
    group: ClassVar[str] = "distances"
    paper: ClassVar[str] = "Rombach et al., CVPR 2022"

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (Scalar("rfid", "Fréchet distance of reconstructions", "lower", elsewhere="rfd", kind="positive"),)

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        moments = (Moments(width(spec, "RFID")),)
        return {"real": moments, "fake": moments}

    def check(self, sides: Sides) -> None:
        for side in (sides.real, sides.fake):
            side.require(2, "RFID")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        moments = Moments(width(sides.spec, "RFID"))
        for side in (sides.real, sides.fake):
            warn_if_few(side, moments.num_features, "RFID")
        return {"rfid": frechet_distance(*(gaussian_of(side, moments) for side in (sides.real, sides.fake)))}
