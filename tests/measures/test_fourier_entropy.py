"""FKEA: against the definition in NumPy, the exact kernel that it stands for, closed forms, errors and edges."""

from __future__ import annotations

from math import exp
from typing import Any

import numpy as np
import pytest
import torch
from scores import normal, score
from torch import Tensor

from streaming_metrics import FKEA, BiasWarning, GenerativeMetrics, NotEnoughSamples
from streaming_metrics.statistics import FourierMoment
from streaming_metrics.statistics.fourier_moment import random_frequencies

ROWS = normal(0, 90, 5) + 3 * torch.eye(5)[torch.arange(90) % 5]
WIDE: dict[str, Any] = {"sigma": 3.0, "frequencies": 40}


def fkea(rows: Tensor, **options: Any) -> dict[str, float]:
    return score(FKEA(**{**WIDE, **options}), rows[:0], rows)


def entropies(eigenvalues: np.ndarray) -> dict[str, float]:
    p = np.clip(eigenvalues, 1e-10, None)
    return {"fkea_vendi": exp(-(p * np.log(p)).sum()), "fkea_rke": 1 / (p**2).sum(), "fkea_inf": 1 / p.max()}


def by_definition(rows: Tensor, sigma: float, frequencies: int, seed: int = 0) -> dict[str, float]:
    x = rows.double().numpy()
    omega = np.random.RandomState(seed).standard_normal((x.shape[1], frequencies)) / sigma
    phi = np.concatenate([np.cos(x @ omega), np.sin(x @ omega)], 1) / np.sqrt(frequencies)
    return entropies(np.linalg.eigvalsh(phi.T @ phi / len(x)))


def of_exact_kernel(rows: Tensor, sigma: float) -> dict[str, float]:
    x = rows.double()
    return entropies(np.linalg.eigvalsh((torch.cdist(x, x).square() / (-2 * sigma**2)).exp().numpy() / len(x)))


@pytest.mark.parametrize("options", [{}, {"seed": 3}, {"sigma": 0.7}, {"frequencies": 3}], ids=str)
@pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")
def test_it_is_what_the_definition_says(options: dict[str, Any]) -> None:
    assert fkea(ROWS, **options) == pytest.approx(by_definition(ROWS, **{**WIDE, **options}), rel=1e-9)


def test_of_many_frequencies_it_is_the_exact_kernels() -> None:
    exact = of_exact_kernel(ROWS, 3.0)
    few, many = (fkea(ROWS, frequencies=r) for r in (20, 500))
    assert many == pytest.approx(exact, rel=0.08)
    assert max(abs(few[key] / exact[key] - 1) for key in exact) > 0.15


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_modes_far_apart_are_counted_by_all_orders() -> None:
    modes = 100 * torch.eye(5)[torch.arange(90) % 5]
    for value in fkea(modes, sigma=1.0, frequencies=500).values():
        assert value == pytest.approx(5, rel=0.1)


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_copies_of_one_sample_are_one() -> None:
    assert fkea(ROWS[:1].repeat(20, 1)) == pytest.approx(dict.fromkeys(fkea(ROWS), 1), rel=1e-5)  # 80·1e-10·log 1e10
    assert fkea(ROWS[:1]) == pytest.approx(dict.fromkeys(fkea(ROWS), 1), rel=1e-5)


def test_features_of_width_1_and_their_shift_do_not_matter() -> None:
    line = normal(1, 60, 1)
    assert fkea(line) == pytest.approx(by_definition(line, **WIDE), rel=1e-9)
    assert fkea(line + 40, frequencies=300) == pytest.approx(fkea(line, frequencies=300), rel=0.05)


def test_a_kernel_too_narrow_warns() -> None:
    with pytest.warns(BiasWarning, match=r"FKEA: \d+\.\d effective samples of 90: .* Remedy: a larger sigma"):
        fkea(ROWS, sigma=0.01, frequencies=200)


def test_no_sample_is_too_few() -> None:
    metric = GenerativeMetrics([FKEA(**WIDE)], None, num_features=3)
    with pytest.raises(NotEnoughSamples, match="FKEA needs at least 1 fake samples, got 0"):
        metric.compute()


def test_errors_are_the_standard_deviations_over_draws() -> None:
    told, values = [], []
    for seed in range(40):
        found = fkea(normal(seed, 200, 3), se=True, frequencies=20, sigma=1.5)
        values.append([found[key] for key in ("fkea_vendi", "fkea_rke", "fkea_inf")])
        told.append([found[f"{key}_se"] for key in ("fkea_vendi", "fkea_rke", "fkea_inf")])
    ratios = np.sqrt(np.square(told).mean(0)) / np.std(values, axis=0, ddof=1)
    assert (ratios > 0.75).all()
    assert (ratios < 1.5).all()
    assert np.mean(values, 0).tolist() == pytest.approx(
        np.mean([[*by_definition(normal(seed, 200, 3), 1.5, 20).values()] for seed in range(40)], 0).tolist()
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [({"sigma": 0}, "FKEA sigma"), ({"sigma": -1.0}, "FKEA sigma"), ({"cluster": 2}, "FKEA cluster .*Remedy: se=True")],
)
def test_parameters_that_mean_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FKEA(**options)


def test_frequencies_of_a_seed_are_the_same_for_ever() -> None:
    """NumPy's legacy generator, whose stream is frozen: what files hold today stays comparable."""
    drawn = random_frequencies(2, 2, 0, torch.device("cpu"))
    assert drawn.flatten().tolist() == [1.764052345967664, 0.4001572083672233, 0.9787379841057392, 2.240893199201458]
    rows = normal(2, 4, 2)
    products = FourierMoment(2, frequencies=20_000, sigma=1.5).embedded(rows)
    kernel = (torch.cdist(rows, rows).square() / -4.5).exp().double()
    assert (products @ products.T - kernel).abs().max() < 0.03
