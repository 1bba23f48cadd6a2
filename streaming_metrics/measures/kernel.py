"""Kernel Inception Distance: the maximum mean discrepancy of features under a cubic kernel.

M. Bińkowski, D. J. Sutherland, M. Arbel, A. Gretton, "Demystifying MMD GANs", ICLR 2018.
Parity target: torch-fidelity, given the same features in the same order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from streaming_metrics.arguments import check_flag, check_integer
from streaming_metrics.measures.base import Measure, Scalar, width
from streaming_metrics.measures.influence import ids_of, kernel_influences
from streaming_metrics.pairwise import Draw, KernelSums, PolynomialKernel, SubsetSums
from streaming_metrics.pairwise.draws import check_seed
from streaming_metrics.pairwise.kernels import check_kernel
from streaming_metrics.statistics import Bank
from streaming_metrics.verdicts.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Sides
    from streaming_metrics.pairwise import PairReduction
    from streaming_metrics.statistics import Statistic
    from streaming_metrics.verdicts.evidence import Influence

NAME = "Kernel distance"
ABOUT = {"std": "", "se": "the distance, both sides random"}
"""What the interval of each spread is about: that of a deviation over subsets is about nothing."""
PAIRS: tuple[tuple[str, str], ...] = (("real", "real"), ("fake", "fake"), ("fake", "real"))


@dataclass(frozen=True)
class KID(Measure):
    """Kernel Inception Distance: unbiased squared MMD under ``k(x, y) = (gamma·xᵀy + coef)^degree``.

    ``Σ_{i≠j} k(x_i, x_j) / (n(n−1)) + Σ_{i≠j} k(y_i, y_j) / (m(m−1)) − 2·Σ k(x_i, y_j) / (nm)``. Range: unbounded,
    about 0 for equal distributions (may be negative), lower is better.

    With ``subsets``, the mean and the standard deviation (ddof 0) over random subsets: ``kid``, ``kid_std``. With
    ``subsets=None``, the U-statistic of all samples and its jackknife standard error: ``kid``, ``kid_se``.
    Which rows a subset holds depends on the order of the samples' index.

    ``kid_std`` is no error of ``kid``: it is two to four times as wide, and divided by the root of the number of
    subsets, half as wide. ``se`` adds ``kid_se`` beside it: the jackknife error of all samples, both sides random,
    which is that of the mean over subsets too; an interval ``kid ± 1.96·kid_se`` is one of the distance between the
    distributions, since the statistic has no bias. Of equal distributions it is too wide, by a third.

    Args:
        subsets, subset_size, seed: as torch-fidelity draws them; see :class:`~streaming_metrics.pairwise.Draw`.
        degree, gamma, coef: of the kernel, ``gamma > 0`` and ``coef ≥ 0``; ``gamma = 1/D`` where None.
        capacity: keep a reservoir of so many features a side instead of all.
        se: report the standard error beside subsets too; NaN of fewer than 3 samples a side, or of one cluster.
        cluster: how many consecutive ids of generated samples depend on each other, as images of one prompt do: the
            error is then that of their influences, summed by cluster.

    Raises:
        NotEnoughSamples: at compute, with fewer than ``subset_size`` samples a side (3 where ``subsets=None``).
        ValueError: at compute, where the kernel of such features is beyond float64.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([KID(subsets=2, subset_size=4)], extractor=None, num_features=2)
        >>> metric.update(torch.arange(12.0).view(6, 2), real=True)
        >>> metric.update(torch.arange(12.0).view(6, 2), real=False)
        >>> sorted(metric.compute())
        ['kd_features', 'kd_std_features']
    """

    subsets: int | None = 100
    subset_size: int = 1000
    seed: int | bytes = 2020
    degree: int = 3
    gamma: float | None = None
    coef: float = 1.0
    capacity: int | None = None
    se: bool = field(default=False, kw_only=True)
    cluster: int = field(default=1, kw_only=True)

    label: ClassVar[str] = "kid"
    group: ClassVar[str] = "core"
    paper: ClassVar[str] = "Bińkowski et al., ICLR 2018"

    def __post_init__(self) -> None:
        check_integer("KID subsets", self.subsets, least=1, optional=True)
        check_integer("KID subset_size", self.subset_size, least=2)
        check_seed("KID seed", self.seed)
        check_flag("KID se", self.se)
        check_integer("KID cluster", self.cluster, least=1)
        if self.cluster != 1 and not self._has_error:
            raise ValueError("KID cluster is of its standard error. Remedy: se=True.")
        check_kernel("KID ", self.degree, self.gamma, self.coef)
        check_integer("KID capacity", self.capacity, least=self._least, optional=True)

    @property
    def _least(self) -> int:
        return 3 if self.subsets is None else self.subset_size

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        told = [spread for spread, is_told in (("std", self.subsets), ("se", self._has_error)) if is_told]
        spreads = [
            Scalar(f"kid_{spread}", family=NAME, spread_of="kid", elsewhere=f"kd_{spread}", about=ABOUT[spread])
            for spread in told
        ]
        return (Scalar("kid", NAME, "lower", elsewhere="kd"), *spreads)

    @classmethod
    def known_scalars(cls) -> tuple[Scalar, ...]:
        return cls(se=True).scalars

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        bank = (self.bank(spec),)
        return {"real": bank, "fake": bank}

    def bank(self, spec: Spec) -> Bank:
        return Bank(width(spec, "KID"), self.capacity)

    def reductions(self, spec: Spec) -> tuple[PairReduction, ...]:  # noqa: ARG002
        return (*(self._of_subsets() if self.subsets else ()), *(self._of_all() if self._has_error else ()))

    def check(self, sides: Sides) -> None:
        for side in (sides.real, sides.fake):
            if self.subsets is None:
                side.require(self._least, "KID")
            else:
                side.require(
                    self._least,
                    "KID",
                    "more samples, a smaller `subset_size`, or all pairs instead of subsets: `kid(subsets=None)`",
                )

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        values: dict[str, Tensor] = {}
        if self._has_error:
            values["kid"], values["kid_se"] = u_statistic(*(results[reduction] for reduction in self._of_all()))
            if self.cluster > 1:
                values["kid_se"] = self._error_by_clusters(sides, results)
        if self.subsets:
            real, fake, cross = (results[reduction] for reduction in self._of_subsets())
            pairs = self.subset_size * (self.subset_size - 1)
            mmd = (real + fake) / pairs - 2 * cross / self.subset_size**2
            values |= {"kid": mmd.mean(), "kid_std": mmd.std(correction=0)}
        _check_in_range(value for key, value in values.items() if key != "kid_se" or value.isinf())
        return {key: values[key] for key in self.keys}

    def evidence(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Evidence]:  # noqa: ARG002
        if not self._has_error:
            return {}
        value, _ = u_statistic(*(results[reduction] for reduction in self._of_all()))
        real, fake = self._influences(sides, results)
        return {"kid": Evidence("kid", float(value), fake, real, both=True)}

    def least_compared(self, spec: Spec) -> int:
        return max(super().least_compared(spec), self._least)

    @property
    def _has_error(self) -> bool:
        return self.se or self.subsets is None

    def _error_by_clusters(self, sides: Sides, results: Results) -> Tensor:
        errors = [influence.error for influence in self._influences(sides, results)]
        return results[self._of_all()[0]].new_tensor(errors).norm()

    def _influences(self, sides: Sides, results: Results) -> tuple[Influence, Influence]:
        """Return those of real and of generated samples; collective."""
        real, fake, cross = (results[reduction] for reduction in self._of_all())
        real_ids, fake_ids = (ids_of(side, self.bank(sides.spec)) for side in (sides.real, sides.fake))
        return kernel_influences((real, fake, cross), real_ids, fake_ids, self.cluster)

    def _of_all(self) -> tuple[PairReduction, PairReduction, PairReduction]:
        real, fake, cross = (KernelSums(*pair, self._kernel) for pair in PAIRS)
        return real, fake, cross

    def _of_subsets(self) -> tuple[PairReduction, PairReduction, PairReduction]:
        assert self.subsets is not None
        draw = Draw(self.subsets, self.subset_size, self.seed)
        real, fake, cross = (SubsetSums(*pair, self._kernel, draw) for pair in PAIRS)
        return real, fake, cross

    @property
    def _kernel(self) -> PolynomialKernel:
        return PolynomialKernel(self.degree, self.gamma, self.coef)


def _check_in_range(values: Iterable[Tensor]) -> None:
    if not all(value.isfinite() for value in values):
        raise ValueError(
            "KID: the kernel of these features is beyond what float64 holds. Remedy: a lower degree, a smaller gamma, "
            "or features of a smaller scale, the same one for both sides."
        )


def u_statistic(real: Tensor, fake: Tensor, cross: Tensor) -> tuple[Tensor, Tensor]:
    """Return the unbiased squared MMD and its two-sample jackknife standard error.

    Args:
        real, fake: ``(n,)`` and ``(m,)`` float64, each row's kernel sum over its own side without itself.
        cross: ``(m + n,)`` float64, each generated row's sum over the real side, then each real row's over the
            generated.
    """
    n, m = len(real), len(fake)
    fake_cross, real_cross = cross.split([m, n])
    terms = real.sum() / (n * (n - 1)), fake.sum() / (m * (m - 1)), fake_cross.sum() / (n * m)
    without_real = (real.sum() - 2 * real) / ((n - 1) * (n - 2)) - 2 * (fake_cross.sum() - real_cross) / ((n - 1) * m)
    without_fake = (fake.sum() - 2 * fake) / ((m - 1) * (m - 2)) - 2 * (fake_cross.sum() - fake_cross) / (n * (m - 1))
    variance = (n - 1) * without_real.var(correction=0) + (m - 1) * without_fake.var(correction=0)
    return terms[0] + terms[1] - 2 * terms[2], variance.sqrt()
