"""Fréchet wavelet distance: Fréchet distances between the wavelet packets of images, no network needed.

L. Veeramacheneni, M. Wolter, H. Kuehne, J. Gall, "Fréchet wavelet distance: a domain-agnostic metric for image
generation", ICLR 2025. Parity target: the authors' pytorchfwd at its defaults, whose packets are PyWavelets'.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from streaming_metrics.extractors.wavelet_packets import PACKETS
from streaming_metrics.measures.base import BiasWarning, Measure, Scalar, width
from streaming_metrics.measures.gaussian import ROUNDING, Gaussian, frechet_distance
from streaming_metrics.statistics import Moments, PacketMoments
from streaming_metrics.statistics.packet_moments import SIDES, size_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Sides
    from streaming_metrics.statistics import Statistic

AT_ONCE = 1 << 22
"""Numbers of covariances that are in memory beside the states."""


@dataclass(frozen=True)
class FWD(Measure):
    """Fréchet wavelet distance: mean of the Fréchet distances between real and generated images' wavelet packets.

    ``1/256·Σ_p ‖μr,p − μf,p‖² + tr(Σr,p + Σf,p − 2(Σr,p Σf,p)^½)`` over the 256 packets p of the Haar wavelet at level
    4, each of the coefficients of all places and colours, with unbiased covariances (ddof 1), of pixels in [0, 1].
    Range [0, ∞), lower is better. It needs no network and no weights, and tells of every band of frequencies alike: of
    blur and noise as well as of what is where.

    The packets are the column of :class:`~streaming_metrics.extractors.WaveletPackets`; with images it comes with the
    measure, whatever network others read. Images may have any one size whose sides are multiples of 16; values of
    other sizes do not compare. Kept of each side are the moments of each packet, W = 3·(H/16)·(W/16) wide: 0.35 MB for
    images of 32 by 32, 4.9 MB for 64, 76 MB for 128, 1.2 GB for 256 by 256, which cost 0.3 GFLOP an image and, at
    compute, 256 decompositions of 768 by 768: 80 s on one core of a CPU, against 2 s for 128 by 128.

    Raises:
        NotEnoughSamples: at compute, with fewer than 2 samples a side.
        ValueError: at update, of images of other sizes than before, or with sides that are no multiples of 16; at
            compute, of sides with images of different sizes.

    Warns:
        BiasWarning: with no more samples than a packet has coefficients, where the value is defined but far too high.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([FWD()], extractor="wavelet-packets")
        >>> images = torch.randint(0, 200, (20, 3, 16, 16), dtype=torch.uint8)
        >>> metric.update(images, real=True)
        >>> metric.update(images + 51, real=False)  # 0.2 brighter: the first packet's 3 coefficients rise by 16·0.2
        >>> round(metric.compute()["fwd_haar4"].item(), 4)  # 3·3.2² / 256
        0.12
    """

    label: ClassVar[str] = "fwd"
    group: ClassVar[str] = "pixels"
    paper: ClassVar[str] = "Veeramacheneni et al., ICLR 2025"
    network: ClassVar[str | None] = "wavelet-packets"
    column: ClassVar[str] = "packets"

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (Scalar("fwd", "Fréchet wavelet distance", "lower", kind="positive"),)

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        width(spec, "FWD", "packets")
        moments = (_moments(spec),)
        return {"real": moments, "fake": moments}

    def check(self, sides: Sides) -> None:
        sides.real.require(2, "FWD")
        sides.fake.require(2, "FWD")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        return {"fwd": self.distances(sides).mean()}

    def distances(self, sides: Sides) -> Tensor:
        """Return the distance of each packet, float64 ``(256,)``, in the natural order of their paths.

        ``metric.inspector().sides("wavelet-packets")`` gives the sides, where that is the network's name.
        """
        moments = _moments(sides.spec)
        _check_sizes(*(moments.shape(side[moments]) for side in (sides.real, sides.fake)))
        real, fake = (side[moments]["moments"] for side in (sides.real, sides.fake))
        _warn_if_few(real, sides)
        at_once = max(1, AT_ONCE // real[0].numel())
        return torch.cat([packet_distances(*some) for some in zip(real.split(at_once), fake.split(at_once))])


def packet_distances(real: Tensor, fake: Tensor) -> Tensor:
    """Return the Fréchet distance ``(P,)`` of each packet, of the moments ``(P, W + 1, W + 1)`` of both sides.

    All at once by Cholesky's roots of the real covariances. Packets for which that fails, or which vary in fewer
    dimensions than they have numbers, are taken one by one by :func:`~.gaussian.frechet_distance`, whose roots rounding
    does not mislead.

    Example:
        >>> shifted = torch.tensor([[9.0, 2.0], [2.0, 32.0]], dtype=torch.float64)
        >>> centred = torch.tensor([[9.0, 0.0], [0.0, 8.0]], dtype=torch.float64)
        >>> packet_distances(centred[None], shifted[None])  # 2² + (2 − 1)²
        tensor([5.], dtype=torch.float64)
    """
    (mean, covariance), (fake_mean, fake_covariance) = map(_fitted, (real, fake))
    root, failed = torch.linalg.cholesky_ex(covariance)
    eigenvalues = torch.linalg.eigvalsh(root.mT @ fake_covariance @ root).clamp(min=0)
    traces = (covariance + fake_covariance).diagonal(dim1=1, dim2=2).sum(1)
    distances = (mean - fake_mean).square().sum(1) + traces - 2 * eigenvalues.sqrt().sum(1)
    is_rounded = (failed != 0) | ~(eigenvalues[:, 0] > ROUNDING * eigenvalues[:, -1])
    for packet in is_rounded.nonzero().flatten().tolist():
        distances[packet] = frechet_distance(_gaussian(real[packet]), _gaussian(fake[packet]))
    return distances.clamp(min=0)


def _fitted(moments: Tensor) -> tuple[Tensor, Tensor]:
    """Return means ``(P, W)`` and unbiased covariances ``(P, W, W)``."""
    return moments[:, 0, 1:], moments[:, 1:, 1:] / (moments[0, 0, 0] - 1)


def _gaussian(moments: Tensor) -> Gaussian:
    return Gaussian(Moments(len(moments) - 1), {"moments": moments}, int(moments[0, 0]))


def _moments(spec: Spec) -> PacketMoments:
    return PacketMoments(PACKETS, sized=spec.width(SIDES) is not None)


def _check_sizes(real: tuple[int, ...], fake: tuple[int, ...]) -> None:
    if real != fake:
        raise ValueError(
            f"FWD: expected real and generated images of one size, got {size_of(real)} and {size_of(fake)}. Remedy: "
            "crop or resize the images of both sides to one size."
        )


def _warn_if_few(moments: Tensor, sides: Sides) -> None:
    for side in (sides.real, sides.fake):
        if side.num_samples <= PacketMoments.width(moments):
            warnings.warn(
                f"FWD from {side.num_samples} {side.role} samples, in packets of {PacketMoments.width(moments)} "
                "numbers: covariances are singular and the value is biased upwards. Remedy: more samples than that, "
                "or smaller images.",
                BiasWarning,
                stacklevel=4,
            )
