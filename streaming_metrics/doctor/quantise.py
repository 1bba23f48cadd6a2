"""Quantisation: floats made 8 bits by several rules at once, so that one decoding feeds them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from streaming_metrics.images.base import Images
from streaming_metrics.images.decode import Unreadable
from streaming_metrics.images.own import OwnDataset

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from streaming_metrics.doctor.settings import Rounding

HALF_A_LEVEL = 0.5
RULES: dict[Rounding, Callable[[Tensor], Tensor]] = {
    "rounded": lambda levels: (levels + HALF_A_LEVEL).floor(),
    "truncated": lambda levels: levels.floor(),
}
"""Rules by name: from levels in 0..255 to whole ones.

Example:
    >>> RULES["rounded"](torch.tensor([126.5, 127.49])), RULES["truncated"](torch.tensor([126.5, 127.49]))
    (tensor([127., 127.]), tensor([126., 127.]))
"""


class FloatImages(Images):
    """A dataset of float images, each as 8 bits by every rule, one after another in its channels.

    Args:
        dataset: map-style; its items are float tensors ``(3 or 1, H, W)``, or tuples or dicts with one.
        source: names it in errors.
        value_range: what stands for black and white.
        rules: of :data:`RULES`.
    """

    def __init__(
        self, dataset: Sequence[Any], source: str, value_range: tuple[float, float], rules: Sequence[Rounding]
    ) -> None:
        self.dataset, self.source, self.span, self.rules = dataset, source, value_range, tuple(rules)

    def __len__(self) -> int:
        return len(self.dataset)

    def name(self, i: int) -> str:
        return f"{self.source}[{i}]"

    def __getitem__(self, i: int) -> Tensor:
        image = float_image(self.dataset[i])
        if image is None:
            raise Unreadable(f"expected a float tensor (3, H, W), as the first item is, got {type(self.dataset[i])}")
        low, high = self.span
        levels = (image.detach().float() - low) * (255 / (high - low))
        if not levels.isfinite().all() or levels.min() < -HALF_A_LEVEL or levels.max() > 255 + HALF_A_LEVEL:
            raise Unreadable(f"expected floats in [{low:g}, {high:g}], got {image.min():g} to {image.max():g}")
        levels = levels.clamp(0, 255).expand(3, -1, -1)
        return torch.cat([RULES[rule](levels) for rule in self.rules]).to(torch.uint8)


def float_image(item: Any) -> Tensor | None:
    """Return the float image ``(3 or 1, H, W)`` of a data set's item, itself or the first in a tuple or dict; None
    where there is none.
    """
    inside = list(item.values()) if isinstance(item, dict) else item if isinstance(item, (tuple, list)) else [item]
    for one in inside:
        tensor = torch.from_numpy(one) if isinstance(one, np.ndarray) and one.dtype.kind == "f" else one
        if isinstance(tensor, torch.Tensor) and tensor.is_floating_point() and tensor.ndim == 3:
            tensor = tensor if tensor.shape[0] in (1, 3) else tensor.permute(2, 0, 1)
            return tensor if tensor.shape[0] in (1, 3) else None
    return None


def with_floats(images: Images, value_range: tuple[float, float] | None, rules: Sequence[Rounding]) -> Images:
    """Return images, of floats by every rule where they are floats.

    Raises:
        ValueError: for floats without their range.
    """
    if not isinstance(images, OwnDataset) or not len(images) or float_image(images.dataset[0]) is None:
        return images
    if value_range is None:
        raise ValueError(
            f"{images.source}: expected to know the range of its floats, got no --value-range. Remedy: --value-range "
            "0,1 or --value-range=-1,1."
        )
    return FloatImages(images.dataset, images.source, value_range, rules)
