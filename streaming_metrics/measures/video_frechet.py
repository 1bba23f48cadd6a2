"""Fréchet video distance, in the protocols that numbers are published in.

T. Unterthiner et al., "Towards accurate generative models of video: a new metric & challenges", 2018.
Parity target: ``fvd/styleganv`` and ``fvd/videogpt`` of common_metrics_on_video_quality, and cd-fvd (S. Ge et al., "On
the content bias in Fréchet video distance", CVPR 2024), given the same features.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from streaming_metrics.extractors.names import lookup
from streaming_metrics.measures.base import Scalar
from streaming_metrics.measures.frechet_of import FrechetOf
from streaming_metrics.measures.gaussian import Gaussian, frechet_distance

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.images.conversion import Takes
    from streaming_metrics.measures.base import Side, Sides
    from streaming_metrics.statistics import Moments


class Protocol(NamedTuple):
    """Protocol of the Fréchet video distance: the network, and what a sum of squares is divided by: N − ddof."""

    network: str
    ddof: int


PROTOCOLS = {
    "styleganv": Protocol("i3d", 1),
    "videogpt": Protocol("i3d-videogpt", 1),
    "cd-fvd": Protocol("videomae-v2", 0),
}


@dataclass(frozen=True)
class FVD(FrechetOf):
    """Fréchet video distance: Fréchet distance between Gaussians fitted to features of clips.

    ``‖μr − μf‖² + tr(Σr + Σf − 2(Σr Σf)^½)``. Range [0, ∞), lower is better. What it is of is a protocol: the network,
    how frames are brought to it, and the covariance's divisor. Values of two protocols, of other numbers of frames,
    other strides or frame rates do not compare; keys (``fvd_i3d``) and signatures tell them apart.

    Args:
        protocol: ``"styleganv"``: I3D, 224 by bilinear and a central crop, N − 1; ``"videogpt"``: the same after floats
            are brought to 8 bits; ``"cd-fvd"``: VideoMAE v2 fine-tuned on Something-Something v2, which looks more at
            motion, frames stretched to 224, N. Each brings its network (``i3d``, ``i3d-videogpt``, ``videomae-v2``).

    Raises:
        ValueError: for an unknown protocol; for a network of another protocol.
        NotEnoughSamples: at compute, with fewer than 2 samples a side.

    Warns:
        BiasWarning: with no more samples than features, where the value is defined but far too high.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([FVD()], extractor=None, num_features=1)
        >>> metric.update(torch.tensor([[0.0], [2.0], [4.0]]), real=True)
        >>> metric.update(torch.tensor([[3.0], [5.0], [7.0]]), real=False)
        >>> metric.compute()
        {'fvd_features': tensor(9., dtype=torch.float64)}
    """

    protocol: str = "styleganv"

    label: ClassVar[str] = "fvd"
    group: ClassVar[str] = "distances"
    takes: ClassVar[Literal["images", "clips"] | None] = "clips"
    paper: ClassVar[str] = "Unterthiner et al., 2018"
    jackknifed: ClassVar[tuple[str, ...]] = ("fvd",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "network", lookup(PROTOCOLS, self.protocol, "protocol of FVD").network)

    @property
    def scalars(self) -> tuple[Scalar]:
        return (Scalar("fvd", "Fréchet video distance", "lower", kind="positive"),)

    def check_network(self, name: str, takes: Takes) -> None:  # noqa: ARG002
        if name != self.network:
            raise ValueError(
                f"FVD(protocol={self.protocol!r}): expected its network, {self.network}, got {name}. Remedy: another "
                f"protocol of {', '.join(PROTOCOLS)}; or FID, which takes any network and is named by it."
            )

    def distance(self, sides: Sides, moments: Moments) -> Tensor:
        if PROTOCOLS[self.protocol].ddof:
            return super().distance(sides, moments)
        both = sides.real, sides.fake
        return frechet_distance(*(side.once((moments, "ddof 0"), partial(_biased, side, moments)) for side in both))


def _biased(side: Side, moments: Moments) -> Gaussian:
    """Return the Gaussian whose covariance is divided by N."""
    state = side[moments]["moments"].clone()
    state[1:, 1:] *= (side.num_samples - 1) / side.num_samples
    return Gaussian(moments, {"moments": state}, side.num_samples)
