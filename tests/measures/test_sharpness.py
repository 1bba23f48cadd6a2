"""Sharpness difference, unpaired and paired: the formulas in NumPy, closed forms, and the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_image_statistics import CORRUPTIONS, crops
from torch import Tensor

from streaming_metrics import GenerativeMetrics, NotEnoughSamples, SharpnessDifference
from streaming_metrics.paired_sharpness import PairedSharpness

REAL, FAKE = crops(0, 40), crops(1, 30)


def score(real: Tensor, fake: Tensor) -> dict[str, float]:
    metric = GenerativeMetrics([SharpnessDifference()], extractor="low-level")
    for is_real, images in ((True, real), (False, fake)):
        for batch in images.split(17):
            metric.update(batch, real=is_real)
    return {key.removesuffix("_pixels"): value.item() for key, value in metric.compute().items()}


def numpy_sharpness(planes: np.ndarray) -> np.ndarray:
    """Return ``|∂x| + |∂y|`` of each pixel ``(…, H, W)``."""
    across = np.abs(np.diff(planes, axis=-1, prepend=planes[..., :1]))
    return across + np.abs(np.diff(planes, axis=-2, prepend=planes[..., :1, :]))


def mean_sharpness(images: Tensor) -> float:
    grey = np.rint(np.tensordot(images.double().numpy(), [299, 587, 114], axes=(1, 0)) / 1000)
    return float(numpy_sharpness(grey).mean())


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_it_is_the_difference_of_means(corruption: str) -> None:
    fake = CORRUPTIONS[corruption](FAKE)
    excess = mean_sharpness(fake) - mean_sharpness(REAL)
    expected = {"sharpness_difference": abs(excess), "sharpness_excess": excess}
    assert score(REAL, fake) == pytest.approx(expected, rel=1e-5)


def test_blur_is_negative_noise_positive_and_equal_sides_0() -> None:
    assert score(REAL, CORRUPTIONS["blur"](REAL))["sharpness_excess"] < -3
    assert score(REAL, CORRUPTIONS["noise"](REAL))["sharpness_excess"] > 3
    assert set(score(REAL, REAL).values()) == {0.0}
    assert score(REAL, REAL.flip(0))["sharpness_difference"] < 1e-9


def test_without_samples_it_is_refused() -> None:
    metric = GenerativeMetrics([SharpnessDifference()], extractor="low-level")
    metric.update(REAL, real=True)
    with pytest.raises(NotEnoughSamples, match="SharpnessDifference needs at least 1 fake sample"):
        metric.compute()


# --- paired -----------------------------------------------------------------------------------------------------------


def floats(images: Tensor) -> Tensor:
    return images.float() / 255


@pytest.mark.parametrize("data_range", [1.0, 255.0])
def test_the_paired_one_is_the_papers_formula(data_range: float) -> None:
    target, preds = (data_range * floats(images) for images in (REAL, CORRUPTIONS["blur"](REAL)))
    metric = PairedSharpness(data_range)
    for some, others in zip(preds.split(7), target.split(7)):
        metric.update(some, others)
    apart = np.abs(numpy_sharpness(preds.double().numpy()) - numpy_sharpness(target.double().numpy()))
    expected = np.mean(10 * np.log10(data_range**2 / apart.mean((1, 2, 3))))
    assert metric.compute().item() == pytest.approx(expected, rel=1e-5)
    assert metric.higher_is_better


def test_a_sharper_prediction_scores_higher_and_an_equal_one_infinitely() -> None:
    target = floats(REAL)

    def scored(preds: Tensor) -> float:
        metric = PairedSharpness()
        metric.update(preds, target)
        return metric.compute().item()

    soft = floats(CORRUPTIONS["blur"](REAL))
    softer = floats(CORRUPTIONS["blur"](CORRUPTIONS["blur"](REAL)))
    assert scored(softer) < scored(soft) < scored(target) == math.inf
    assert scored(1 - target) > 60  # a negative is as sharp, but for rounding


def test_bytes_are_taken_as_they_are() -> None:
    metric, exact = PairedSharpness(255), PairedSharpness(255)
    metric.update(REAL[:5], REAL[5:10])
    exact.update(REAL[:5].float(), REAL[5:10].float())
    assert metric.compute() == exact.compute()


@pytest.mark.parametrize(
    ("preds", "target"),
    [(REAL[:2], REAL[:3]), (REAL[:2, :, :8], REAL[:2]), (REAL[0], REAL[0])],
    ids=["number", "size", "one without a batch"],
)
def test_what_are_no_pairs_is_refused(preds: Tensor, target: Tensor) -> None:
    with pytest.raises(ValueError, match=r"expected predictions and images \(N, C, H, W\) of one shape"):
        PairedSharpness().update(preds, target)


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_without_pairs_it_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least one pair, got none"):
        PairedSharpness().compute()
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="data_range: expected a number greater than 0"):
            PairedSharpness(wrong)


def test_half_precision_is_summed_in_float32() -> None:
    target = floats(REAL).half()
    preds = (target + 0.001 * floats(REAL)).half()
    metric, exact = PairedSharpness(), PairedSharpness()
    metric.update(preds, target)
    exact.update(preds.double(), target.double())
    assert metric.compute().item() == pytest.approx(exact.compute().item(), abs=1e-4)


def test_bytes_in_the_range_of_floats_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected floats in \[0, 1\] with data_range=1, got torch.uint8 and"):
        PairedSharpness().update(REAL, floats(REAL))
