"""Sliced Wasserstein distance: the mean of Wasserstein distances along random lines.

J. Rabin, G. Peyré, J. Delon, M. Bernot, "Wasserstein barycenter and its application to texture mixing", SSVM 2011;
N. Bonneel, J. Rabin, G. Peyré, H. Pfister, "Sliced and Radon Wasserstein barycenters of measures", JMIV 2015.
Parity target: POT's ``sliced_wasserstein_distance``, whose directions of a seed are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer
from streaming_metrics.measures.base import Measure, Scalar, Side, width
from streaming_metrics.pairwise.chunks import parts
from streaming_metrics.statistics import Projections

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Sides
    from streaming_metrics.statistics import Statistic

LINES = 16
"""Lines whose quantile functions are in memory at once."""


@dataclass(frozen=True)
class SlicedWasserstein(Measure):
    """Sliced Wasserstein distance: p-th root of the mean of ``W_p^p`` between features projected on random lines.

    ``(mean_u ∫₀¹ |F_u⁻¹(t) − G_u⁻¹(t)|^p dt)^(1/p)`` over ``n_projections`` unit vectors u, with F and G the empirical
    distributions of ``u·x`` and ``u·y``: exact for any two numbers of samples. Range [0, ∞), in units of the features;
    lower is better. A shift of all features by v gives ``‖v‖/√D`` for p = 2 in expectation over u. Of equal
    distributions it is not 0, but falls as ``1/√n``: compare equal numbers of samples.

    Of a sample, its ``n_projections`` numbers are kept, in float32, and not its features.

    Args:
        p: order, 1 or 2.
        n_projections: number of unit vectors.
        seed: of the unit vectors.

    Raises:
        NotEnoughSamples: at compute, with no sample on a side.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([SlicedWasserstein()], extractor=None, num_features=1)
        >>> metric.update(torch.tensor([[0.0], [1.0], [2.0]]), real=True)
        >>> metric.update(torch.tensor([[5.0], [3.0], [4.0]]), real=False)
        >>> metric.compute()
        {'sliced_wasserstein_features': tensor(3., dtype=torch.float64)}
    """

    p: int = 2
    n_projections: int = 100
    seed: int = 0

    label: ClassVar[str] = "sliced_wasserstein"
    group: ClassVar[str] = "distances"
    paper: ClassVar[str] = "Rabin et al., SSVM 2011"

    def __post_init__(self) -> None:
        check_integer("SlicedWasserstein p", self.p, least=1, most=2)
        check_integer("SlicedWasserstein n_projections", self.n_projections, least=1)
        check_integer("SlicedWasserstein seed", self.seed, least=0, most=2**32 - 1)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (Scalar("sliced_wasserstein", f"Sliced Wasserstein-{self.p} distance", "lower"),)

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        projections = (self._projections(spec),)
        return {"real": projections, "fake": projections}

    def check(self, sides: Sides) -> None:
        for side in (sides.real, sides.fake):
            side.require(1, "SlicedWasserstein")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        projections = self._projections(sides.spec)
        real, fake = (sorted_lines(side, projections) for side in (sides.real, sides.fake))
        return {"sliced_wasserstein": wasserstein_of_sorted(real, fake, self.p).mean() ** (1 / self.p)}

    def _projections(self, spec: Spec) -> Projections:
        return Projections(width(spec, "SlicedWasserstein"), self.n_projections, self.seed)


def sorted_lines(side: Side, projections: Projections) -> Tensor:
    """Return ``(P, n)`` float32: each projection of all of a side's samples, ascending; collective."""
    rows = projections.replicate(side[projections], side.comm)["rows"]
    return rows.T.contiguous().sort(1).values


def wasserstein_of_sorted(x: Tensor, y: Tensor, p: int) -> Tensor:
    """Return ``W_p^p`` float64 ``(P,)`` of the rows of ``x (P, n)`` and ``y (P, m)``, each ascending.

    Example:
        >>> wasserstein_of_sorted(torch.tensor([[0.0, 6.0]]), torch.tensor([[0.0, 3.0, 6.0]]), p=1)
        tensor([1.], dtype=torch.float64)
    """
    weights, i, j = (tensor.to(x.device) for tensor in quantile_steps(x.shape[1], y.shape[1]))
    costs = [(x[part].double()[:, i] - y[part].double()[:, j]).abs() ** p @ weights for part in parts(len(x), LINES)]
    return torch.cat(costs)


def quantile_steps(n: int, m: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the lengths of the steps on which the quantile functions of n and of m samples are both constant, float64,
    and which of the n, and of the m sorted samples they are there.

    Example:
        >>> quantile_steps(2, 3)
        (tensor([0.3333, 0.1667, 0.1667, 0.3333], dtype=torch.float64), tensor([0, 0, 1, 1]), tensor([0, 1, 1, 2]))
    """
    ends = torch.cat([torch.arange(1, n + 1) * m, torch.arange(1, m + 1) * n]).unique()  # in units of 1 / nm
    lengths = ends.diff(prepend=ends.new_zeros(1))
    return lengths.double() / (n * m), (ends - 1) // m, (ends - 1) // n
