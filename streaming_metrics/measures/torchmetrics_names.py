"""Names of torchmetrics' metrics of pairs: what each is called, where it is, and what is known of its value.

torchmetrics itself is imported only once a metric is made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from streaming_metrics.measures.base import Scalar

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Named:
    """Metric of torchmetrics by name.

    Args:
        where: its module and class, ``"torchmetrics.image:PeakSignalNoiseRatio"``.
        scalar: what is known of its value.
        options: what it is made with, so that it takes images as they are handed to it.
        group: the heading under which tables and reports show it.
    """

    where: str
    scalar: Scalar
    options: Mapping[str, Any] = field(default_factory=dict)
    group: str = "paired"

    @property
    def class_name(self) -> str:
        """The name of the class."""
        return self.where.partition(":")[2]


UNIT = {"data_range": 1.0}
SIMILARITY = "Structural similarity"
PAIRED = {
    "psnr": Named(
        "torchmetrics.image:PeakSignalNoiseRatio", Scalar("psnr", "Peak signal-to-noise ratio, dB", "higher"), UNIT
    ),
    "ssim": Named(
        "torchmetrics.image:StructuralSimilarityIndexMeasure",
        Scalar("ssim", "SSIM", "higher", family=SIMILARITY),
        UNIT,
    ),
    "ms-ssim": Named(
        "torchmetrics.image:MultiScaleStructuralSimilarityIndexMeasure",
        Scalar("ms_ssim", "MS-SSIM", "higher", family=SIMILARITY),
        UNIT,
    ),
    "mse": Named("torchmetrics.regression:MeanSquaredError", Scalar("mse", "Mean squared error", "lower")),
    "rmse": Named(
        "torchmetrics.regression:MeanSquaredError",
        Scalar("rmse", "Root mean squared error", "lower"),
        {"squared": False},
    ),
    "lpips": Named(
        "torchmetrics.image:LearnedPerceptualImagePatchSimilarity",
        Scalar("lpips", "LPIPS", "lower"),
        {"normalize": True},
    ),
    "paired-sharpness": Named(
        "streaming_metrics.paired_sharpness:PairedSharpness",
        Scalar("paired_sharpness", "Sharpness difference of pairs, dB", "higher"),
        UNIT,
    ),
}
"""Metrics of a generated and a real image, both float in [0, 1]."""
CAPTIONED = {
    "clip-score": Named("torchmetrics.multimodal:CLIPScore", Scalar("clip_score", "CLIP score", "higher"), group="text")
}
"""Metrics of a generated image, uint8, and its caption."""
THROUGH = {
    "ppl": Named(
        "torchmetrics.image:PerceptualPathLength",
        Scalar("ppl", "Perceptual path length", "lower"),  # its own higher_is_better=True is a slip
    )
}
"""Metrics of a generator."""
KNOWN = {**PAIRED, **CAPTIONED, **THROUGH}
