"""Coverage metric of AdaGAN: real mass of the region that holds 95 % of the generated mass.

I. Tolstikhin, S. Gelly, O. Bousquet, C.-J. Simon-Gabriel, B. Schölkopf, "AdaGAN: boosting generative models", NeurIPS
2017. Parity target: the paper's definition, on scikit-learn's ``KernelDensity``. The authors' code takes the threshold
from densities at the very samples that the estimate is made of, each its own nearest: from some 16 features on, it then
exceeds every density at a real sample, and the coverage of a perfect generator is 0. Ours leaves a sample out of the
estimate of its own density, for which a perfect generator has 0.95; in two dimensions both agree within 0.02.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_flag, check_integer, check_real
from streaming_metrics.measures.bandwidth_grid import bandwidths_of, checked_widths, is_at_an_end, typical_spread
from streaming_metrics.measures.base import BiasWarning, Measure, Scalar, width
from streaming_metrics.measures.error_scalars import BOTH_RANDOM, error_of, share_error_of
from streaming_metrics.pairwise import Bandwidths
from streaming_metrics.statistics import Bank, FixedRows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Sides
    from streaming_metrics.statistics import Statistic

ROUNDING = 1e-9
"""Log-densities so close are equal."""
FEW = 2
"""Generated samples on one side of the threshold, below which it is hardly known."""


@dataclass(frozen=True)
class AdaGANCoverage(Measure):
    """AdaGAN coverage: share of real samples where the generated density is above the level that most generated samples
    exceed.

    ``coverage_adagan``: ``P_data(p > t)``, with t such that ``P_model(p > t) = level``; p is a Gaussian kernel density
    estimate of the generated samples, t the ``1 − level`` quantile of its values at them, each left out of its own
    estimate. Range [0, 1], higher is better; ``level`` for equal distributions, with a standard error of about
    ``√(level·(1 − level)·(1/n + 1/m))``. A generator that covers more than the data is not told from one that fits:
    read it beside precision. A generator all of whose samples are equal covers the real samples that equal them.

    The bandwidth is the one of a grid for which generated samples are likeliest, each left out. The grid is that of
    ``ParzenLikelihood``: 32 widths around the spread of the real features.

    Of each side, ``most`` rows are kept, which depend on the ids alone; nothing else is. Both densities must be of
    estimates made of equally many samples, so real densities cannot be added up over all generated samples while the
    threshold comes from a few: of 16,000 and 1,000, in 64 dimensions equal distributions then had a coverage of 0.99.
    Computing takes about four matrices of ``most²`` numbers.

    Args:
        most: rows of each side.
        level: share of the generated mass, in (0, 1).
        widths: bandwidths to choose among, in the units of the features; by default the grid.
        se: report ``coverage_adagan_se`` too: Wilson's error of a share of ``nm / (n + m)`` samples, of n real and m
            generated rows, which is what it is for equal distributions.

    Raises:
        NotEnoughSamples: at compute, with no real sample, 2 without ``widths``, or fewer than 2 generated ones.
        ValueError: at compute, where the median distance of the real rows is 0 and no widths are given.

    Warns:
        BiasWarning: where the best bandwidth is the smallest of several, as of samples that repeat, or the largest;
            where so few generated samples lie below the threshold that it is hardly known.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([AdaGANCoverage()], extractor=None, num_features=1)
        >>> metric.update(torch.arange(40.0).view(40, 1), real=True)
        >>> metric.update(torch.arange(0, 20.0, 0.1).view(200, 1), real=False)  # half of the real samples
        >>> metric.compute()
        {'coverage_adagan_features': tensor(0.4750, dtype=torch.float64)}
    """

    most: int = 500
    level: float = 0.95
    widths: tuple[float, ...] | None = None
    se: bool = field(default=False, kw_only=True)

    label: ClassVar[str] = "coverage_adagan"
    group: ClassVar[str] = "density"
    paper: ClassVar[str] = "Tolstikhin et al., NeurIPS 2017"

    def __post_init__(self) -> None:
        check_integer("AdaGANCoverage most", self.most, least=2)
        check_real("AdaGANCoverage level", self.level, above=0)
        if self.level >= 1:
            raise ValueError(f"AdaGANCoverage level: expected a share below 1, got {self.level}.")
        object.__setattr__(self, "widths", checked_widths("AdaGANCoverage", self.widths))
        check_flag("AdaGANCoverage se", self.se)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        share = Scalar("coverage_adagan", "Coverage of the generated density", "higher", kind="share")
        return (share, error_of(share, BOTH_RANDOM)) if self.se else (share,)

    @classmethod
    def known_scalars(cls) -> tuple[Scalar, ...]:
        return cls(se=True).scalars

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        bank = (self._bank(spec),)
        return {"real": bank, "fake": bank}

    def check(self, sides: Sides) -> None:
        sides.real.require(2 if self.widths is None else 1, "AdaGANCoverage")
        sides.fake.require(2, "AdaGANCoverage")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        real, fake = (side.rows(self._bank(sides.spec)) for side in (sides.real, sides.fake))
        scale = typical_spread("AdaGANCoverage", sides.real, real) if self.widths is None else 0.0
        bandwidths, points, (m, num_features) = bandwidths_of(self.widths, scale), FixedRows(fake), fake.shape
        own = log_densities(bandwidths, points.squared(fake).fill_diagonal_(torch.inf), m - 1, num_features)
        best = int(own.mean(1).argmax())
        self._warn(bandwidths.widths, best, m)
        chosen = Bandwidths(bandwidths.widths[best : best + 1])
        density = log_densities(chosen, points.squared(real).T, m, num_features)[0]
        share = (density > self._threshold(own[best])).double().mean()
        return dict(zip(self.keys, (share, share_error_of(share, len(real) * m / (len(real) + m)))))

    def _bank(self, spec: Spec) -> Bank:
        return Bank(width(spec, "AdaGANCoverage"), capacity=self.most)

    def _threshold(self, densities: Tensor) -> Tensor:
        """Return the quantile of densities, of those that are equal just below, so that they count as covered."""
        threshold = torch.quantile(densities, 1 - self.level)
        return threshold - ROUNDING * (1 + threshold.abs())

    def _warn(self, widths: Tensor, best: int, num_points: int) -> None:
        if which := is_at_an_end(widths, best):
            what = f"of all bandwidths the {which} is best, {widths[best]:.3g}, as of samples that repeat"
            _warn(what, "look at the generated samples; give `widths`")
        if num_points * min(self.level, 1 - self.level) < FEW:
            what = f"the threshold is a quantile of {num_points} samples, fewer than {FEW} of them on one side"
            _warn(what, "more generated samples")


def log_densities(bandwidths: Bandwidths, squared: Tensor, num_points: int, num_features: int) -> Tensor:
    """Return log-densities of m points at n rows, float64 ``(k, n)``, by their squared distances ``(n, m)``."""
    return bandwidths.log_densities(*bandwidths.summed(squared), num_points, num_features)


def _warn(what: str, remedy: str) -> None:
    warnings.warn(f"AdaGANCoverage: {what}. Remedy: {remedy}.", BiasWarning, stacklevel=4)
