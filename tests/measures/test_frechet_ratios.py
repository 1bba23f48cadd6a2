"""FDr6 against its definition, of features given by column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scores import normal

from streaming_metrics import BiasWarning, FDr6, Features, GenerativeMetrics, NotEnoughSamples
from streaming_metrics.measures.frechet_ratios import DIVISORS

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics import Measure

WIDTHS = dict(zip(DIVISORS, (7, 5, 4, 3, 6, 2)))
PUBLISHED = {"inception": "1.68", "convnext": "56.87", "dinov2": "14.19", "mae": "0.04", "siglip": "0.60"}
PUBLISHED["clip"] = "5.60"


def drawn(seed: int, n: int, shift: float = 0.0, std: float = 1.0) -> dict[str, Tensor]:
    return {column: normal(seed + place, n, WIDTHS[column], shift, std) for place, column in enumerate(DIVISORS)}


def scores(real: dict[str, Tensor], fake: dict[str, Tensor], measure: Measure | None = None) -> dict[str, float]:
    widths = {column: rows.shape[1] for column, rows in real.items()}
    metric = GenerativeMetrics([measure or FDr6()], extractor=None, widths=widths)
    for side, is_real in ((real, True), (fake, False)):
        for rows in torch.arange(len(side["mae"])).split(37):
            metric.update(Features(**{column: values[rows] for column, values in side.items()}), real=is_real)
    return {key.removesuffix("_features"): value.item() for key, value in metric.compute().items()}


def frechet(x: Tensor, y: Tensor) -> float:
    (a, p), (b, q) = ((side.numpy().mean(0), np.cov(side.double().numpy(), rowvar=False)) for side in (x, y))
    return float(((a - b) ** 2).sum() + np.trace(p + q - 2 * np.real(sqrtm(p @ q))))


def test_it_is_the_mean_of_distances_over_the_published_divisors() -> None:
    real, fake = drawn(0, 80), drawn(50, 60, 0.4, 1.3)
    expected = {column: frechet(real[column], fake[column]) / float(PUBLISHED[column]) for column in PUBLISHED}
    found = scores(real, fake)
    assert {column: found[f"fdr_{column}"] for column in expected} == pytest.approx(expected, rel=1e-5)
    assert found["fdr6"] == pytest.approx(np.mean(list(expected.values())), rel=1e-5)


@pytest.mark.parametrize("column", DIVISORS)
def test_each_network_weighs_by_its_own_divisor(column: str) -> None:
    real = drawn(0, 60)
    found = scores(real, real | {column: real[column] + 1})  # ‖Δμ‖² is the width
    assert found[f"fdr_{column}"] == pytest.approx(WIDTHS[column] / DIVISORS[column], rel=1e-6)
    assert found["fdr6"] == pytest.approx(found[f"fdr_{column}"] / 6, rel=1e-6)


def test_identical_samples_have_no_distance() -> None:
    real = drawn(0, 60)
    assert scores(real, real) == pytest.approx(dict.fromkeys(["fdr6", "fdr6_rounding", *RATIOS], 0.0), abs=1e-4)


RATIOS = [f"fdr_{column}" for column in DIVISORS]


def test_rounding_is_how_far_divisors_of_two_decimals_may_move_it() -> None:
    found = scores(drawn(0, 80), drawn(50, 60, 0.4))
    distances = {column: found[f"fdr_{column}"] * DIVISORS[column] for column in DIVISORS}
    drawn_divisors = np.random.default_rng(0).uniform(-0.005, 0.005, (2000, 6)) + list(DIVISORS.values())
    assert {round(float(divisor), 2) for divisor in drawn_divisors[:, 3]} == {0.04}
    moved = (np.array(list(distances.values())) / drawn_divisors).mean(1) - found["fdr6"]
    assert abs(moved).max() < found["fdr6_rounding"] < 1.1 * abs(moved).max()
    mae = found["fdr_mae"]
    assert found["fdr6_rounding"] == pytest.approx(mae * (0.04 / 0.035 - 1) / 6, rel=0.25)  # most of it is MAE's


def test_a_network_without_one_of_the_six_is_refused() -> None:
    widths = {column: 3 for column in DIVISORS if column != "mae"}
    with pytest.raises(ValueError, match="FDr6 needs mae, and this extractor yields none"):
        GenerativeMetrics([FDr6()], extractor=None, widths=widths)


def test_few_samples_are_told_and_one_is_refused() -> None:
    real = drawn(0, 40)
    with pytest.warns(BiasWarning, match="FDr6 from 7 fake samples of 7 features"):
        scores(real, drawn(9, 7))
    with pytest.raises(NotEnoughSamples, match="FDr6 needs at least 2 fake samples, got 1"):
        scores(real, drawn(9, 1))
