"""Second moments against NumPy."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scores import normal

from streaming_metrics import Features
from streaming_metrics.statistics import SecondMoment


@given(st.integers(0, 2**31 - 1), st.integers(1, 30), st.integers(1, 9), st.sampled_from([1e-20, 1.0, 1e14]))
def test_second_moments_are_numpys(seed: int, n: int, width: int, scale: float) -> None:
    rows = normal(seed, n, width) * scale
    x = rows.double().numpy()
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    for moment, expected in ((SecondMoment(width), unit), (SecondMoment(width, normalized=False), x)):
        state = reduce(moment.update, [Features(part) for part in rows.split(7)], moment.empty())
        moment.check(state)
        products = expected.T @ expected
        np.testing.assert_allclose(moment.sums(state), products, rtol=1e-12, atol=1e-12 * products.max())


def test_rows_of_zeros_stay_zero() -> None:
    moment, rows = SecondMoment(3), normal(0, 10, 3)
    rows[[2, 5]] = 0
    state = moment.update(moment.empty(), Features(rows))
    assert moment.directions(state) == 8
    assert moment.bounds(state) == (8, float("inf"))
    assert torch.equal(moment.sums(moment.update(moment.empty(), Features(0 * rows))), torch.zeros(3, 3).double())


def test_second_moments_are_updated_where_they_lie() -> None:
    moment = SecondMoment(4)
    state = moment.empty()
    where, write = state["sums"].data_ptr(), moment.staged(state, Features(normal(0, 5, 4)))
    assert not state["sums"].any()
    assert write()["sums"].data_ptr() == where


@pytest.mark.parametrize(
    ("sums", "match"),
    [
        ([[1.0, 0.5], [0.0, 1.0]], "a symmetric second moment"),
        ([[-1.0, 0.0], [0.0, 1.0]], "squares that are not negative"),
        ([[1.0, 2.0], [2.0, 1.0]], "a matrix with a negative eigenvalue"),
    ],
)
def test_what_is_no_second_moment_is_refused(sums: list[list[float]], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        SecondMoment(2).check({"sums": torch.tensor(sums, dtype=torch.float64)})
