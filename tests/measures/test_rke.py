"""RKE: three kernels against their definitions, Vendi and FKEA as peers, closed forms, errors and the edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scores import normal, score
from torch import Tensor

from streaming_metrics import FKEA, RKE, BiasWarning, NotEnoughSamples, Vendi

ROWS = normal(0, 70, 5) + 2 * torch.eye(5)[torch.arange(70) % 3]


def rke(rows: Tensor, *kernel: str, **options: Any) -> dict[str, float]:
    return score(RKE(*kernel, **options), rows[:0], rows)


def of_gaussian(rows: Tensor, sigma: float) -> float:
    x = rows.double()
    return 1 / (torch.cdist(x, x).square() / (-2 * sigma**2)).exp().square().mean().item()


def test_of_cosines_it_is_vendi_of_order_2_and_its_error() -> None:
    x = ROWS.double() / ROWS.double().norm(dim=1, keepdim=True)
    found = rke(ROWS, se=True, reservoir=40)
    assert found["rke"] == pytest.approx(1 / (x @ x.T).square().mean().item(), rel=1e-9)
    vendi = score(Vendi(q=2, se=True, reservoir=40), ROWS[:0], ROWS)
    assert [*found.values()] == pytest.approx([*vendi.values()], rel=1e-9)


@pytest.mark.parametrize("sigma", [0.5, 3.0, 1e3])
def test_of_a_gaussian_kernel_it_is_what_the_definition_says(sigma: float) -> None:
    assert rke(ROWS, "gaussian", sigma=sigma)["rke"] == pytest.approx(of_gaussian(ROWS, sigma), rel=1e-6)


def test_of_frequencies_it_is_fkeas_and_nearly_the_gaussian_kernels() -> None:
    found = rke(ROWS, "fourier", sigma=3.0, frequencies=300, seed=4)["rke"]
    assert found == pytest.approx(score(FKEA(3.0, 300, 4), ROWS[:0], ROWS)["fkea_rke"], rel=1e-9)
    assert found == pytest.approx(of_gaussian(ROWS, 3.0), rel=0.1)


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
@pytest.mark.parametrize("kernel", ["cosine", "gaussian", "fourier"])
def test_modes_far_apart_are_counted_and_copies_are_one(kernel: str) -> None:
    options: dict[str, Any] = {} if kernel == "cosine" else {"sigma": 0.1, "frequencies": 400}
    modes = torch.eye(4)[torch.arange(40) % 4]
    assert rke(modes, kernel, **options)["rke"] == pytest.approx(4, rel=0.05 if kernel == "fourier" else 1e-9)
    assert rke(modes[:1], kernel, **options)["rke"] == pytest.approx(1)
    unequal = torch.eye(4)[torch.tensor([0] * 30 + [1] * 10)]
    expected = 1 / (0.75**2 + 0.25**2)
    assert rke(unequal, kernel, **options)["rke"] == pytest.approx(expected, rel=0.05 if kernel == "fourier" else 1e-9)


@pytest.mark.parametrize(
    ("kernel", "options"), [("gaussian", {"sigma": 1.5}), ("fourier", {"sigma": 1.5, "frequencies": 20})], ids=str
)
def test_errors_are_the_standard_deviations_over_draws(kernel: str, options: dict[str, Any]) -> None:
    found = [rke(normal(seed, 150, 3), kernel, se=True, **options) for seed in range(40)]
    values, told = (np.array([one[key] for one in found]) for key in ("rke", "rke_se"))
    assert 0.75 < np.sqrt(np.square(told).mean()) / values.std(ddof=1) < 1.5


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_rows_of_zeros_have_no_direction() -> None:
    with pytest.warns(BiasWarning, match="RKE: 2 of 72 fake samples have features of zeros"):
        found = rke(torch.cat([ROWS, torch.zeros(2, 5)]))
    assert found == pytest.approx(rke(ROWS))
    with pytest.raises(NotEnoughSamples, match="RKE needs at least 1 fake sample whose features are not all 0"):
        rke(torch.zeros(2, 5))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": "rbf"}, "Unknown kernel of RKE 'rbf'"),
        ({"sigma": 3.0}, "RKE sigma=3: expected a kernel with a width"),
        ({"kernel": "gaussian", "sigma": 0}, "RKE sigma"),
        ({"cluster": 2}, "RKE cluster is of its standard error"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RKE(**options)
