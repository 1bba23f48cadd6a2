"""Low-level statistics of images: the definitions in NumPy and scikit-image, closed forms, and images of any shape."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from reference_weights import draw_images
from skimage import data as photographs
from skimage.color import rgb2yuv

from streaming_metrics.extractors import LowLevel, low_level, resolve
from streaming_metrics.extractors.low_level import GRADIENT_BINS, WIDTHS, rings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

EXTRACTOR = LowLevel()


def described(images: Tensor) -> dict[str, NDArray[np.float64]]:
    return {name: column.double().numpy() for name, column in EXTRACTOR(images).columns().items()}


def one(images: Tensor) -> dict[str, float]:
    """Return the scalars of one image."""
    return {name: column[0, 0] for name, column in described(images).items() if WIDTHS[name] == 1}


# --- the definitions, one image at a time in float64 ------------------------------------------------------------------


def numpy_slope(grey: NDArray[np.float64]) -> float:
    height, width = grey.shape
    side = max(height, width)
    power = np.abs(np.fft.fft2(grey - grey.mean())) ** 2 / grey.size
    down, across = (np.fft.fftfreq(length, 1 / length).round().astype(int) for length in (height, width))
    fourfold = 4 * side**2 * (down[:, None] ** 2 * width**2 + across**2 * height**2)  # squared, times (height · width)²
    rings = range(1, side // 2 + 1)
    if len(rings) < 2:
        return 0.0
    edges = [((2 * ring - 1) * height * width) ** 2 for ring in (*rings, len(rings) + 1)]  # whole numbers: exact
    means = [power[(low <= fourfold) & (fourfold < high)].mean() for low, high in itertools.pairwise(edges)]
    return float(np.polyfit(np.log(rings), np.log(np.array(means) + 1 / 12), 1)[0])


def numpy_descriptors(image: NDArray[np.uint8]) -> dict[str, float | NDArray[np.float64]]:
    """Return what the docstring defines, of an image ``(H, W, 3)``."""
    pixels = image.astype(float)
    grey = np.rint(pixels @ [299, 587, 114] / 1000)
    assert np.abs(grey - rgb2yuv(pixels)[..., 0]).max() <= 0.5 + 1e-9
    opponents = pixels[..., 0] - pixels[..., 1], (pixels[..., 0] + pixels[..., 1]) / 2 - pixels[..., 2]
    spread, mean = (math.hypot(*(f(one) for one in opponents)) for f in (np.std, np.mean))
    across = np.diff(grey, axis=1, prepend=grey[:, :1])
    down = np.diff(grey, axis=0, prepend=grey[:1])
    edges = [0, *(2 ** ((b - 0.5) / 2) - 1 for b in range(1, GRADIENT_BINS + 1))]
    return {
        "luminance": grey.mean(),
        "contrast": grey.std(),
        "colourfulness": spread + 0.3 * mean,
        "spectrum_slope": numpy_slope(grey),
        "sharpness": (np.abs(across) + np.abs(down)).mean(),
        "gradients": np.histogram(np.hypot(across, down), edges)[0] / grey.size,
    }


def as_tensor(image: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).unsqueeze(0)


PICTURES: dict[str, Callable[[], NDArray[np.uint8]]] = {
    "astronaut": lambda: photographs.astronaut()[::4, ::4],
    "cat": lambda: photographs.chelsea()[:97, 40:200],
    "coffee, upright": lambda: photographs.coffee()[:200:2, :60],
    "noise": lambda: draw_images(1, 33, 20)[0].permute(1, 2, 0).numpy(),
    "halfway between rings": lambda: draw_images(1, 36, 32)[0].permute(1, 2, 0).numpy(),
    "halfway, but for rounding": lambda: draw_images(1, 18, 27)[0].permute(1, 2, 0).numpy(),
    "grey": lambda: np.repeat(photographs.camera()[::8, ::8, None], 3, axis=2),
    "one row": lambda: photographs.astronaut()[100:101, ::3],
    "one column": lambda: photographs.astronaut()[::3, 100:101],
    "4 pixels": lambda: photographs.astronaut()[100:102, 200:202],
    "3 by 5": lambda: photographs.astronaut()[100:103, 200:205],
    "one pixel": lambda: photographs.astronaut()[:1, :1],
}


@pytest.mark.parametrize("picture", PICTURES)
def test_each_descriptor_is_its_definition_in_numpy(picture: str) -> None:
    image = PICTURES[picture]()
    found = described(as_tensor(image))
    for name, expected in numpy_descriptors(image).items():
        tolerance = 1e-4 if name == "spectrum_slope" else 1e-5
        np.testing.assert_allclose(found[name][0].squeeze(), expected, rtol=tolerance, atol=1e-5, err_msg=name)


def test_many_images_are_described_each_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    images = draw_images(7, 24, 30)
    whole = described(images)
    monkeypatch.setattr(low_level, "AT_ONCE", 2 * 24 * 30)
    for name, column in described(images).items():
        alone = np.concatenate([described(image)[name] for image in images.split(1)])
        np.testing.assert_allclose(column, whole[name], rtol=1e-6)
        np.testing.assert_allclose(column, alone, rtol=1e-6)


# --- closed forms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (3, 3), (16, 16), (31, 64)])
@pytest.mark.parametrize("level", [0, 7, 255])
def test_a_constant_image_is_bright_and_nothing_else(shape: tuple[int, int], level: int) -> None:
    image = torch.full((1, 3, *shape), level, dtype=torch.uint8)
    none = dict.fromkeys(("contrast", "colourfulness", "spectrum_slope", "sharpness"), 0.0)
    assert one(image) == {"luminance": level, **none}
    assert described(image)["gradients"][0].tolist() == [1.0] + [0.0] * (GRADIENT_BINS - 1)


def test_half_black_half_white() -> None:
    image = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    image[..., 4:] = 255
    found = one(image)
    assert (found["luminance"], found["contrast"], found["colourfulness"]) == (127.5, 127.5, 0)
    assert found["sharpness"] == pytest.approx(255 / 8)
    assert described(image)["gradients"][0].nonzero()[0].tolist() == [0, 16]  # 2^(16/2) − 1 = 255
    assert described(image)["gradients"][0, 16] == 1 / 8


def test_the_largest_values_stay_within_what_the_docstring_says() -> None:
    columns = [torch.tensor(colours, dtype=torch.uint8) for colours in ([255, 0, 255], [0, 255, 0])]
    boards = torch.stack(columns, dim=1).repeat(1, 32).view(1, 3, 1, 64).repeat(1, 1, 64, 1)
    boards[:, :, ::2] = boards[:, :, ::2].flip(-1)
    assert 280 < one(boards)["colourfulness"] < 300
    black_and_white = torch.arange(64).remainder(2).mul(255).to(torch.uint8).expand(1, 3, 64, 64).clone()
    black_and_white[:, :, ::2] = 255 - black_and_white[:, :, ::2]
    assert one(black_and_white)["sharpness"] < 510
    assert one(black_and_white)["contrast"] == 127.5
    assert described(black_and_white)["gradients"][0, GRADIENT_BINS - 1] == pytest.approx((63 / 64) ** 2)


def coloured_noise(exponent: float, side: int = 128) -> Tensor:
    """Return an image whose power falls as frequency^exponent."""
    random = np.random.RandomState(0)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
    frequency[0, 0] = 1
    grey = np.fft.ifft2(np.fft.fft2(random.randn(side, side)) * frequency ** (exponent / 2)).real
    grey = np.clip(128 + 40 * (grey - grey.mean()) / grey.std(), 0, 255).round().astype(np.uint8)
    return torch.from_numpy(grey).expand(1, 3, -1, -1)


@pytest.mark.parametrize("exponent", [0.0, -1.0, -2.0, -3.0])
def test_the_slope_is_the_exponent_of_the_power(exponent: float) -> None:
    assert one(coloured_noise(exponent))["spectrum_slope"] == pytest.approx(exponent, abs=0.15)


def test_a_photograph_is_about_minus_two_and_steeper_when_blurred() -> None:
    image = as_tensor(photographs.astronaut()[::2, ::2])
    blurred = torch.nn.functional.avg_pool2d(image.float(), 5, stride=1, padding=2).to(torch.uint8)
    sharp, soft = one(image), one(blurred)
    assert -3 < sharp["spectrum_slope"] < -1.5
    assert soft["spectrum_slope"] < sharp["spectrum_slope"] - 0.3
    assert soft["sharpness"] < 0.7 * sharp["sharpness"]


@pytest.mark.parametrize(("height", "width"), [(1, 9), (7, 7), (12, 5), (8, 8)])
def test_rings_hold_every_frequency_up_to_half_a_cycle_once(height: int, width: int) -> None:
    rings = rings_of(height, width, torch.device("cpu"))
    members = rings.members[rings.shares > 0]
    assert len(members.unique()) == len(members)
    torch.testing.assert_close(rings.shares.sum(1), torch.ones(max(height, width) // 2))


# --- as an extractor --------------------------------------------------------------------------------------------------


def test_it_needs_no_weights_and_has_one_fingerprint() -> None:
    assert resolve("low-level").fingerprint == "low-level-1|pool|native|fp32"
    assert resolve("low-level", precision="bf16").fingerprint == "low-level-1|pool|native|fp32"
    assert EXTRACTOR.label == "low-level-1"
    with pytest.raises(TypeError, match="low-level takes no weights"):
        resolve("low-level", weights="some.pth")
