"""Topological precision and recall (TopP&R): overlap of the supports that are statistically significant.

P. J. Kim, Y. Jang, J. Kim, J. Yoo, "TopP&R: robust support estimation approach for evaluating fidelity and diversity in
generative models", NeurIPS 2023.
Parity target: the package top-pr, of samples in the order of their ids.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer, check_real
from streaming_metrics.measures.base import BiasWarning, Measure, Scalar, width
from streaming_metrics.measures.supports import BALLOON, Support
from streaming_metrics.statistics import Bank

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.statistics import Statistic

FAMILY = "Topological precision and recall"
PROJECTED, PROJECTION_SEED = 32, 99
"""Directions that wider features are projected onto, and the seed that draws them, as the package's."""
REPEATS = 10
"""Bootstrap samples of a band."""
LEAST_FOR_F1 = 1e-4
"""Precision and recall below which the package gives an F1 of 0."""


@dataclass(frozen=True)
class TopPR(Measure):
    """TopP&R: share of a side's significant samples that lie in the significant support of the other side.

    A density is estimated at every sample of a side by cosine kernels; it is significant where it is above the
    half-width of a bootstrapped (1 − alpha) confidence band, so that outliers are no support. With S_x and S_y the
    significant supports of real and of generated samples: ``top_precision = |{y ∈ S_y: y ∈ S_x}| / |{y ∈ S_y}|``,
    ``top_recall = |{x ∈ S_x: x ∈ S_y}| / |{x ∈ S_x}|``, and ``top_f1`` their harmonic mean. Range [0, 1], higher is
    better.

    Features wider than 32 are projected onto 32 fixed random directions. The bandwidth is the median distance of a
    sample to the 5·D-th nearest (D ≤ 32) of those after it, in the order of ids. The package does likewise for D > 3;
    up to there it has another estimator, on a grid, which this is not.

    Args:
        alpha: how likely the band does not hold the density.
        most: samples of each side that are looked at, which depend on the ids alone.
        seed: of the bootstrap.

    Raises:
        NotEnoughSamples: at compute, with fewer than 5·D + 2 samples a side, 162 where D ≥ 32.

    Warns:
        BiasWarning: where no sample of a side is significant; the values are then NaN.

    Example:
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([TopPR()], extractor=None, num_features=2)
        >>> rows = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
        >>> metric.update(rows, real=True)
        >>> metric.update(rows + torch.tensor([9.0, 0.0]), real=False)
        >>> [value.item() for value in metric.compute().values()]
        [0.0, 0.0, 0.0]
    """

    alpha: float = 0.1
    most: int = 10_000
    seed: int = 42

    label: ClassVar[str] = "topp_r"
    group: ClassVar[str] = "density"
    paper: ClassVar[str] = "Kim et al., NeurIPS 2023"

    def __post_init__(self) -> None:
        check_real("TopPR alpha", self.alpha, above=0)
        if self.alpha >= 1:
            raise ValueError(f"TopPR alpha: expected a number less than 1, got {self.alpha}.")
        check_integer("TopPR most", self.most, least=BALLOON + 2)
        check_integer("TopPR seed", self.seed, least=0, most=2**32 - 1)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (
            Scalar("top_precision", "Topological precision", "higher", FAMILY, kind="share"),
            Scalar("top_recall", "Topological recall", "higher", FAMILY, kind="share"),
            Scalar("top_f1", "F1 of topological precision and recall", "higher", FAMILY, kind="share"),
        )

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        least = _least(spec)
        if self.most < least:
            raise ValueError(f"TopPR most: expected at least {least} for features of this width, got {self.most}.")
        bank = (self._bank(spec),)
        return {"real": bank, "fake": bank}

    def check(self, sides: Sides) -> None:
        for side in (sides.real, sides.fake):
            side.require(_least(sides.spec), "TopPR")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        random = np.random.RandomState(self.seed)
        real, fake = (self._support(side, sides.spec, random) for side in (sides.real, sides.fake))
        precision, recall = _share(fake, real, "fake"), _share(real, fake, "real")
        f1 = 2 / (1 / precision + 1 / recall)
        f1 = torch.zeros_like(f1) if precision <= LEAST_FOR_F1 or recall <= LEAST_FOR_F1 else f1
        return dict(zip(self.keys, (precision, recall, f1)))

    def _support(self, side: Side, spec: Spec, random: np.random.RandomState) -> Support:
        """Return the support of a side; the generator goes on, whether the side's is known or not; collective."""
        rows = side.rows(self._bank(spec))
        n = len(rows)
        draws = np.stack([random.choice(n, size=n, replace=True) for _ in range(REPEATS)])
        key = "support", self, n
        return side.once(key, lambda: Support.of(projected(rows), torch.from_numpy(draws).to(rows.device), self.alpha))

    def _bank(self, spec: Spec) -> Bank:
        return Bank(width(spec, "TopPR"), capacity=self.most)


def projected(rows: Tensor) -> Tensor:
    """Return rows on fixed random directions, float64 ``(n, min(D, 32))``; as they are where they are no wider."""
    d = rows.shape[1]
    if d <= PROJECTED:
        return rows.double()
    generator = torch.Generator().manual_seed(PROJECTION_SEED)
    directions = torch.empty(PROJECTED, d, device="cpu", dtype=torch.float32)
    directions.normal_(0, (2 / (d + PROJECTED)) ** 0.5, generator=generator)
    return rows.double() @ directions.to(rows.device).double().T


def _least(spec: Spec) -> int:
    """Return the fewest samples of a side that have a bandwidth; of a network not known yet, which is wider."""
    return BALLOON * min(spec.width("pool") or PROJECTED, PROJECTED) + 2


def _share(points: Support, other: Support, role: Role) -> Tensor:
    """Return the share ``()`` of significant points that are in the other support."""
    significant = points.rows[points.is_significant]
    if not len(significant):
        warnings.warn(
            f"TopPR: no {role} sample is significant: their density varies more than it amounts to, or they are "
            "identical. Remedy: more samples; or look for what makes them so.",
            BiasWarning,
            stacklevel=2,
        )
        return points.band.new_tensor(torch.nan)
    return other.holds(significant).double().mean()
