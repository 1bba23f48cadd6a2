"""Low-level image statistics: SciPy's distances of the descriptors, what each corruption moves, and the edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance
from skimage import data as photographs
from torch.nn.functional import avg_pool2d

from streaming_metrics import FID, Features, GenerativeMetrics, ImageStatistics, NotEnoughSamples
from streaming_metrics.extractors import LowLevel
from streaming_metrics.measures.image_statistics import RANGES

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def crops(seed: int, n: int, side: int = 32) -> Tensor:
    """Return crops of photographs, ``(n, 3, side, side)``."""
    random = np.random.RandomState(seed)
    pictures = [photographs.astronaut(), photographs.chelsea(), photographs.coffee()]
    found = []
    for _ in range(n):
        picture = pictures[random.randint(3)]
        top, left = (random.randint(length - side) for length in picture.shape[:2])
        found.append(picture[top : top + side, left : left + side])
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).contiguous()


REAL, FAKE = crops(0, 90), crops(1, 70)


def score(measure: ImageStatistics, real: Tensor, fake: Tensor) -> dict[str, float]:
    metric = GenerativeMetrics([measure], extractor="low-level")
    for is_real, images in ((True, real), (False, fake)):
        for batch in images.split(37):
            metric.update(batch, real=is_real)
    return {key.removesuffix("_pixels"): value.item() for key, value in metric.compute().items()}


def peers(real: Tensor, fake: Tensor) -> dict[str, float]:
    sides = [{name: c.double().numpy() for name, c in LowLevel()(side).columns().items()} for side in (real, fake)]
    found = {name: float(wasserstein_distance(*(side[name].ravel() for side in sides))) for name in RANGES}
    return found | {"gradients": jensenshannon(*(side["gradients"].mean(0) for side in sides)) ** 2}


CORRUPTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda images: images,
    "dark": lambda images: images // 2,
    "grey": lambda images: images.float().mean(1, keepdim=True).to(torch.uint8).expand_as(images),
    "blur": lambda images: avg_pool2d(images.float(), 3, 1, 1, count_include_pad=False).to(torch.uint8),
    "noise": lambda images: (
        (images + 20 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 255)
    ).to(torch.uint8),
    "flipped": lambda images: images.flip(-1),
}


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_each_distance_is_scipys_to_within_a_bin(corruption: str) -> None:
    fake = CORRUPTIONS[corruption](FAKE)
    found, expected = score(ImageStatistics(), REAL, fake), peers(REAL, fake)
    assert tuple(found) == (*RANGES, "gradients")
    for name, (low, high) in RANGES.items():
        assert abs(found[name] - expected[name]) <= (high - low) / 4096 + 1e-6, name
    assert found["gradients"] == pytest.approx(expected["gradients"], rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("bins", [1, 64, 100_000])
def test_more_bins_come_nearer(bins: int) -> None:
    found, expected = score(ImageStatistics(bins=bins), REAL, FAKE), peers(REAL, FAKE)
    for name, (low, high) in RANGES.items():
        assert abs(found[name] - expected[name]) <= (high - low) / bins + 1e-6


MOVED = {
    "dark": {"luminance", "contrast", "colourfulness", "sharpness", "gradients"},
    "grey": {"colourfulness"},
    "blur": {"spectrum_slope", "sharpness", "gradients"},
    "noise": {"colourfulness", "spectrum_slope", "sharpness", "gradients"},
}


@pytest.mark.parametrize("corruption", MOVED)
def test_each_corruption_moves_what_it_should(corruption: str) -> None:
    images = crops(2, 150)
    still = score(ImageStatistics(), images, crops(3, 150))
    moved = score(ImageStatistics(), images, CORRUPTIONS[corruption](crops(3, 150)))
    assert {name for name in moved if moved[name] > 3 * still[name]} == MOVED[corruption]


def test_identical_sides_and_a_collapsed_one() -> None:
    assert set(score(ImageStatistics(), REAL, REAL).values()) == {0.0}


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_a_collapsed_side_is_as_far_as_its_one_image_is_on_average() -> None:
    found = score(ImageStatistics(), REAL, FAKE[:1].repeat(8, 1, 1, 1))
    columns, single = LowLevel()(REAL).columns(), LowLevel()(FAKE[:1]).columns()
    for name, (low, high) in RANGES.items():
        expected = (columns[name] - single[name]).abs().double().mean().item()
        assert found[name] == pytest.approx(expected, abs=(high - low) / 4096)


def test_one_sample_a_side_is_enough_and_none_is_refused() -> None:
    black, white = (torch.full((1, 3, 8, 8), level, dtype=torch.uint8) for level in (0, 255))
    distances = dict.fromkeys(("contrast", "colourfulness", "sharpness", "spectrum_slope", "gradients"), 0.0)
    assert score(ImageStatistics(), black, white) == {"luminance": 255.0, **distances}
    for real, fake, lacking in ((black, black[:0], "fake"), (black[:0], black, "real")):
        metric = GenerativeMetrics([ImageStatistics()], extractor="low-level")
        for is_real, images in ((True, real), (False, fake)):
            if len(images):
                metric.update(images, real=is_real)
        with pytest.raises(NotEnoughSamples, match=f"ImageStatistics needs at least 1 {lacking} sample"):
            metric.compute()


def test_images_of_several_sizes_are_of_one_side() -> None:
    metric = GenerativeMetrics([ImageStatistics()], extractor="low-level")
    for side in (16, 33, 64):
        metric.update(crops(4, 5, side), real=True)
        metric.update(crops(5, 5, side), real=False)
    assert all(value.isfinite() for value in metric.compute().values())


def test_columns_of_another_width_are_refused() -> None:
    widths = dict.fromkeys(RANGES, 1) | {"gradients": 18, "contrast": 2}
    with pytest.raises(ValueError, match="expected contrast of width 1, got 2"):
        GenerativeMetrics([ImageStatistics()], None, widths=widths)
    with pytest.raises(ValueError, match=r"ImageStatistics needs luminance, .*`widths=`"):
        GenerativeMetrics([FID(), ImageStatistics()], None, num_features=4, widths={"gradients": 18})


def test_half_of_the_real_side_saved_and_merged_is_the_whole(tmp_path) -> None:
    whole = score(ImageStatistics(), REAL, FAKE)
    metric = GenerativeMetrics([ImageStatistics()], extractor="low-level")
    metric.update(REAL, real=True)
    metric.save_reference(tmp_path / "real.safetensors")
    against = GenerativeMetrics([ImageStatistics()], "low-level", reference=tmp_path / "real.safetensors")
    against.update(FAKE, real=False)
    assert {k.removesuffix("_pixels"): v.item() for k, v in against.compute().items()} == pytest.approx(whole, rel=1e-9)


BEYOND = [("luminance", 300.0), ("contrast", 129.0), ("colourfulness", -1.0), ("sharpness", 600.0)]


def given(**columns: float) -> Features:
    values: dict[str, float] = {**dict.fromkeys(RANGES, 1.0), "gradients": 1 / 18, **columns}
    return Features(
        **{name: torch.full((3, 18 if name == "gradients" else 1), value) for name, value in values.items()}
    )


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
@pytest.mark.parametrize(("name", "value"), BEYOND)
def test_given_descriptors_of_another_unit_are_refused(name: str, value: float) -> None:
    metric = GenerativeMetrics([ImageStatistics()], None, widths=LowLevel().spec.widths)
    metric.update(given(), real=True)
    with pytest.raises(
        ValueError, match=rf"{name}: expected values in \[.*, got {value:g} to {value:g}; nothing was added"
    ):
        metric.update(given(**{name: value}), real=False)
    assert metric.num_samples("fake") == 0
    metric.update(given(spectrum_slope=-20.0), real=False)
    assert metric.compute()["spectrum_slope_features"] == pytest.approx(13, abs=0.01)  # it ends at -12


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
@pytest.mark.parametrize("share", [1.0, 1 / 9, -1 / 18])
def test_given_gradients_that_are_no_shares_are_refused(share: float) -> None:
    metric = GenerativeMetrics([ImageStatistics()], None, widths=LowLevel().spec.widths)
    metric.update(given(), real=True)
    metric.update(given(gradients=share), real=False)
    with pytest.raises(ValueError, match="gradients of fake samples to be shares of pixels, adding up to 1, got"):
        metric.compute()
