"""Preprocessing of named networks: Pillow bit for bit, and the transforms of torchvision, timm and open_clip."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import timm
import torch
from host_reads import HostReads
from open_clip.transform import image_transform
from PIL import Image
from torchvision.transforms import v2

from streaming_metrics.extractors.pil import KERNELS, resample
from streaming_metrics.extractors.preprocess import CLIP, IMAGENET, SAMPLERS, Preprocess, adm_crop
from streaming_metrics.extractors.six_networks import Input
from streaming_metrics.extractors.timm_network import preprocess_of

if TYPE_CHECKING:
    from torch import Tensor

SIZES = [(37, 61), (224, 224), (300, 200), (28, 28), (513, 770)]
PIL_KERNELS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR, "box": Image.Resampling.BOX}


def noise(height: int, width: int, seed: int = 0) -> Tensor:
    """Return one uint8 image whose values reach both ends, where cubic kernels overshoot."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(1, 3, height, width, generator=generator) * 900 - 300).clamp(0, 255).to(torch.uint8)


def as_pil(images: Tensor) -> Image.Image:
    return Image.fromarray(images[0].permute(1, 2, 0).numpy())


def by_pil(image: Image.Image, height: int, width: int, kernel: Image.Resampling) -> Image.Image:
    """Resize rows first, as every release of Pillow did until some shapes went columns first."""
    return image.resize((width, image.height), kernel).resize((width, height), kernel)


def from_pil(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("size", SIZES[:4], ids=str)
@pytest.mark.parametrize("out", [(224, 224), (31, 500), (17, 23)], ids=str)
def test_resampling_is_pillows_bit_for_bit(kernel: str, size: tuple[int, int], out: tuple[int, int]) -> None:
    images = noise(*size)
    theirs = from_pil(by_pil(as_pil(images), *out, PIL_KERNELS[kernel]))
    assert resample(images, *out, kernel).equal(theirs)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_squeezed_images_are_torchvisions_of_a_pil_image(size: tuple[int, int]) -> None:
    images, ours = noise(*size), Preprocess(224, "pil-bicubic")
    pixels = from_pil(by_pil(as_pil(images), 224, 224, Image.Resampling.BICUBIC)) / 255
    torch.testing.assert_close(ours(images), v2.functional.normalize(pixels, list(ours.mean), list(ours.std)))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_square_is_cut_before_it_is_resized(size: tuple[int, int]) -> None:
    """CMMD's: the largest square in the middle, then Pillow's bicubic."""
    images, side = noise(*size), min(size)
    left, top = (size[1] - side) // 2, (size[0] - side) // 2
    cut = as_pil(images).crop((left, top, left + side, top + side)).resize((336, 336), Image.Resampling.BICUBIC)
    flat = Preprocess(336, "pil-bicubic", "square", mean=(0, 0, 0), std=(1, 1, 1))
    torch.testing.assert_close(flat(images), from_pil(cut) / 255)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_it_is_open_clips_transform(size: tuple[int, int]) -> None:
    theirs: Any = image_transform(224, is_train=False, mean=CLIP[0], std=CLIP[1])
    images = noise(*size)
    ours = Preprocess(224, "pil-bicubic", "shorter", 224, *CLIP)
    torch.testing.assert_close(ours(images), theirs(as_pil(images))[None], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("size", "mode"), [*((size, "center") for size in SIZES), ((224, 300), "squash")], ids=str)
def test_it_is_timms_transform(size: tuple[int, int], mode: str) -> None:
    given = {"interpolation": "bicubic", "crop_pct": 0.9, "crop_mode": mode, "mean": CLIP[0], "std": CLIP[1]}
    theirs: Any = timm.data.create_transform((3, 224, 224), **given)
    images = noise(*size)
    ours = preprocess_of(SimpleNamespace(input_size=(3, 224, 224), **given), "timm/mine")
    assert ours.name == {"center": "pil-bicubic-248-crop-224", "squash": "pil-bicubic-squash-248-crop-224"}[mode]
    torch.testing.assert_close(ours(images), theirs(as_pil(images))[None], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [*SIZES, (64, 64), (40, 130)], ids=str)
def test_guided_diffusions_crop_halves_by_means_first(size: tuple[int, int]) -> None:
    images, side = noise(*size), 32
    image = as_pil(images)
    while min(image.size) >= 2 * side:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = side / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    expected = torch.from_numpy(pixels[top : top + side, left : left + side].copy()).permute(2, 0, 1)[None]
    assert adm_crop(images, side).equal(expected)


def test_the_antialiased_bicubic_is_neither_rounded_nor_cut_off() -> None:
    images = noise(61, 61)
    flat = Preprocess(30, "torch-bicubic", mean=(0, 0, 0), std=(1, 1, 1))(images)
    expected = torch.nn.functional.interpolate(images.float(), (30, 30), mode="bicubic", antialias=True) / 255
    torch.testing.assert_close(flat, expected)
    assert flat.max() > 1
    assert flat.min() < 0


def test_names_tell_protocols_apart() -> None:
    several = [
        Preprocess(224, "pil-bicubic"),
        Preprocess(224, "torch-bicubic"),
        Preprocess(224, "pil-bicubic", "square"),
        Preprocess(224, "pil-bicubic", "shorter", 224),
        Preprocess(224, "pil-bicubic", "shorter", 248),
        Preprocess(224, "torch-antialias"),
        Preprocess(224, "pil-bicubic", "shorter-floor", 248),
        Preprocess(224, "pil-bicubic", "squash", 248),
        Preprocess(224, "torch-bicubic", "adm", 256),
    ]
    assert len({one.name for one in several}) == len(several)


@pytest.mark.parametrize(("options", "said"), [
    ({"resize": "pil-bicubc"}, "Did you mean 'pil-bicubic'"),
    ({"resize": "pil-bicubic", "crop": "adm"}, "expected pixels where crop is"),
    ({"resize": "pil-bicubic", "before": 256}, "expected pixels where crop is"),
    ({"resize": "pil-bicubic", "crop": "shorter", "before": 200}, "expected at least the side, 224 pixels, got 200"),
    ({"resize": "pil-bicubic", "crop": "centre"}, "Unknown crop 'centre'"),
])  # fmt: skip
def test_what_is_no_preprocessing_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Preprocess(224, **options)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
def test_it_follows_no_default_dtype(dtype: torch.dtype) -> None:
    """Trainers in half precision set one: means rounded to it would move every feature."""
    images = noise(40, 56)
    steps = Preprocess(32, "pil-bicubic"), Input(32, *IMAGENET)
    given = images, images[..., :40] / 255
    expected = [step(one) for step, one in zip(steps, given)]
    torch.set_default_dtype(dtype)
    try:
        found = [step(one) for step, one in zip(steps, given)]
    finally:
        torch.set_default_dtype(torch.float32)
    for one, other in zip(found, expected):
        assert one.dtype == torch.float32
        assert torch.equal(one, other)


@pytest.mark.parametrize("prepare", [*(Preprocess(16, resize) for resize in SAMPLERS), Input(16, *CLIP)], ids=str)
def test_what_it_needs_is_brought_to_a_device_once(prepare: Any) -> None:
    """A constant that each batch sent anew would wait for the batch before."""
    images = noise(40, 24) if isinstance(prepare, Preprocess) else noise(40, 24) / 255
    expected = prepare(images)
    with HostReads() as reads:
        found = prepare(images)
    assert reads.asked == []
    assert torch.equal(found, expected)
