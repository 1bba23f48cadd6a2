"""From images to network input: each named resize equals its peer's, and bad images are refused with a remedy."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from reference_weights import draw_images
from torch import Tensor
from torch.nn.functional import interpolate
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from streaming_metrics.extractors import RESIZES, to_uint8

SIDE = 299
SIZES = [(1, 1), (2, 3), (32, 32), (28, 64), (299, 299), (299, 100), (512, 384)]


def fidelity(images: Tensor) -> Tensor:
    pixels = interpolate_bilinear_2d_like_tensorflow1x(images.float(), size=(SIDE, SIDE), align_corners=False)
    return (pixels - 128) / 128


def pytorch_fid(images: Tensor) -> Tensor:
    return 2 * interpolate(images / 255, size=(SIDE, SIDE), mode="bilinear", align_corners=False) - 1


def torchmetrics(images: Tensor) -> Tensor:
    resized = interpolate(images.float(), size=(SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
    return (resized - 128) / 128


def pil(images: Tensor) -> Tensor:
    def resize(channel: np.ndarray) -> np.ndarray:
        image = Image.fromarray(channel.astype(np.float32))
        return np.asarray(image.resize((SIDE, SIDE), resample=Image.Resampling.BICUBIC)).clip(0, 255)

    rows = [np.stack([resize(channel) for channel in image]) for image in images.numpy()]
    return (torch.from_numpy(np.stack(rows)) - 128) / 128


ORACLES = {"tf1-bilinear": fidelity, "torch-bilinear": pytorch_fid, "torch-antialias": torchmetrics, "clean": pil}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", RESIZES)
def test_a_named_resize_equals_its_peers(name: str, size: tuple[int, int]) -> None:
    images = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    before = images.clone()
    ours = RESIZES[name](images, SIDE)
    assert ours.dtype == torch.float32
    assert ours.shape == (2, 3, SIDE, SIDE)
    assert (ours - ORACLES[name](images)).abs().max() < 5e-6
    assert torch.equal(images, before)


@pytest.mark.parametrize(("one", "other"), list(combinations(RESIZES, 2)))
def test_no_two_of_them_are_the_same(one: str, other: str) -> None:
    images = draw_images(1, 512, 384)
    assert (RESIZES[one](images, SIDE) - RESIZES[other](images, SIDE)).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["tf1-bilinear", "torch-antialias", "clean"])
def test_images_of_the_right_size_are_not_resampled(name: str) -> None:
    images = draw_images(1, SIDE, SIDE)
    assert torch.equal(RESIZES[name](images, SIDE), (images.float() - 128) / 128)


def test_resizes_follow_neither_default_dtype_nor_default_device() -> None:
    images = draw_images(1, 8, 9)
    expected = {name: resize(images, SIDE) for name, resize in RESIZES.items()}
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("meta"):
            got = {name: resize(images, SIDE) for name, resize in RESIZES.items()}
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(torch.equal(got[name], expected[name]) for name in RESIZES)


# --- to uint8 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value_range", [(0, 1), (-1, 1)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_grey_level_comes_back(value_range: tuple[float, float], dtype: torch.dtype) -> None:
    low, high = value_range
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    assert torch.equal(to_uint8(levels.to(dtype) / 255 * (high - low) + low, value_range), levels)


def test_half_precision_rounds_to_the_nearest_level() -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    assert torch.equal(to_uint8((levels / 255).half(), (0, 1)), levels)
    difference = to_uint8((levels / 255).bfloat16(), (0, 1)).int() - levels.int()
    assert difference.abs().max() <= 1


def test_values_are_rounded_and_a_little_overshoot_is_clamped() -> None:
    values = torch.tensor([-0.4, 0.499 / 255, 0.501 / 255, 254.4 / 255, 254.6 / 255, 1.4])
    images = values.reshape(1, 1, 1, 6).expand(1, 3, 1, 6)
    assert to_uint8(images, (0, 1))[0, 0, 0].tolist() == [0, 0, 1, 254, 255, 255]


@pytest.mark.parametrize("value_range", [None, (0, 1)])
def test_uint8_passes_untouched(value_range: tuple[float, float] | None) -> None:
    images = draw_images(2, 4, 4)
    assert to_uint8(images, value_range) is images


FLOATS = torch.rand(2, 3, 4, 5)


@pytest.mark.parametrize(
    ("images", "value_range", "kind", "message"),
    [
        (FLOATS, None, TypeError, r"got torch.float32. Remedy: give the metric value_range=\(0, 1\) or \(-1, 1\)"),
        (FLOATS.long(), (0, 1), TypeError, r"got torch.int64. Remedy: images.to\(torch.uint8\)"),
        (FLOATS.numpy(), (0, 1), TypeError, "Expected a tensor of images, got ndarray"),
        (FLOATS[0], (0, 1), ValueError, r"got \(3, 4, 5\). Remedy: images.unsqueeze\(0\)"),
        (FLOATS[:, :1], (0, 1), ValueError, r"got \(2, 1, 4, 5\). Remedy: images.expand\(-1, 3, -1, -1\)"),
        (FLOATS.permute(0, 2, 3, 1), (0, 1), ValueError, r"got \(2, 4, 5, 3\). Remedy: images.permute\(0, 3, 1, 2\)"),
        (FLOATS[:, :2], (0, 1), ValueError, r"got \(2, 2, 4, 5\). Remedy: give at least one RGB image"),
        (FLOATS[:0], (0, 1), ValueError, r"got \(0, 3, 4, 5\)"),
        (FLOATS[..., :0], (0, 1), ValueError, r"got \(2, 3, 4, 0\)"),
        (FLOATS * 255, (0, 1), ValueError, r"in value_range=\(0, 1\), got .* to .*Remedy: .*images.round\(\)"),
        (FLOATS * 2 - 1.0, (0, 1), ValueError, r"in value_range=\(0, 1\), got -0.9.* to .* give the value_range="),
        (FLOATS * 6 - 3, (-1, 1), ValueError, r"in value_range=\(-1, 1\), got"),
        (FLOATS.log().mul(0).div(0), (0, 1), ValueError, "Expected finite pixels, got 120 of 120 NaN or infinite"),
        (FLOATS, (1, 0), ValueError, r"value_range: expected low < high, got \(1, 0\)"),
    ],
)
def test_other_images_are_refused(images: Any, value_range: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        to_uint8(images, value_range)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_one_bad_pixel_is_counted(bad: float) -> None:
    images = torch.zeros(2, 3, 4, 5)
    images[1, 2, 3, 4] = bad
    with pytest.raises(ValueError, match="got 1 of 120 NaN or infinite"):
        to_uint8(images, (0, 1))
