"""Kernels: values against their formulas, near and far, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from brute_force import kernel_values
from scores import normal
from sklearn.metrics.pairwise import rbf_kernel

from streaming_metrics.pairwise import Kernel, PolynomialKernel, RBFKernel, Shard
from streaming_metrics.pairwise.tiling import tiles


def values_of(kernel: Kernel, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    local, other = (Shard(rows, torch.arange(len(rows)), y.mean(0)) for rows in (x, y))
    remote, values = local if x is y else other, torch.zeros(len(x), len(y), dtype=torch.float64)
    for tile in tiles(local, remote):
        rows, columns, rest = tile.rows.position, tile.columns.position, kernel.rest(tile).double()
        values[rows.unsqueeze(1), columns] = rest
        if tile.mirrored:
            values[columns.unsqueeze(1), rows] = rest.T
    for powers in kernel.powers(local, remote):
        values += powers[0].unsqueeze(1) * powers[1].unsqueeze(0) * (1 - torch.eye(len(x)) if x is y else 1)
    return values


@pytest.mark.parametrize("mean", [0.0, 1e3])
@pytest.mark.parametrize(
    "kernel", [*map(PolynomialKernel, range(1, 8)), PolynomialKernel(2, 0.5, 0.0), RBFKernel((0.5, 2.0, 8.0))]
)
def test_rest_and_powers_make_up_the_kernel(kernel: Kernel, mean: float) -> None:
    x, y = normal(0, 30, 6, mean), normal(1, 20, 6, mean + 0.2)
    absolute = 1e-9 if kernel.needs == "distances" else 1e-5
    for pair in ((x, y), (x, x)):
        torch.testing.assert_close(values_of(kernel, *pair), kernel_values(kernel, *pair), rtol=1e-5, atol=absolute)


def test_what_the_centre_adds_is_known_where_float32_cannot_hold_it() -> None:
    x, y = (1e3 * normal(seed, 20, 6, 1e6) for seed in range(2))  # 10³ apart, 10⁹ away: 10⁵⁴
    kernel = PolynomialKernel()
    torch.testing.assert_close(values_of(kernel, x, y), kernel_values(kernel, x, y), rtol=1e-5, atol=0)


def test_a_gamma_that_float32_cannot_hold_is_not_rounded() -> None:
    """Its product with the rows' is moderate: 10⁻⁴² · 10³⁷."""
    x, y = (3e18 * normal(seed, 20, 6) for seed in range(2))
    kernel = PolynomialKernel(1, 1e-42, 0.0)
    expected = kernel_values(kernel, x, y)
    error = (values_of(kernel, x, y) - expected).abs().max() / expected.abs().max()
    assert error < 1e-6  # float32's 10⁻⁴² has ten digits of binary: 10⁻³ off


@pytest.mark.parametrize("degree", range(2, 8))
@pytest.mark.parametrize("decade", [-12, -9, -6, -3, 3, 6, 9, 12])
def test_powers_of_gamma_and_of_products_that_float32_cannot_hold(degree: int, decade: int) -> None:
    """Their products are moderate: rows are as long as gamma is small."""
    x, y = (10 ** (-decade / 2) * normal(seed, 20, 6) for seed in range(2))
    kernel = PolynomialKernel(degree, 10.0**decade, 0.5)
    expected = kernel_values(kernel, x, y)
    torch.testing.assert_close(values_of(kernel, x, y), expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))


def test_short_rows_of_many_columns_are_not_taken_for_long_ones() -> None:
    """No row is longer than a full one of its largest number; of rows with one number, float32 held 10⁻⁴⁴."""
    x, y = (1e-3 * torch.eye(512)[(start + torch.arange(30)) % 4] for start in range(2))
    kernel = PolynomialKernel(degree=5, coef=0.0)
    expected = kernel_values(kernel, x, y)
    torch.testing.assert_close(values_of(kernel, x, y), expected, rtol=0, atol=1e-5 * float(expected.max()))


@pytest.mark.parametrize("width", [1e-2, 1.0, 30.0])
def test_one_width_is_sklearns(width: float) -> None:
    x, y = normal(0, 30, 6), normal(1, 20, 6)
    expected = rbf_kernel(x.double().numpy(), y.double().numpy(), gamma=1 / (2 * width**2))
    np.testing.assert_allclose(values_of(RBFKernel((width,)), x, y).numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("apart", [0.0, 1e2, 1e5])
@pytest.mark.parametrize("width", [1e-3, 1.0, 1e5])
def test_values_are_right_near_and_far(apart: float, width: float) -> None:
    x, y = normal(0, 40, 64), normal(1, 40, 64)
    x[20:] += apart
    y[20:] += apart
    y[::5] = x[::5] + 1e-3 * normal(2, 8, 64)
    error = values_of(RBFKernel((width,)), x, y) - kernel_values(RBFKernel((width,)), x, y)
    assert error.abs().max() < 4e-10


@pytest.mark.parametrize("width", [1e-200, 1e-30, 1e30, 1e200])
def test_widths_of_any_scale_give_zero_and_one(width: float) -> None:
    x = torch.tensor([[0.0], [1.0], [1.0]])
    expected = [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]] if width < 1 else [[1.0] * 3] * 2
    assert values_of(RBFKernel((width,)), x[:2], x).tolist() == expected


@pytest.mark.parametrize("wrong", [0, -1, math.nan, math.inf])
def test_widths_are_greater_than_zero(wrong: float) -> None:
    with pytest.raises(ValueError, match=r"RBFKernel widths: expected a .*number"):
        RBFKernel((1.0, wrong))


@pytest.mark.parametrize("wrong", ["1", True, None])
def test_widths_are_numbers(wrong: Any) -> None:
    with pytest.raises(TypeError, match="RBFKernel widths: expected a number"):
        RBFKernel((wrong,))


def test_no_widths_make_no_kernel() -> None:
    with pytest.raises(ValueError, match="RBFKernel widths: expected at least one"):
        RBFKernel(())
