"""pytorch-fid under every SciPy: it asks ``sqrtm`` for ``disp=False``, which SciPy has not taken since 1.18."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

from pytorch_fid import fid_score
from scipy import linalg

if TYPE_CHECKING:
    import numpy as np


def pytorch_fid_distance(
    mean_x: np.ndarray, covariance_x: np.ndarray, mean_y: np.ndarray, covariance_y: np.ndarray
) -> float:
    """Return pytorch-fid's Fréchet distance, its square root taken as SciPy takes it without ``disp``."""
    with mock.patch.object(fid_score, "linalg", SimpleNamespace(sqrtm=_sqrtm)):
        return float(fid_score.calculate_frechet_distance(mean_x, covariance_x, mean_y, covariance_y))


def _sqrtm(matrix: np.ndarray, disp: bool = True) -> Any:
    """Return the root; beside it, where ``disp`` is false, an estimate of its error, which pytorch-fid drops."""
    root = linalg.sqrtm(matrix)
    return root if disp else (root, None)
