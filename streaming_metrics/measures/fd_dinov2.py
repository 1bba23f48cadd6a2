"""FD-DINOv2: FID with DINOv2's features in the place of Inception's.

G. Stein et al., "Exposing flaws of generative model evaluation metrics and their unfair treatment of diffusion models",
NeurIPS 2023.
Parity target: dgm-eval's ``fd`` of the model ``dinov2``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from streaming_metrics.measures.frechet import FID


@dataclass(frozen=True)
class FDDINOv2(FID):
    """FD-DINOv2: Fréchet distance between Gaussians fitted to features of DINOv2 ViT-L/14, of width 1024.

    :class:`FID` whose own network is ``"dinov2-vitl14"``, with all of its parameters: it ranks diffusion models and
    GANs closer to how people do, where Inception's features favour GANs. Reported as ``fd_dinov2_vitl14``, whichever of
    the two names asks for it. Range [0, ∞), lower is better; values are of another scale than FID's.
    """

    label: ClassVar[str] = "fd_dinov2"
    group: ClassVar[str] = "distances"
    paper: ClassVar[str] = "Stein et al., NeurIPS 2023"
    network: ClassVar[str | None] = "dinov2-vitl14"
