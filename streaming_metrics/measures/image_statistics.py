"""Low-level image statistics: how far those of generated images are from those of real ones.

D. Hasler, S. Süsstrunk, "Measuring colourfulness in natural images", Human Vision and Electronic Imaging 2003;
A. Torralba, A. Oliva, "Statistics of natural image categories", Network 2003; Y. Zeng, H. Lu, A. Borji, "Statistics of
deep generated images", 2017, who compare such statistics of generated and natural images. Parity target: SciPy's
``wasserstein_distance`` of the descriptors, to within a bin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from streaming_metrics.arguments import check_integer
from streaming_metrics.measures.base import Measure, Scalar, width
from streaming_metrics.measures.bins import jensen_shannon
from streaming_metrics.statistics import Histogram, Moments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.statistics import Statistic

RANGES = {
    "luminance": (0.0, 256.0),
    "contrast": (0.0, 128.0),
    "colourfulness": (0.0, 320.0),
    "sharpness": (0.0, 512.0),
    "spectrum_slope": (-12.0, 12.0),
}
"""Range of the histogram of each descriptor; of images, all but slopes, few of which are beyond ±8, cannot leave it."""
SLACK = 0.01
"""How far shares of pixels, rounded to float16 perhaps, may add up to something else than 1."""
GREY_LEVELS = "Low-level statistics, grey levels"
TITLES = {
    "luminance": "Luminance distance",
    "contrast": "Contrast distance",
    "colourfulness": "Colourfulness distance",
    "sharpness": "Sharpness distance",
    "spectrum_slope": "Spectrum slope distance",
}


@dataclass(frozen=True)
class ImageStatistics(Measure):
    """Low-level image statistics: distances between the descriptors of real and generated images, each by itself.

    ``luminance``, ``contrast``, ``colourfulness``, ``sharpness`` (grey levels) and ``spectrum_slope``: Wasserstein-1
    distance ``∫ |F_real − F_generated|`` of the descriptor's two distributions. ``gradients``: Jensen-Shannon
    divergence of the two mean histograms of gradient magnitude, nats, range [0, log 2]. Range [0, ∞) of the others,
    lower is better, 0 where the distributions are equal; two samples of one distribution are about ``1/√n`` of its
    spread apart, so compare equal numbers. They tell brightness, washed-out colour, blur, noise and a checkerboard's
    spectrum apart, and say nothing of what the images show.

    The descriptors are the columns of :class:`~streaming_metrics.extractors.LowLevel`, which says how each is defined;
    with images it comes with the measure, whatever network others read. Kept of each side: a histogram of each of the
    five, ``bins`` counts over a fixed range, and the moments of the 18 shares. A distance is exact to within a bin, of
    1/16, 1/32, 5/64, 1/8 grey levels and 0.006 by default; a slope beyond its range counts at its end, and anything
    else beyond its own, which no image has, is refused.

    Args:
        bins: of each histogram.

    Raises:
        NotEnoughSamples: at compute, without samples of either side.
        ValueError: of given features, which are no such descriptors: grey levels beyond their range at update,
            gradients that are no shares at compute.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([ImageStatistics()], extractor="low-level")
        >>> images = torch.arange(4 * 3 * 64).remainder(200).to(torch.uint8).view(4, 3, 8, 8)
        >>> metric.update(images, real=True)
        >>> metric.update(images + 20, real=False)
        >>> {key: round(value.item(), 3) for key, value in metric.compute().items()}  # doctest: +NORMALIZE_WHITESPACE
        {'luminance_pixels': 20.0, 'contrast_pixels': 0.0, 'colourfulness_pixels': 0.0, 'sharpness_pixels': 0.0,
         'spectrum_slope_pixels': 0.0, 'gradients_pixels': 0.0}
    """

    bins: int = 4096

    label: ClassVar[str] = "low_level"
    group: ClassVar[str] = "pixels"
    paper: ClassVar[str] = "Zeng et al., 2017"
    network: ClassVar[str | None] = "low-level"
    column: ClassVar[str] = "gradients"
    jackknifed: ClassVar[tuple[str, ...]] = (*RANGES, "gradients")

    def __post_init__(self) -> None:
        check_integer("ImageStatistics bins", self.bins, least=1)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        families = {name: GREY_LEVELS for name in RANGES if name != "spectrum_slope"}
        distances = [Scalar(name, TITLES[name], "lower", families.get(name, ""), kind="positive") for name in RANGES]
        return (*distances, Scalar("gradients", "Gradient divergence", "lower", kind="positive"))

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        kept = (*self._histograms(spec).values(), self._gradients(spec))
        return {"real": kept, "fake": kept}

    def check(self, sides: Sides) -> None:
        sides.real.require(1, "ImageStatistics")
        sides.fake.require(1, "ImageStatistics")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        distances = {
            name: histogram.wasserstein(sides.real[histogram], sides.fake[histogram])
            for name, histogram in self._histograms(sides.spec).items()
        }
        gradients = self._gradients(sides.spec)
        return distances | {"gradients": jensen_shannon(*(_mean(gradients, side) for side in (sides.real, sides.fake)))}

    def _histograms(self, spec: Spec) -> dict[str, Histogram]:
        for name in RANGES:
            if width(spec, "ImageStatistics", name) != 1:
                raise ValueError(f"ImageStatistics: expected {name} of width 1, got {spec.width(name)}.")
        return {name: Histogram(*RANGES[name], self.bins, name, is_strict=name != "spectrum_slope") for name in RANGES}

    def _gradients(self, spec: Spec) -> Moments:
        return Moments(width(spec, "ImageStatistics", "gradients"), "gradients")


def _mean(moments: Moments, side: Side) -> Tensor:
    """Return the mean histogram of gradients of a side."""
    mean = moments.mean(side[moments])
    if (mean < 0).any() or (mean.sum() - 1).abs() > SLACK:
        raise ValueError(
            f"ImageStatistics: expected gradients of {side.role} samples to be shares of pixels, adding up to 1, got "
            f"{mean.min():g} to {mean.max():g} on average, {mean.sum():g} in all. Remedy: counts divided by pixels."
        )
    return mean
