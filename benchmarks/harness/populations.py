"""Populations of features whose distance to the real one is known exactly: simulated laws, spectra and distances."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from streaming_metrics.files.npz import GaussianFit

CLUSTERS, WITHIN = 10, 0.5
LAWS = ("gauss", "t9", "t5", "gamma", "mix")
"""Gaussian; elliptical with heavy tails (two); skewed; ten clusters."""
DISTANCES = {"same": (1.0, 0.0), "near": (1.1, 0.2), "far": (1.5, 1.0)}
"""How much wider the generated side is, and how far its mean is from the real one, in standard deviations."""


@dataclass(frozen=True)
class Population:
    """Real population of features ``(D,)``: a law of mean 0 with standard deviations ``i^-decay``.

    Args:
        law: one of :data:`LAWS`.
        width: D.
        decay: of the spectrum.

    Example:
        >>> population = Population("t9", 4)
        >>> round(population.distance(wider=1.5, shift=0.0), 3) == round(0.25 * (1 + 1 / 2 + 1 / 3 + 1 / 4), 3)
        True
    """

    law: str
    width: int
    decay: float = 0.5

    @property
    def deviations(self) -> Tensor:
        """Standard deviations ``(D,)`` float64."""
        return torch.arange(1, self.width + 1).double() ** -self.decay

    @property
    def fit(self) -> GaussianFit:
        """Its exact mean and covariance."""
        centres = self._centres
        shape = WITHIN * torch.eye(self.width).double() + centres.T @ centres / CLUSTERS
        unit = shape if self.law == "mix" else torch.eye(self.width).double()
        scale = self.deviations
        return GaussianFit(torch.zeros(self.width).double(), scale[:, None] * unit * scale)

    def noise(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return normal noise ``(n, D)``, and what else a draw of the law takes, ``(n,)``."""
        normal = torch.randn(n, self.width, generator=generator, dtype=torch.float64)
        return normal, torch.rand(n, generator=generator, dtype=torch.float64)

    def rows(self, normal: Tensor, other: Tensor, wider: float = 1.0, shift: float = 0.0) -> Tensor:
        """Return features ``(n, D)`` of a generator's noise.

        Args:
            normal, other: of :meth:`noise`.
            wider, shift: of :data:`DISTANCES`.
        """
        return (wider * self._unit(normal, other) + shift) * self.deviations

    def distance(self, wider: float, shift: float) -> float:
        """Return the Fréchet distance of that generator's population, exactly."""
        trace = float(self.fit.sigma.trace())
        return (wider - 1) ** 2 * trace + shift**2 * float(self.deviations.square().sum())

    def _unit(self, normal: Tensor, other: Tensor) -> Tensor:
        if self.law in ("t9", "t5"):
            from scipy.stats import chi2

            freedom = int(self.law[1:])
            return normal * ((freedom - 2) / torch.from_numpy(chi2.ppf(other.numpy(), freedom))).sqrt()[:, None]
        if self.law == "gamma":
            return -torch.special.log_ndtr(normal) - 1  # exponential: skewed, of variance 1
        if self.law == "mix":
            return WITHIN**0.5 * normal + self._centres[(other * CLUSTERS).long().clamp(max=CLUSTERS - 1)]
        return normal

    @property
    def _centres(self) -> Tensor:
        centres = torch.randn(CLUSTERS, self.width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        return (centres - centres.mean(0)) * (1 - WITHIN) ** 0.5
