"""Standard error and bias of the Fréchet distance, from the influence of each sample.

The optimal map between the two Gaussians gives the first derivative of the distance, and so each sample's influence;
the second derivative gives the bias of N samples, and halves of the stream what is left of it. Both were chosen by
simulation against jackknives, extrapolations over N and closed forms of Gaussian features.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import torch

from streaming_metrics.measures.gaussian import congruent, frechet_distance
from streaming_metrics.statistics.eigenvectors import symmetric_eigenvectors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from streaming_metrics.measures.gaussian import Gaussian

NEGLIGIBLE = 1e-13
"""Share of the largest eigenvalue below which one is of no direction."""


@dataclass(frozen=True)
class Coupling:
    """Optimal coupling of two Gaussians: the linear maps that carry each to the other, in factors.

    ``LLᵀ = Σx``, ``LᵀΣyL = U diag(λ) Uᵀ``, ``s = √λ``. The map from y to x is ``BBᵀ`` with ``B = LU·s^-½``, so that
    ``BBᵀ Σy BBᵀ = Σx``, and that from x to y ``CCᵀ`` with ``C = ΣyLU·s^-3/2``.

    Args:
        x: the real side, whose root is taken.
        y: the generated side.
    """

    x: Gaussian
    y: Gaussian

    @cached_property
    def _solved(self) -> tuple[Tensor, Tensor]:
        values, vectors = symmetric_eigenvectors(congruent(self.y.covariance, self.x.root))
        return values, vectors

    @property
    def distance(self) -> Tensor:
        """Fréchet distance ``()``."""
        return frechet_distance(self.x, self.y, eigenvalues=self._solved[0])

    @cached_property
    def scales(self) -> Tensor:
        """s ``(r,)`` float64, of the directions in which both sides spread."""
        values = self._solved[0]
        spread = int((values > NEGLIGIBLE * values[-1:].clamp(min=0)).sum())
        return values[len(values) - min(spread, self.y.rank) :].sqrt()

    @cached_property
    def directions(self) -> Tensor:
        """LU ``(D, r)``."""
        root, vectors = self.x.root, self._solved[1][:, -len(self.scales) or self._solved[1].shape[1] :]
        directions = root.factor.new_empty(len(root.factor), len(self.scales))
        directions[root.order] = root.factor @ vectors
        return directions

    @cached_property
    def to_real(self) -> Tensor:
        """B ``(D, r)``."""
        return self.directions * self.scales**-0.5

    @cached_property
    def to_fake(self) -> Tensor:
        """C ``(D, r)``."""
        return self.y.covariance @ self.directions * self.scales**-1.5

    def of_fake(self, rows: Tensor) -> Moved:
        """Return what is known of generated rows ``(n, D)``."""
        return _moved(rows, self.y.mean, self.x.mean, self.to_real)

    def of_real(self, rows: Tensor) -> Moved:
        """Return what is known of real rows ``(n, D)``."""
        return _moved(rows, self.x.mean, self.y.mean, self.to_fake)

    def bias(self, side: Gaussian, moved: Moved, clusters: Tensor | None = None) -> Tensor:
        """Return the bias ``()`` of the distance that a side's number of samples makes, to second order.

        ``tr Σ / N + (½·mean qᵀKq − ¼·Σs) / (N − 1)`` with ``q = v²`` of each row, ``K_ij = 1 / (s_i + s_j)``. Samples
        that depend on each other add the same of each pair of them, ``vᵀv' + ½·qᵀKq − ¼·Σs`` with ``q = v∘v'``.

        Args:
            side: whose.
            moved: its rows.
            clusters: the cluster ``(n,)`` of each row, equal ones beside each other; None where all are independent.
        """
        rows, scales = moved.mapped, self.scales
        kernel, least = 1 / (scales.unsqueeze(1) + scales), scales.sum() / 4

        def curvature(products: Tensor) -> Tensor:
            return ((products @ kernel) * products).sum(1) / 2 - least

        total = curvature(rows.square()).sum()
        for one, other in () if clusters is None else _pairs(rows, clusters):
            total = total + 2 * ((one * other).sum(1) + curvature(one * other)).sum()
        return side.trace / side.num_samples + total / len(rows) / (side.num_samples - 1)


def _pairs(rows: Tensor, clusters: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the rows of each pair of one cluster, once, those that are as far apart in it together."""
    for lag in range(1, int(clusters.unique_consecutive(return_counts=True)[1].max())):
        same = clusters[lag:] == clusters[:-lag]
        yield rows[lag:][same], rows[:-lag][same]


class Moved(NamedTuple):
    """Influence of rows on the distance, ``ψ (n,)`` float64, and the rows as the map's factor shows them ``(n, r)``."""

    influence: Tensor
    mapped: Tensor


def _moved(rows: Tensor, mean: Tensor, other: Tensor, factor: Tensor) -> Moved:
    centred = rows.to(torch.float64) - mean
    mapped = centred @ factor
    influence = 2 * (centred @ (mean - other)) + centred.square().sum(1) - mapped.square().sum(1)
    return Moved(influence, mapped)


class Part(NamedTuple):
    """A side or a half of it: its Gaussian, the rows ``(n, D)`` that are kept of it, None where it is given, and the
    cluster ``(n,)`` of each row, None where all are independent.
    """

    gaussian: Gaussian
    rows: Tensor | None
    clusters: Tensor | None = None


def less_biased(coupling: Coupling, real: Part, fake: Part) -> Tensor:
    """Return the distance without its bias to second order, ``()``.

    Args:
        coupling: of the sides, or of halves of them.
        real: the real side, to whose number the bias is due too where it has rows.
        fake: the generated side.
    """
    assert fake.rows is not None
    value = coupling.distance - coupling.bias(coupling.y, coupling.of_fake(fake.rows), fake.clusters)
    if real.rows is None:
        return value
    return value - coupling.bias(coupling.x, coupling.of_real(real.rows), real.clusters)


class Corrected(NamedTuple):
    """Bias-corrected distance ``()``, and by how much it may be off: half of what the halves added to it."""

    value: Tensor
    step: Tensor


def corrected(whole: Coupling, real: Part, fake: Part, halves: list[tuple[Part, Part]]) -> Corrected:
    """Return the distance without its bias: to second order, then extrapolated from halves (Richardson).

    ``c + (c − mean c_h) / (w − 1)`` with ``w = mean (N / n_h)²``, where each c is :func:`less_biased`.

    Args:
        whole: the coupling of both sides.
        real, fake: both sides; real rows are None where the real side is given.
        halves: of the real side, which is the same in both where it is given, and of the generated side.
    """
    value = less_biased(whole, real, fake)
    of_halves = [less_biased(Coupling(x.gaussian, y.gaussian), x, y) for x, y in halves]
    ratios = [(whole.y.num_samples / y.gaussian.num_samples) ** 2 for _, y in halves]
    extrapolated = value + (value - torch.stack(of_halves).mean()) / (sum(ratios) / len(ratios) - 1)
    return Corrected(extrapolated, (extrapolated - value).abs() / 2)
