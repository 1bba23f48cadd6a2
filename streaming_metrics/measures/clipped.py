"""Clipped density and clipped coverage: fidelity and coverage that outliers cannot inflate, calibrated to shares.

N. Salvy, H. Talbot, B. Thirion, "Enhanced generative model evaluation with clipped density and coverage", ICLR 2026.
Parity target: the authors' code, exactly in counts where no two distances are equal.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import torch

from streaming_metrics.arguments import check_integer
from streaming_metrics.measures.base import BiasWarning, Measure, Scalar, check_squared_radii, width
from streaming_metrics.pairwise import ClippedBalls, Radii
from streaming_metrics.statistics import Bank, ClippedCounts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.statistics import Statistic

FAMILY = "Clipped density and coverage"


@dataclass(frozen=True)
class ClippedDensityCoverage(Measure):
    """Clipped density and clipped coverage: shares of good generated samples, and of the real side that they cover.

    A ball reaches from a real sample to its k-th nearest other one. ``clipped_density``: over generated samples, the
    mean of ``min(c_j / k, 1)``, c_j the balls that hold sample j once radii are clipped at their median (at the edge is
    inside), divided by the same mean over the real samples themselves, each without its own ball, and clipped at 1.
    ``clipped_coverage``: y, the mean over real samples of ``min(c_i / k, 1)``, c_i the generated samples inside of ball
    i, its radius not clipped (at the edge is outside); then the share of sizes 0 to m at which samples of the real
    distribution itself would be expected to reach less than y. Range [0, 1], higher is better: 0.7 is what 70 % good
    samples would give. Counts are exact, and independent of order, batches, ranks and devices.

    Once the real side is frozen, of generated samples a count a ball is kept. A generator that copies the real samples
    scores well. Errors, by a jackknife over blocks of what both are before they are clipped at 1, are given the real
    samples, of which much of the spread is.

    Args:
        k: which neighbour spans a ball.

    Raises:
        NotEnoughSamples: at compute, with fewer than k + 2 real samples or no generated one.

    Warns:
        BiasWarning: where real samples have k identical others, so that their balls are empty.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([ClippedDensityCoverage(k=1)], extractor=None, num_features=1)
        >>> metric.update(torch.tensor([[0.0], [1.0], [3.0]]), real=True)
        >>> metric.update(torch.tensor([[0.5], [1.5], [9.0]]), real=False)
        >>> {key: round(value.item(), 3) for key, value in metric.compute().items()}
        {'clipped_density_features': 1.0, 'clipped_coverage_features': 1.0}
    """

    k: int = 5
    _balls: ClippedBalls | None = field(default=None, repr=False, compare=False, kw_only=True)
    _is_bound: bool = field(default=False, repr=False, kw_only=True)

    label: ClassVar[str] = "clipped"
    group: ClassVar[str] = "density"
    paper: ClassVar[str] = "Salvy et al., ICLR 2026"
    jackknifed: ClassVar[tuple[str, ...]] = ("clipped_density", "clipped_coverage")

    def __post_init__(self) -> None:
        check_integer("ClippedDensityCoverage k", self.k, least=1)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (
            Scalar("clipped_density", "Clipped density", "higher", FAMILY, kind="share"),
            Scalar("clipped_coverage", "Clipped coverage", "higher", FAMILY, kind="share"),
        )

    @property
    def fixed(self) -> Role | None:
        return "real"

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        bank = self._bank(spec)
        return {"real": (bank,), "fake": (self._counts(spec) if self._is_bound else bank,)}

    def check(self, sides: Sides) -> None:
        sides.real.require(self.k + 2, f"ClippedDensityCoverage(k={self.k})", "more samples, or a smaller `k`")
        sides.fake.require(1, "ClippedDensityCoverage")

    def prepares(self, spec: Spec) -> Prepared:  # noqa: ARG002
        return {"radii": torch.empty(0, dtype=torch.float64), "own": torch.empty(0, dtype=torch.int64)}

    def prepare(self, spec: Spec, side: Side) -> Prepared:
        bank = self._bank(spec)
        radii = side.reduce(bank, Radii("real", self.k))
        held, _ = ClippedBalls(side.rows(bank), radii).count(side[bank]["rows"])
        own = side.comm.sum((held - 1).clamp(max=self.k).sum())  # each lies in the ball around itself
        return {"radii": radii, "own": own.view(1)}

    def check_prepared(self, prepared: Prepared, num_samples: int) -> None:
        check_squared_radii(prepared["radii"], num_samples)
        own = prepared["own"]
        if len(own) != 1 or not 0 < int(own[0]) <= self.k * num_samples:
            raise ValueError(f"expected a count of 1 to {self.k * num_samples} real samples in balls, got {own}.")

    def bind(self, spec: Spec, side: Side | None, prepared: Prepared) -> ClippedDensityCoverage:
        if side is None:
            return replace(self, _is_bound=True)
        balls = ClippedBalls(side[self._bank(spec)]["rows"], prepared["radii"])
        return replace(self, _is_bound=True, _balls=balls)

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:
        _warn_of_empty_balls(prepared["radii"], self.k)
        return {key: value.clamp(max=1) for key, value in self.uncut(sides, prepared, results).items()}

    def uncut(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        counts, n, m = self._counts(sides.spec), sides.real.num_samples, sides.fake.num_samples
        state = sides.fake[counts]
        density, coverage = counts.density(state), counts.coverage(state)
        own = prepared["own"][0].to(density) / (self.k * n)
        share = calibrated(float(coverage), self.k, n, m, most=2 * m)
        return {"clipped_density": density / own, "clipped_coverage": torch.full_like(coverage, share)}

    def _bank(self, spec: Spec) -> Bank:
        return Bank(width(spec, "ClippedDensityCoverage"))

    def _counts(self, spec: Spec) -> ClippedCounts:
        return ClippedCounts(width(spec, "ClippedDensityCoverage"), self.k, self._balls)


def expected_coverage(k: int, n: int, m: int) -> float:
    """Return the coverage that m samples of the real distribution are expected to have before it is calibrated.

    The mass of a ball is Beta(k, n − k), so the samples inside are J ~ BetaBinomial(m; k, n − k), and
    ``E min(J, k)/k = 1 − Σ_{j<k} (1 − j/k)·P(J = j)``: k terms, each made of the last by a ratio near 1, so that
    nothing cancels or overflows. It rises in m.

    Args:
        k: which neighbour spans a ball.
        n: real samples, more than k.
        m: generated samples.

    Example:
        >>> expected_coverage(k=1, n=3, m=1)  # one point is in a ball of two of four points with probability 1/3
        0.33333333333333337
    """
    chance = 1.0
    for i in range(1, k + 1):
        chance *= (n - i) / (n + m - i)
    missing = chance
    for j in range(min(k - 1, m)):
        chance *= (m - j) / (j + 1) * (k + j) / (n + m - k - j - 1)
        missing += chance * (1 - (j + 1) / k)
    return 1 - missing


def calibrated(coverage: float, k: int, n: int, m: int, most: int | None = None) -> float:
    """Return the share of sizes 0 to m whose expected coverage is below ``coverage``; that of sizes below k is taken
    to be 0, as the authors do.

    Args:
        coverage: the mean over balls.
        k, n, m: see :func:`expected_coverage`.
        most: the largest size that is looked at; by default m, and with more the share may be above 1.

    Example:
        >>> calibrated(expected_coverage(5, 1000, 700), 5, 1000, 1000)
        0.6993006993006993
    """
    if coverage <= 0:
        return 0.0
    high = (m if most is None else most) + 1
    low = min(k, high)  # the first size that reaches it lies within; the last where none does
    while low < high:
        middle = (low + high) // 2
        if expected_coverage(k, n, middle) < coverage:
            low = middle + 1
        else:
            high = middle
    return low / (m + 1)


def _warn_of_empty_balls(radii: Tensor, k: int) -> None:
    if empty := int((radii == 0).sum()):
        warnings.warn(
            f"ClippedDensityCoverage: {empty} of {len(radii)} real samples have {k} identical others, so their balls "
            "have radius 0. Constant or duplicated features? Remedy: drop duplicates, or check the extractor.",
            BiasWarning,
            stacklevel=3,
        )
