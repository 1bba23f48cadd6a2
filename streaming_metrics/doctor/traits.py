"""Traits: what the checks read off each image's pixels, as an extractor without a network.

Blocks of JPEG: those coefficients of its 8 × 8 cosine transforms that were rounded to 0 stay near 0 once it is decoded,
on the grid of its blocks and on no other. Flat blocks are not counted: bars, plain backgrounds and enlarged pixels may
keep to such a grid by themselves (Z. Fan, R. de Queiroz, "Identification of bitmap compression history: JPEG
detection and quantizer estimation", IEEE Transactions on Image Processing 2003).
"""

from __future__ import annotations

from functools import lru_cache
from math import pi

import torch
from torch import Tensor

from streaming_metrics.extractors.base import Extractor
from streaming_metrics.extractors.low_level import LUMA
from streaming_metrics.features import Features, Spec

BLOCK = 8
NEAR_ZERO = 1.0
"""Of a coefficient: rounding pixels to whole levels moves each by 0.29 in standard deviation, since the transform is
orthonormal, so nearly all that were 0 stay below."""
FLAT = 8.0
"""Largest coefficient of a block that is called flat, its mean aside: noise of one level, unseen, stays below."""
NAMES = (
    *("red", "green", "blue"),
    *("red_spread", "green_spread", "blue_spread"),
    *("red_green", "green_blue"),
    *("above_one", "bright", "dark", "black"),
    *("log_height", "log_width", "blocks", "has_blocks"),
)
"""Of each image: means and standard deviations of its channels, and covariances of neighbouring ones (in 255ths);
whether a value is above 1, in the upper, in the lower half of the range; share of its values that are 0; log2 of its
sides; share of coefficients near 0 on the grid of JPEG, less that on the grid half a block off, and whether it is large
enough to have both.
"""
PLACES = {name: place for place, name in enumerate(NAMES)}


class Traits(Extractor):
    """Traits of images of any size, in the column ``traits`` of :class:`Features`; no weights, no resize.

    Example:
        >>> traits = Traits()(torch.full((1, 3, 16, 32), 255, dtype=torch.uint8)).traits[0]
        >>> [traits[PLACES[name]].item() for name in ("red", "dark", "log_height", "log_width", "has_blocks")]
        [1.0, 0.0, 4.0, 5.0, 1.0]
    """

    name = "traits"
    tag = "traits"
    weights_id = "1"
    resize = "native"
    cosines: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.spec = Spec(widths={"traits": len(NAMES)})
        self.register_buffer("cosines", _cosines())  # it knows its device by it

    def extract(self, images: Tensor) -> Features:
        """Return the traits of checked uint8 images ``(N, 3, H, W)`` on this extractor's device."""
        pixels = images.float() / 255
        columns = [*_colours(pixels), *_reaches(images), *_sides(images), *self._blocks(images)]
        return Features(traits=torch.stack(columns, dim=1))

    def _blocks(self, images: Tensor) -> tuple[Tensor, Tensor]:
        n, _, height, width = images.shape
        if min(height, width) < 2 * BLOCK:
            return torch.zeros(n, device=images.device), torch.zeros(n, device=images.device)
        grey = sum(weight / 1000 * channel for weight, channel in zip(LUMA, images.float().unbind(1)))
        assert isinstance(grey, Tensor)
        half = BLOCK // 2
        share = self._near_zero(grey) - self._near_zero(grey[:, half:-half, half:-half])
        return share.nan_to_num(0.0), torch.ones(n, device=images.device)

    def _near_zero(self, grey: Tensor) -> Tensor:
        """Return the share ``(N,)`` of coefficients near 0 in blocks of grey levels ``(N, H, W)`` that are not flat,
        means aside; NaN where all are flat.
        """
        blocks = grey.unfold(1, BLOCK, BLOCK).unfold(2, BLOCK, BLOCK)
        sizes = (self.cosines @ blocks @ self.cosines.T).abs().flatten(3)[..., 1:]
        textured = sizes.amax(3) >= FLAT
        near = (sizes < NEAR_ZERO).float().mean(3) * textured
        return near.sum((1, 2)) / textured.sum((1, 2))


def _colours(pixels: Tensor) -> list[Tensor]:
    flat = pixels.flatten(2)
    means = flat.mean(2)
    centred = flat - means.unsqueeze(2)
    red, green, blue = centred.unbind(1)
    spreads = centred.square().mean(2).sqrt()
    return [*means.unbind(1), *spreads.unbind(1), (red * green).mean(1), (green * blue).mean(1)]


def _reaches(images: Tensor) -> list[Tensor]:
    flat = images.flatten(1)
    least, most = flat.amin(1), flat.amax(1)
    return [(most > 1).float(), (most > 128).float(), (least < 127).float(), (flat == 0).float().mean(1)]


def _sides(images: Tensor) -> list[Tensor]:
    sides = torch.tensor(images.shape[-2:], dtype=torch.float32, device=images.device).log2()
    return [side.expand(len(images)) for side in sides]


@lru_cache(maxsize=1)
def _cosines() -> Tensor:
    """Return the orthonormal cosine transform of 8 values, ``(8, 8)``."""
    place = torch.arange(BLOCK, dtype=torch.float64, device="cpu")
    waves = torch.cos(pi * (2 * place + 1) * place.unsqueeze(1) / (2 * BLOCK)) * (2 / BLOCK) ** 0.5
    waves[0] /= 2**0.5
    return waves.float()
