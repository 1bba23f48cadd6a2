"""Eigenvalues of a symmetric matrix, without its eigenvectors."""

from __future__ import annotations

import torch
from scipy.linalg import get_lapack_funcs
from torch import Tensor

tridiagonal, workspace, of_tridiagonal = get_lapack_funcs(("sytrd", "sytrd_lwork", "sterf"), dtype="float64")


def symmetric_eigenvalues(matrix: Tensor) -> Tensor:
    """Return the eigenvalues of a symmetric matrix, float64 ``(n,)``, ascending.

    On the CPU, SciPy's LAPACK makes the matrix tridiagonal: half of that are products of all of it with one vector
    after the other, which torch's hardly spreads over two cores (``benchmarks/fid.py`` tells both times). Both apply
    the same reflections, and agree to rounding. SciPy's holds the GIL meanwhile, 0.3 s at 2048.

    Args:
        matrix: ``(n, n)`` float64, of which the lower triangle is read; quickest where its columns are whole in memory.

    Raises:
        RuntimeError: torch's, where a number is not finite.

    Example:
        >>> symmetric_eigenvalues(torch.tensor([[2.0, 9.0], [1.0, 2.0]], dtype=torch.float64))
        tensor([1., 3.], dtype=torch.float64)
    """
    if matrix.device.type == "cpu" and len(matrix) > 1:
        size, _ = workspace(len(matrix), lower=1)
        _, diagonal, beside, _, _ = tridiagonal(matrix.numpy(), lower=1, lwork=int(size))
        found, failed = of_tridiagonal(diagonal, beside)
        values = torch.from_numpy(found)
        if not failed and values.isfinite().all():
            return values
    return torch.linalg.eigvalsh(matrix, UPLO="L")
