"""Projections: features on random lines, kept as a bank of few numbers a sample."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from streaming_metrics.arguments import check_integer
from streaming_metrics.statistics.bank import Bank
from streaming_metrics.statistics.banked import Banked

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Projections(Banked):
    """Inner products of rows with random unit vectors, and the rows' index; sharded over ranks as a bank is.

    The state is ``rows (n, P) float32``, rounded from float64, and ``index (n,) int64``: at D = 2048 and P = 100 a
    twentieth of the features.

    Args:
        num_features: D.
        num_projections: P.
        seed: of the unit vectors.

    Example:
        >>> from streaming_metrics.features import Features
        >>> features = Features(pool=torch.tensor([[3.0], [-4.0]]), index=torch.arange(2))
        >>> projections = Projections(1, num_projections=2)
        >>> projections.update(projections.empty(), features)["rows"].abs()
        tensor([[3., 3.],
                [4., 4.]])
    """

    num_features: int
    num_projections: int = 100
    seed: int = 0

    column = "pool"

    def __post_init__(self) -> None:
        check_integer("num_features", self.num_features, least=1)
        check_integer("num_projections", self.num_projections, least=1)
        check_integer("seed", self.seed, least=0, most=2**32 - 1)

    @property
    def name(self) -> str:
        return f"projections_{self.num_features}_{self.num_projections}_{self.seed}"

    @property
    def bank(self) -> Bank:
        """What keeps the projected rows."""
        return Bank(self.num_projections)

    def made_of(self, rows: Tensor) -> Tensor:
        return rows.double() @ unit_vectors(self.num_features, self.num_projections, self.seed, rows.device)


@lru_cache(maxsize=8)
def unit_vectors(width: int, count: int, seed: int, device: torch.device) -> Tensor:
    """Return random unit vectors as columns ``(width, count)`` float64: normalised Gaussian ones, uniform over the
    sphere.
    """
    vectors = np.random.RandomState(seed).standard_normal((width, count))
    with torch.inference_mode(False):
        return torch.from_numpy(vectors / np.linalg.norm(vectors, axis=0)).to(device)
