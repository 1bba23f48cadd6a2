"""Maximum mean discrepancy under a Gaussian kernel, with a permutation test.

A. Gretton, K. M. Borgwardt, M. J. Rasch, B. Schölkopf, A. Smola, "A kernel two-sample test", JMLR 2012.
Parity target: the U-statistic and the V-statistic of the paper, on scikit-learn's ``rbf_kernel``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_flag, check_integer, check_real
from streaming_metrics.measures.base import MORE, BiasWarning, Measure, Scalar, width
from streaming_metrics.measures.block_permutations import BlockPermutations
from streaming_metrics.measures.error_scalars import BOTH_RANDOM, error_of
from streaming_metrics.measures.influence import ids_of, kernel_influences
from streaming_metrics.measures.kernel import u_statistic
from streaming_metrics.pairwise import RBFKernel
from streaming_metrics.pairwise.all_pairs import all_pairs
from streaming_metrics.statistics import Bank
from streaming_metrics.verdicts.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.statistics import Statistic
    from streaming_metrics.verdicts.evidence import Influence

FACTORS = (0.5, 1.0, 2.0)
"""Widths, as multiples of the median distance."""
LEVEL = 0.05


@dataclass(frozen=True)
class MMD(Measure):
    """MMD: squared maximum mean discrepancy of features under a Gaussian kernel, and its permutation p-value.

    ``k(x, y) = mean_σ exp(−‖x − y‖² / 2σ²)``, the mean over ``widths``. ``mmd`` is unbiased,
    ``Σ_{i≠j} k(x_i, x_j) / (n(n−1)) + Σ_{i≠j} k(y_i, y_j) / (m(m−1)) − 2·Σ k(x_i, y_j) / (nm)``, about 0 for equal
    distributions and possibly below, range (−2, 2]; or ``biased``, with the pairs i = j and squares of n and m, range
    [0, 2]. Lower is better.

    ``mmd_p``, in (0, 1]: ``(1 + #{permuted ≥ observed}) / (1 + permutations)``. The samples of each side, in the order
    of their ids, are cut into blocks of ``block`` consecutive ones, and it is the blocks that change sides: samples
    that depend on each other, as those of a batch or of a prompt do, stay together, where single ones would call
    equal distributions different. Samples that fill no block stay on their side.

    Of each side, ``most`` rows are kept, which depend on the ids alone; nothing else is. So there is no form bound to a
    frozen real side: the widths follow from its rows, and stay with them. Computing takes about three matrices of
    ``(2·most)²`` numbers, 0.1 GB by default.

    Args:
        most: rows of each side.
        widths: σ, one or several; by default ½, 1 and 2 times the median distance between two of the real rows.
        biased: include the pairs of a sample with itself.
        permutations: 0 leaves ``mmd_p`` out.
        block: samples that are permuted together; at least as many as depend on each other among the rows kept.
        seed: of the permutations.
        se: report ``mmd_se`` too, the two-sample jackknife's error of the rows kept; of equal distributions, too wide.
        cluster: how many consecutive ids of generated samples depend on each other: the error is then that of their
            influences, summed by cluster, and rows are kept by cluster.

    Raises:
        NotEnoughSamples: at compute, with fewer than 2 blocks, or 2 samples, a side.
        ValueError: at compute, where the median distance of the real rows is 0 and no widths are given.

    Warns:
        BiasWarning: where so few blocks have no arrangement whose p-value is below 0.05.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([MMD(block=2)], extractor=None, num_features=1)
        >>> metric.update(torch.arange(20.0).view(20, 1), real=True)
        >>> metric.update(torch.arange(20.0).view(20, 1) + 100, real=False)
        >>> {key: round(value.item(), 3) for key, value in metric.compute().items()}
        {'mmd_features': 1.105, 'mmd_p_features': 0.001}
    """

    most: int = 1000
    widths: tuple[float, ...] | None = None
    biased: bool = False
    permutations: int = 999
    block: int = 10
    seed: int = 0
    se: bool = field(default=False, kw_only=True)
    cluster: int = field(default=1, kw_only=True)

    label: ClassVar[str] = "mmd"
    group: ClassVar[str] = "two-sample tests"
    paper: ClassVar[str] = "Gretton et al., JMLR 2012"

    def __post_init__(self) -> None:
        if self.widths is not None:
            given = self.widths if isinstance(self.widths, Iterable) else (self.widths,)
            for sigma in given:
                check_real("MMD widths", sigma, above=0)
            object.__setattr__(self, "widths", tuple(float(sigma) for sigma in given))
        if self.widths == ():
            raise ValueError("MMD widths: expected at least one, got none. Remedy: widths=None.")
        check_flag("MMD biased", self.biased)
        check_integer("MMD permutations", self.permutations, least=0)
        check_integer("MMD block", self.block, least=1)
        check_integer("MMD most", self.most, least=self._least)
        check_integer("MMD seed", self.seed, least=0, most=2**32 - 1)
        check_flag("MMD se", self.se)
        check_integer("MMD cluster", self.cluster, least=1)
        if self.cluster != 1 and not self.se:
            raise ValueError("MMD cluster is of its standard error. Remedy: se=True.")

    @property
    def _least(self) -> int:
        return 2 * self.block if self.permutations else 2

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        distance = Scalar("mmd", "Squared MMD, Gaussian kernel", "lower", kind="positive" if self.biased else "real")
        p_value = (Scalar("mmd_p", "p-value of MMD"),) if self.permutations else ()
        about = BOTH_RANDOM if self.biased else "the distance, both sides random"
        return (distance, *p_value, *((error_of(distance, about),) if self.se else ()))

    @classmethod
    def known_scalars(cls) -> tuple[Scalar, ...]:
        return cls(se=True).scalars

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        real, fake = self._banks(spec)
        return {"real": (real,), "fake": (fake,)}

    def check(self, sides: Sides) -> None:
        remedy = MORE
        if self.permutations:
            remedy = "more samples, a smaller `block`, or `permutations=0`"
        for side in (sides.real, sides.fake):
            side.require(self._least, "MMD", remedy)

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        banks = self._banks(sides.spec)
        real, fake = (side.rows(bank) for side, bank in zip((sides.real, sides.fake), banks))
        widths = self._widths(sides.real, real)
        within = sides.real.once(("kernel", self.most, widths), lambda: rbf_kernel(real, real, widths))
        gram = rbf_gram(real, fake, widths, within)
        test = BlockPermutations(gram, len(real), self.block, self.biased)
        values = {"mmd": test.observed}
        if self.permutations:
            _warn_if_few(test.arrangements)
            values["mmd_p"] = test.p_value(self.permutations, self.seed)
        if self.se:
            sums = sides.fake.once((self, "row sums"), lambda: _row_sums(gram, len(real)))
            values["mmd_se"] = self._error(sides, sums)
        return values

    def evidence(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Evidence]:  # noqa: ARG002
        if not self.se:
            return {}
        sums = sides.fake.kept[self, "row sums"]  # compute has left them
        real, fake = self._influences(sides, sums)
        return {"mmd": Evidence("mmd", float(u_statistic(*sums)[0]), fake, real, both=True)}

    def _error(self, sides: Sides, sums: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        if self.cluster == 1:
            return u_statistic(*sums)[1]
        return sums[0].new_tensor([influence.error for influence in self._influences(sides, sums)]).norm()

    def _influences(self, sides: Sides, sums: tuple[Tensor, Tensor, Tensor]) -> tuple[Influence, Influence]:
        """Return those of real and of generated rows; collective."""
        real, fake = (ids_of(side, bank) for side, bank in zip((sides.real, sides.fake), self._banks(sides.spec)))
        return kernel_influences(sums, real, fake, self.cluster)

    def _banks(self, spec: Spec) -> tuple[Bank, Bank]:
        """Return that of the real side, and that of the generated one, which keeps whole clusters."""
        num_features, whole = width(spec, "MMD"), max(self.most // self.cluster, 1) * self.cluster
        return Bank(num_features, capacity=self.most), Bank(num_features, capacity=whole, cluster=self.cluster)

    def _widths(self, side: Side, rows: Tensor) -> tuple[float, ...]:
        if self.widths is not None:
            return self.widths
        median = side.once(("median distance", self.most), lambda: median_distance(rows))
        if median == 0:
            raise ValueError(
                "MMD: expected real features of which most differ, got a median distance of 0. Remedy: give `widths`, "
                "drop duplicates, or check the extractor."
            )
        return tuple(factor * median for factor in FACTORS)


def _row_sums(gram: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return what :func:`~streaming_metrics.measures.kernel.u_statistic` is made of, of n real rows and the others."""
    own = gram.clone().fill_diagonal_(0)
    cross = gram[:n, n:]
    return own[:n, :n].sum(1), own[n:, n:].sum(1), torch.cat([cross.sum(0), cross.sum(1)])


def median_distance(rows: Tensor) -> float:
    """Return the median of ``‖x_i − x_j‖`` over the pairs i < j of ``rows (n, D)``, n ≥ 2; the lower of two."""
    n = len(rows)
    i, j = torch.triu_indices(n, n, offset=1, device=rows.device)
    return float(all_pairs(rows, rows).squared[i, j].median().sqrt())


def rbf_kernel(x: Tensor, y: Tensor, widths: tuple[float, ...]) -> Tensor:
    """Return the kernel of all pairs of rows of ``x (n, D)`` and ``y (m, D)``, float64 ``(n, m)``."""
    return RBFKernel(widths).rest(all_pairs(x, y))


def rbf_gram(real: Tensor, fake: Tensor, widths: tuple[float, ...], within: Tensor | None = None) -> Tensor:
    """Return the kernel of all pairs of ``real (n, D)`` and ``fake (m, D)`` rows, pooled, float64 ``(n + m, n + m)``.

    Args:
        real, fake: rows.
        widths: of the kernel.
        within: the kernel of the real rows, where it is known.
    """
    within = rbf_kernel(real, real, widths) if within is None else within
    other, across = (rbf_kernel(x, fake, widths) for x in (fake, real))
    return torch.cat([torch.cat([within, across], 1), torch.cat([across.T, other], 1)])


def _warn_if_few(arrangements: int) -> None:
    if arrangements < 1 / LEVEL:  # a product with so large a number may be beyond float64
        warnings.warn(
            f"MMD: blocks of so few samples can be dealt to the sides in {arrangements} ways only, so the p-value is "
            f"never below {1 / arrangements:.2g}. Remedy: more samples, or a smaller `block`.",
            BiasWarning,
            stacklevel=3,
        )
