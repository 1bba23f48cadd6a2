"""Eigenvectors of a symmetric matrix, of those too at which the quick algorithm gives up."""

from __future__ import annotations

import torch
from scipy.linalg import eigh
from torch import Tensor


def symmetric_eigenvectors(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues ``(n,)`` of a symmetric matrix, ascending, and its eigenvectors ``(n, n)``, in columns.

    torch's divide and conquer does not converge on every matrix: collapsed generators leave most features without any
    variance, and so matrices of few numbers among zeros. The slower QR iteration, SciPy's, takes those.

    Args:
        matrix: ``(n, n)``, of which the lower triangle is read.

    Raises:
        torch.linalg.LinAlgError: torch's, where a number is not finite.

    Example:
        >>> values, vectors = symmetric_eigenvectors(torch.tensor([[2.0, 9.0], [1.0, 2.0]], dtype=torch.float64))
        >>> values, vectors.square().sum(0)
        (tensor([1., 3.], dtype=torch.float64), tensor([1.0000, 1.0000], dtype=torch.float64))
    """
    try:
        values, vectors = torch.linalg.eigh(matrix, UPLO="L")
    except torch.linalg.LinAlgError:  # pyright: ignore[reportPrivateImportUsage]
        if not matrix.isfinite().all():
            raise
        values, vectors = (torch.from_numpy(one) for one in eigh(matrix.numpy(force=True), driver="ev"))
    return values.to(matrix.device), vectors.to(matrix.device)
