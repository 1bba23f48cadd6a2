"""Sharpness difference of two sides.

M. Mathieu, C. Couprie, Y. LeCun, "Deep multi-scale video prediction beyond mean square error", ICLR 2016, define it of
an image and its prediction, pixel by pixel, in dB: that is :class:`streaming_metrics.paired_sharpness.PairedSharpness`.
Generated images have no partner, so the sharpness that the paper sums over an image is compared here side by side.
Parity target: the same means in NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from streaming_metrics.measures.base import Measure, Scalar, width
from streaming_metrics.statistics import Moments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Sides
    from streaming_metrics.statistics import Statistic


@dataclass(frozen=True)
class SharpnessDifference(Measure):
    """Sharpness difference of two sides, unpaired: by how much generated images are blurred, or too crisp, on average.

    With s the sharpness of an image, its mean ``|∂x| + |∂y|`` in grey levels a pixel (column ``sharpness`` of
    :class:`~streaming_metrics.extractors.LowLevel`): ``sharpness_excess`` is ``E s(generated) − E s(real)``, negative
    for blur, positive for noise and artefacts, range (−510, 510), no better direction; ``sharpness_difference`` is its
    size, range [0, 510), lower is better. Kept of each side: count, mean and variance of s. The paired measure of the
    paper, in dB and higher for the better, is another number:
    :class:`~streaming_metrics.paired_sharpness.PairedSharpness`.

    Raises:
        NotEnoughSamples: at compute, without samples of either side.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([SharpnessDifference()], extractor="low-level")
        >>> stripes = torch.tensor([0, 90], dtype=torch.uint8).repeat(1, 3, 4, 2)
        >>> metric.update(stripes, real=True)
        >>> metric.update(stripes // 2, real=False)
        >>> {key: value.item() for key, value in metric.compute().items()}
        {'sharpness_difference_pixels': 33.75, 'sharpness_excess_pixels': -33.75}
    """

    label: ClassVar[str] = "sharpness_difference"
    group: ClassVar[str] = "pixels"
    paper: ClassVar[str] = "Mathieu et al., ICLR 2016"
    network: ClassVar[str | None] = "low-level"
    column: ClassVar[str] = "sharpness"
    jackknifed: ClassVar[tuple[str, ...]] = ("sharpness_difference", "sharpness_excess")

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        family = "Sharpness difference"
        return (
            Scalar("sharpness_difference", family, "lower", kind="positive"),
            Scalar("sharpness_excess", "Sharpness of generated less real images", family=family),
        )

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        kept = (_moments(spec),)
        return {"real": kept, "fake": kept}

    def check(self, sides: Sides) -> None:
        sides.real.require(1, "SharpnessDifference")
        sides.fake.require(1, "SharpnessDifference")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        moments = _moments(sides.spec)
        real, fake = (moments.mean(side[moments]).squeeze() for side in (sides.real, sides.fake))
        return {"sharpness_difference": (fake - real).abs(), "sharpness_excess": fake - real}


def _moments(spec: Spec) -> Moments:
    if width(spec, "SharpnessDifference", "sharpness") != 1:
        raise ValueError(f"SharpnessDifference: expected sharpness of width 1, got {spec.width('sharpness')}.")
    return Moments(1, "sharpness")
