"""Paired sharpness difference, as a metric of torchmetrics.

M. Mathieu, C. Couprie, Y. LeCun, "Deep multi-scale video prediction beyond mean square error", ICLR 2016.
Parity target: the formula in NumPy.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from streaming_metrics.arguments import check_real
from streaming_metrics.extractors.low_level import differences


class PairedSharpness(Metric):
    """Paired sharpness difference of predictions and the images that they are of, in dB, higher is better.

    ``10·log10(max² / mean |(|∂x p| + |∂y p|) − (|∂x t| + |∂y t|)|)`` of each pair, max = ``data_range``, the mean over
    pixels and channels; averaged over pairs. ∂ is the difference to the pixel before, 0 at the border. Infinite where
    every pixel is as sharp in both: then so is the average. It sums an absolute difference, as the paper prints it, so
    it depends on the scale: give images in [0, 1] with ``data_range=1``, or in [0, 255] with 255, and compare like with
    like.

    Args:
        data_range: of the images, from the darkest to the brightest value.
        kwargs: of torchmetrics.

    Raises:
        ValueError: where predictions and images are not both ``(N, C, H, W)``, of one shape; where they are integers
            and ``data_range`` is 1; at compute, without any.

    Example:
        >>> stripes = torch.tensor([0.0, 1.0]).repeat(2, 3, 4, 2)
        >>> metric = PairedSharpness()
        >>> metric.update(0.5 * stripes, stripes)
        >>> round(metric.compute().item(), 4)  # 10·log10(1 / 0.375)
        4.2597
    """

    is_differentiable = True
    higher_is_better = True
    full_state_update = False
    total: Tensor
    pairs: Tensor

    def __init__(self, data_range: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_real("PairedSharpness data_range", data_range, above=0)
        self.data_range = float(data_range)
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("pairs", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add predictions and the images that they are of, ``(N, C, H, W)``."""
        if preds.shape != target.shape or preds.ndim != 4:
            raise ValueError(
                "PairedSharpness: expected predictions and images (N, C, H, W) of one shape, got "
                f"{tuple(preds.shape)} and {tuple(target.shape)}. Remedy: unsqueeze(0) a single one, resize the others."
            )
        if self.data_range == 1 and not (preds.is_floating_point() and target.is_floating_point()):
            raise ValueError(
                f"PairedSharpness: expected floats in [0, 1] with data_range=1, got {preds.dtype} and {target.dtype}. "
                "Remedy: data_range=255 for uint8 images, or images / 255."
            )
        apart = (sharpness(preds) - sharpness(target)).abs().flatten(1).mean(1)
        self.total = self.total + (10 * (self.data_range**2 / apart).log10()).sum()
        self.pairs = self.pairs + len(preds)

    def compute(self) -> Tensor:
        """Return the average over pairs, dB."""
        if self.pairs == 0:
            raise ValueError("PairedSharpness: expected at least one pair, got none. Remedy: update() first.")
        return self.total / self.pairs


def sharpness(images: Tensor) -> Tensor:
    """Return ``|∂x| + |∂y|`` of each pixel of ``(…, H, W)``, in float32 at least: half rounds sums over an image."""
    across, down = differences(images.to(torch.promote_types(images.dtype, torch.float32)))
    return across.abs() + down.abs()
