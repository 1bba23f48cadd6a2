"""Eigenvalues of a symmetric matrix, without its eigenvectors."""

from __future__ import annotations

import torch
from scipy.linalg import get_lapack_funcs
from torch import Tensor

_ROUTINES = ("sytrd", "sytrd_lwork", "sterf")
tridiagonal, workspace, of_tridiagonal = get_lapack_funcs(_ROUTINES, dtype="float64")


def symmetric_eigenvalues(matrix: Tensor) -> Tensor:
    """Return the eigenvalues of a symmetric matrix, float64 ``(n,)``, ascending.

    On the CPU the matrix is made tridiagonal by SciPy's LAPACK: half of that are products of the whole with a vector,
    which torch's hardly spreads over two threads (benchmarks/fid.py tells both times). On other devices it is torch's.

    Args:
        matrix: ``(n, n)`` float64, of which the lower triangle is read; columns whole in memory are not copied twice.

    Raises:
        RuntimeError: torch's, where a number is not finite.

    Example:
        >>> symmetric_eigenvalues(torch.tensor([[2.0, 9.0], [1.0, 2.0]], dtype=torch.float64))
        tensor([1., 3.], dtype=torch.float64)
    """
    if matrix.device.type == "cpu" and len(matrix) > 1:
        size, _ = workspace(len(matrix), lower=1)
        _, diagonal, beside, _, _ = tridiagonal(matrix.numpy(), lower=1, lwork=int(size))
        values, failed = of_tridiagonal(diagonal, beside)
        values = torch.from_numpy(values)
        if not failed and values.isfinite().all():
            return values
    return torch.linalg.eigvalsh(matrix, UPLO="L")
