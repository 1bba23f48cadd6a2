"""CMMD: a maximum mean discrepancy of CLIP embeddings, which sums tell.

S. Jayasumana et al., "Rethinking FID: towards a better evaluation metric for image generation", CVPR 2024. Parity
target: the authors' ``mmd`` of L2-normalised embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import TYPE_CHECKING, ClassVar

import torch

from streaming_metrics.arguments import check_flag
from streaming_metrics.measures.base import Measure, Scalar, width
from streaming_metrics.measures.vendi import check_directions
from streaming_metrics.pairwise.chunks import parts
from streaming_metrics.statistics import Bank, SecondMoment, UnitSum
from streaming_metrics.statistics.second_moment import normalized

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.statistics import Statistic

SCALE = 1000.0
GAMMA = 1 / (2 * 10.0**2)
"""Of the kernel ``exp(−γ·‖x − y‖²)``, σ = 10."""
ROWS = 256
"""Rows whose pairs with all others are in memory at once."""


@dataclass(frozen=True)
class CMMD(Measure):
    """CLIP maximum mean discrepancy: ``1000·MMD²`` of L2-normalised embeddings, biased, Gaussian kernel with σ = 10.

    Of unit vectors the kernel is ``e^(−.01)·e^(.01·xᵀy)``, and what its powers add is told by sums:
    ``1000·e^(−.01)·(‖Δμ‖²/100 + ‖ΔE[xxᵀ]‖²_F/20000)``, and at most ``1000·e^(−.01)·4/6·10⁻⁶ = 6.6e-4`` more, from the
    third power on, which is left out: 2 to 4 parts in 100,000 of values at D = 768, where the authors' code, in
    float32, is 3e-5 to 1.5e-4 off. Range [0, 40), lower is better; antipodal points are ``2000·(1 − e^(−.02)) = 39.6``
    apart. Two samples of one distribution are not at 0, but at ``10·(1/n + 1/m)`` or less: compare equal numbers.

    Its own network is CLIP ViT-L/14 at 336 pixels, the authors'; on others it is a variant that its key names. Kept of
    each side are D² + D numbers: 4.7 MB at D = 768.

    Args:
        exact: the kernel itself, of features that are kept: D numbers a sample, and time in the square of their number.

    Raises:
        NotEnoughSamples: at compute, without samples on a side, or where all its rows are zero.

    Warns:
        BiasWarning: where some rows are zero: they have no direction, and are left out.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([CMMD()], extractor=None, num_features=2)
        >>> metric.update(torch.tensor([[2.0, 0.0]]), real=True)
        >>> metric.update(torch.tensor([[-3.0, 0.0]]), real=False)
        >>> round(metric.compute()["cmmd_features"].item(), 3)
        39.602
    """

    exact: bool = False

    label: ClassVar[str] = "cmmd"
    group: ClassVar[str] = "distances"
    paper: ClassVar[str] = "Jayasumana et al., CVPR 2024"
    network: ClassVar[str | None] = "clip-vit-l14-336"
    jackknifed: ClassVar[tuple[str, ...]] = ("cmmd",)

    def __post_init__(self) -> None:
        check_flag("CMMD exact", self.exact)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (Scalar("cmmd", "CLIP maximum mean discrepancy", "lower", kind="positive"),)

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        num_features = width(spec, "CMMD")
        kept = (Bank(num_features),) if self.exact else (SecondMoment(num_features), UnitSum(num_features))
        return {"real": kept, "fake": kept}

    def check(self, sides: Sides) -> None:
        sides.real.require(1, "CMMD")
        sides.fake.require(1, "CMMD")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        pair, num_features = (sides.real, sides.fake), width(sides.spec, "CMMD")
        if self.exact:
            real, fake = (_unit_rows(side, Bank(num_features)) for side in pair)
            return {"cmmd": _of_rows(real, fake, sides.fake)}
        (mean, moment), (fake_mean, fake_moment) = (_means(side, num_features) for side in pair)
        first, second = (mean - fake_mean).square().sum(), (moment - fake_moment).square().sum()
        return {"cmmd": SCALE * exp(-2 * GAMMA) * (2 * GAMMA * first + 2 * GAMMA**2 * second)}


def _means(side: Side, num_features: int) -> tuple[Tensor, Tensor]:
    """Return the means ``(D,)`` of unit rows, and ``(D, D)`` of their outer products."""
    moment, total = SecondMoment(num_features), UnitSum(num_features)
    n = moment.directions(side[moment])
    check_directions(n, side.num_samples, "CMMD", side.role)
    return side[total]["sums"] / n, moment.sums(side[moment]) / n


def _unit_rows(side: Side, bank: Bank) -> Tensor:
    """Return the unit rows of a side in the order of ids, float64, without those of zeros; collective."""
    rows = normalized(side.rows(bank).double())
    rows = rows[rows.any(1)]
    check_directions(len(rows), side.num_samples, "CMMD", side.role)
    return rows


def _of_rows(real: Tensor, fake: Tensor, side: Side) -> Tensor:
    """Return the value of the kernel itself; each rank takes its share of the rows; collective."""
    within, other, across = (_mean_kernel(x, y, side) for x, y in ((real, real), (fake, fake), (real, fake)))
    return SCALE * exp(-2 * GAMMA) * (within + other - 2 * across)


def _mean_kernel(x: Tensor, y: Tensor, side: Side) -> Tensor:
    """Return the mean of ``e^(2γ·xᵀy) − 1`` over all pairs, ``()``: the constant is the same in all three terms."""
    own = x[side.comm.rank :: side.comm.world_size]
    sums = [(own[part] @ y.T).mul_(2 * GAMMA).expm1_().sum() for part in parts(len(own), ROWS)]
    return side.comm.sum(torch.stack([x.new_zeros(()), *sums]).sum()) / (len(x) * len(y))
