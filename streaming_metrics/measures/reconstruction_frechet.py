"""Reconstruction FID: Fréchet distance between images and what an autoencoder makes of them.

R. Rombach, A. Blattmann, D. Lorenz, P. Esser, B. Ommer, "High-resolution image synthesis with latent diffusion models",
CVPR 2022.
Parity target: torch-fidelity's FID of the two sets of images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from streaming_metrics.measures.base import Scalar
from streaming_metrics.measures.frechet_of import FrechetOf


@dataclass(frozen=True)
class RFID(FrechetOf):
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
    def scalars(self) -> tuple[Scalar]:
        return (Scalar("rfid", "Fréchet distance of reconstructions", "lower", elsewhere="rfd", kind="positive"),)
