"""Images for the doctor, small and quick: crops of photographs, digits, a module that describes them, facts of two
sides.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from skimage import data
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from streaming_metrics.doctor.examination import Draws, Examination
from streaming_metrics.doctor.explanation import facts_of
from streaming_metrics.doctor.protocols import Situation
from streaming_metrics.extractors import ModuleExtractor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.doctor.facts import Facts
    from streaming_metrics.extractors import Extractor
    from streaming_metrics.files.reference import Reference

SIDE, N, FLAT = 32, 240, 8


class Described(nn.Module):
    """Colours on a grid, edges and contrast of images, 16 directions of them."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("directions", torch.randn(57, 16, generator=torch.Generator().manual_seed(0)) / 8)

    def forward(self, images: Tensor) -> Tensor:
        pixels = adaptive_avg_pool2d(images.float() / 255, (SIDE, SIDE))
        edges = [4 * pixels.diff(dim=dim).abs().mean((2, 3)) for dim in (2, 3)]
        grid = adaptive_avg_pool2d(pixels, 4).flatten(1)
        return torch.cat([grid, *edges, pixels.std((2, 3))], 1) @ self.directions


@cache
def described() -> Extractor:
    return ModuleExtractor(Described(), tag="described")


@cache
def crops(n: int = N, seed: int = 0, side: int = SIDE) -> Tensor:
    """Return crops of three photographs, none of them flat, uint8 ``(n, 3, side, side)``."""
    generator, pictures = np.random.default_rng(seed), [make() for make in (data.astronaut, data.chelsea, data.coffee)]
    found = []
    while len(found) < n:
        picture = pictures[generator.integers(len(pictures))]
        y, x = (generator.integers(length - side) for length in picture.shape[:2])
        crop = picture[y : y + side, x : x + side]
        found += [crop] if crop.std() > FLAT else []
    return torch.from_numpy(np.stack(found).transpose(0, 3, 1, 2).copy())


def digits(seed: int = 0) -> tuple[Tensor, Tensor, np.ndarray, np.ndarray]:
    """Return two halves of scikit-learn's digits as RGB, uint8 ``(n, 3, 32, 32)``, and their classes."""
    loaded = load_digits()
    order = np.random.default_rng(seed).permutation(len(loaded.images))
    grey = torch.from_numpy((loaded.images * (255 / 16)).round().astype(np.uint8)).unsqueeze(1)
    images = grey.repeat_interleave(4, 2).repeat_interleave(4, 3).expand(-1, 3, -1, -1)
    half = len(order) // 2
    return images[order[:half]], images[order[half:]], loaded.target[order[:half]], loaded.target[order[half:]]


def as_jpeg(images: Tensor, quality: int) -> Tensor:
    """Return images that went through JPEG."""
    import io

    found = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=quality)
        found.append(torch.from_numpy(np.asarray(Image.open(file)).copy()).permute(2, 0, 1))
    return torch.stack(found)


def facts(
    real: Tensor,
    fake: Tensor,
    network: Extractor | None = None,
    classes: tuple[Mapping[str, int], Mapping[str, int]] = ({}, {}),
    file: Reference | None = None,
) -> Facts:
    """Return the facts of two sides, as the command line makes them."""
    seen, protocols = examined(real, fake, network, file)
    return facts_of(seen, protocols, *classes)


def examined(real: Tensor, fake: Tensor, network: Extractor | None = None, file: Reference | None = None):
    network = network or described()
    protocols = Situation(network.name, len(fake), has_file=file is not None).protocols()
    parts = tuple({p.setting.num_samples for p in protocols if p.setting.num_samples is not None})
    seen = Examination({("", "fp32"): network}, Draws(len(fake), parts))
    seen.file = file
    for images, is_real in ((real, True), (fake, False)):
        for start in range(0, len(images), 64):
            ids = torch.arange(start, min(start + 64, len(images)))
            seen.update(images[start : start + 64], real=is_real, index=ids)
    return seen, protocols
