"""AdaGAN's coverage by its definition on scikit-learn's KernelDensity, under the null, and beside the authors' code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scores import normal, score
from sklearn.neighbors import KernelDensity
from torch import Tensor

from streaming_metrics import AdaGANCoverage, BiasWarning, GenerativeMetrics, NotEnoughSamples
from streaming_metrics.pairwise import Bandwidths

SEEDS = st.integers(0, 2**31 - 1)


def ours(measure: AdaGANCoverage, real: Tensor, fake: Tensor) -> float:
    return score(measure, real, fake)["coverage_adagan"]


def log_densities(rows: np.ndarray, points: np.ndarray, width: float) -> np.ndarray:
    """In leaves of all samples: in many dimensions smaller ones are added up wrongly."""
    return KernelDensity(bandwidth=width, leaf_size=len(points) + 1).fit(points).score_samples(rows)


def definition(real: Tensor, fake: Tensor, widths: tuple[float, ...], level: float = 0.95) -> float:
    """``P_data(p > t)``, ``P_model(p > t) = level``; each generated sample left out of its own density."""
    x, y = real.double().numpy(), fake.double().numpy()
    others = [np.delete(y, j, axis=0) for j in range(len(y))]
    own = [[log_densities(y[j : j + 1], others[j], width)[0] for j in range(len(y))] for width in widths]
    best = int(np.argmax(np.mean(own, 1)))
    return float((log_densities(x, y, widths[best]) > np.quantile(own[best], 1 - level)).mean())


def authors(real: Tensor, fake: Tensor, width: float) -> float:
    """Their metrics.py: densities at the samples that the estimate is made of, each among them."""
    x, y = real.double().numpy(), fake.double().numpy()
    return 1 - float((log_densities(x, y, width) <= np.percentile(log_densities(y, y, width), 5)).mean())


@pytest.mark.parametrize(("n", "m", "width"), [(50, 60, 1), (80, 45, 3), (40, 50, 200)])
@pytest.mark.parametrize("level", [0.95, 0.5])
@given(seed=SEEDS)
@settings(max_examples=3)
def test_value_is_the_definition(n: int, m: int, width: int, level: float, seed: int) -> None:
    real, fake, widths = normal(seed, n, width), normal(seed + 1, m, width, 0.4, 0.8), (0.01, 0.3, 0.7, 1.5, 40.0)
    expected = definition(real, fake, widths, level)
    assert ours(AdaGANCoverage(widths=widths, level=level), real, fake) == pytest.approx(expected)


@pytest.mark.parametrize("width", [2, 16, 256])
def test_equal_distributions_have_the_level(width: int) -> None:
    values = [
        ours(AdaGANCoverage(), normal(2 * seed, 300, width), normal(2 * seed + 1, 300, width)) for seed in range(4)
    ]
    assert abs(np.mean(values) - 0.95) < 5 * (0.95 * 0.05 * 2 / 300 / 4) ** 0.5 + 1 / 300


def test_the_authors_threshold_covers_nothing_in_many_dimensions() -> None:
    """Which is why a sample is left out of its own density here; in two dimensions it hardly matters."""
    plane, space = ((normal(0, 500, width), normal(1, 500, width)) for width in (2, 64))
    assert ours(AdaGANCoverage(widths=(0.4,)), *plane) == pytest.approx(authors(*plane, width=0.4), abs=0.02)
    assert authors(*space, width=1.1) == 0
    assert ours(AdaGANCoverage(widths=(1.1,)), *space) == pytest.approx(0.95, abs=0.04)


def test_densities_of_all_generated_samples_would_exceed_a_threshold_by_a_few() -> None:
    real, fake = normal(0, 500, 64).double(), normal(1, 16_000, 64).double()
    few, one = fake[:1000], Bandwidths(torch.tensor([0.5]).double())

    def densities(rows: Tensor, points: Tensor, n: int) -> Tensor:
        squared = torch.cdist(rows, points, compute_mode="use_mm_for_euclid_dist").square()
        squared = squared.fill_diagonal_(torch.inf) if rows is points else squared
        return one.log_densities(*one.summed(squared), n, 64)[0]

    threshold = densities(few, few, 999).quantile(0.05)
    mixed, alike = ((densities(real, points, len(points)) > threshold).double().mean() for points in (fake, few))
    assert mixed > 0.98
    assert abs(alike - 0.95) < 0.03


def test_the_region_of_a_uniform_is_most_of_it() -> None:
    """Generated samples on [0, ½]: the real ones of [0, 1] there, less the 5 % that edges are."""
    real, fake = ((torch.arange(400.0) / 400).unsqueeze(1), (torch.arange(400.0) / 800).unsqueeze(1))
    assert ours(AdaGANCoverage(widths=(0.01,)), real, fake) == pytest.approx(0.95 / 2, abs=0.01)


def test_a_lost_mode_is_not_covered_and_an_invented_one_is_not_missed() -> None:
    modes = torch.cat([normal(0, 150, 4), normal(1, 50, 4, 20.0)])
    assert ours(AdaGANCoverage(), modes, normal(2, 200, 4)) == pytest.approx(0.75 * 0.95, abs=0.04)
    invented = torch.cat([normal(0, 100, 4), normal(1, 100, 4, 20.0)])
    assert ours(AdaGANCoverage(), normal(2, 200, 4), invented) > 0.92


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_a_collapsed_generator_covers_what_equals_it() -> None:
    real = normal(0, 100, 4)
    with pytest.warns(BiasWarning, match="the smallest is best, .* samples that repeat"):
        assert ours(AdaGANCoverage(), real, real[:1].repeat(60, 1)) == 0.01
    with pytest.warns(BiasWarning, match="the smallest"):
        assert ours(AdaGANCoverage(), real, real[:1].repeat(60, 1) + 0.5) == 0


def test_far_from_the_origin_and_at_any_scale() -> None:
    real, fake = normal(0, 80, 5), normal(1, 90, 5, 0.5)
    expected = ours(AdaGANCoverage(), real, fake)
    assert ours(AdaGANCoverage(), real * 1e-9, fake * 1e-9) == expected
    assert ours(AdaGANCoverage(), real * 2**30, fake * 2**30) == expected
    assert ours(AdaGANCoverage(), real + 64, fake + 64) == pytest.approx(expected, abs=0.02)  # float32 rounds the rows


def test_of_larger_sides_a_sample_is_kept() -> None:
    real, fake = normal(0, 300, 3), normal(1, 400, 3)
    metric = GenerativeMetrics([AdaGANCoverage(most=50)], extractor=None, num_features=3)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    assert {len(state) for name, state in metric.metric_state.items() if "_rows_" in name} == {50}  # pyright: ignore
    assert metric.compute()["coverage_adagan_features"] == pytest.approx(0.95, abs=0.15)


@pytest.mark.parametrize(("n", "m", "told"), [(1, 5, "2 real samples, got 1"), (5, 1, "2 fake samples, got 1")])
def test_too_few_are_refused(n: int, m: int, told: str) -> None:
    with pytest.raises(NotEnoughSamples, match=f"AdaGANCoverage needs at least {told}"):
        ours(AdaGANCoverage(), normal(0, n, 2), normal(1, m, 2))


def test_a_threshold_by_too_few_is_told() -> None:
    with pytest.warns(BiasWarning, match="a quantile of 30 samples, fewer than 2"):
        ours(AdaGANCoverage(widths=(0.05, 0.5, 5.0)), normal(0, 30, 2), normal(1, 30, 2))


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_real_samples_of_which_most_are_equal_need_widths() -> None:
    real, fake = torch.zeros(9, 2), normal(1, 60, 2)
    with pytest.raises(ValueError, match=r"AdaGANCoverage: expected real features of which most differ.*give `widths`"):
        ours(AdaGANCoverage(), real, fake)
    assert ours(AdaGANCoverage(widths=(0.7,)), real, fake) == 1


@pytest.mark.parametrize("level", [0, 1, 1.5, -0.1, float("nan"), "0.9"])
def test_a_level_is_a_share(level: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="AdaGANCoverage level: expected"):
        AdaGANCoverage(level=level)
