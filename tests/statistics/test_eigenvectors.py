"""Eigenvectors of symmetric matrices: those of torch, and those at which its algorithm does not converge."""

from __future__ import annotations

import pytest
import torch
from scores import normal

from streaming_metrics.statistics.eigenvectors import symmetric_eigenvectors


def among_zeros(size: int, kept: int, seed: int) -> torch.Tensor:
    """Return a matrix of few numbers among zeros, as where most features of generated images do not vary."""
    generator = torch.Generator().manual_seed(seed)
    scales = torch.logspace(0, -3, kept, dtype=torch.float64)
    rows = torch.randn(kept, kept, generator=generator, dtype=torch.float64) * scales
    places = torch.randperm(size, generator=generator)[:kept].sort().values
    matrix = torch.zeros(size, size, dtype=torch.float64)
    matrix[places[:, None], places] = rows @ rows.T
    return matrix


def check(matrix: torch.Tensor) -> None:
    values, vectors = symmetric_eigenvectors(matrix)
    whole = matrix.tril() + matrix.tril(-1).T
    assert (values.diff() >= 0).all()
    torch.testing.assert_close(vectors * values @ vectors.T, whole, rtol=0, atol=1e-12 * float(values.abs().max()))
    torch.testing.assert_close(vectors.T @ vectors, torch.eye(len(matrix), dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("size", "kept", "seed"), [(160, 12, 13), (200, 12, 36), (400, 12, 3), (9, 9, 0), (1, 1, 0)])
def test_few_numbers_among_zeros_have_eigenvectors(size: int, kept: int, seed: int) -> None:
    check(among_zeros(size, kept, seed))  # of the first three, MKL's divide and conquer does not converge


def test_the_lower_triangle_is_read() -> None:
    check(among_zeros(9, 5, 0) + torch.ones(9, 9, dtype=torch.float64).triu(1))


def test_scipy_answers_where_torch_finds_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise torch.linalg.LinAlgError("linalg.eigh: The algorithm failed to converge")

    monkeypatch.setattr(torch.linalg, "eigh", fail)
    check(among_zeros(30, 12, 0))
    check(among_zeros(9, 5, 0) + torch.ones(9, 9, dtype=torch.float64).triu(1))


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_a_number_that_is_not_finite_is_told_as_torch_tells_it(number: float) -> None:
    matrix = normal(0, 5, 5).double()
    matrix[-1, 0] = number
    with pytest.raises(torch.linalg.LinAlgError, match="failed to converge"):
        symmetric_eigenvectors(matrix)
