"""Vendi score: the effective number of different samples.

D. Friedman, A. B. Dieng, "The Vendi Score: a diversity evaluation metric for machine learning", TMLR 2023;
A. P. Pasarkar, A. B. Dieng, "Cousins of the Vendi Score: a family of similarity-based diversity metrics for science and
machine learning", 2023 (orders q); M. Jalali, C. T. Li, F. Farnia, "An information-theoretic evaluation of generative
models in learning multi-modal distributions", NeurIPS 2023 (RKE, order 2).
Parity target: ``vendi_score.score_dual``.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from math import inf, isnan
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_flag, check_integer
from streaming_metrics.measures.base import BiasWarning, Measure, NotEnoughSamples, Scalar, width
from streaming_metrics.measures.error_scalars import error_of
from streaming_metrics.measures.influence import drawn_of, influence_of
from streaming_metrics.statistics import SecondMoment
from streaming_metrics.statistics.eigenvectors import symmetric_eigenvectors
from streaming_metrics.statistics.reservoir import Reservoir
from streaming_metrics.statistics.second_moment import normalized

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Sides
    from streaming_metrics.statistics import Statistic

NEAR_1 = 2.0**-6
"""Orders so near 1 divide what rounds ``Σ p`` by next to nothing; there ``Σ p^q − Σ p`` is summed instead."""


@dataclass(frozen=True)
class Vendi(Measure):
    """Vendi score of order q: the exponential of the Rényi entropy of the eigenvalues λ of ``XᵀX / n``.

    X are the generated features, rows of norm 1, so that the similarity of two samples is their cosine.
    ``(Σ λ^q)^(1/(1−q))``; in the limit ``exp(−Σ λ·log λ)`` for q = 1, ``1 / max λ`` for q = ∞. Order 2 is
    ``1 / ‖XᵀX / n‖²_F``, the RKE of that similarity; order 0 is the rank. A large q looks at frequent modes, a
    small one at rare ones too. Range [1, min(n, D)], higher is more diverse; compare equal n. Needs no real samples,
    keeps D² numbers. Below q = 1, eigenvalues within rounding of 0 are taken as 0; the parity target counts them.

    Args:
        q: order, 0 to ∞ (``math.inf``).
        se: report ``vendi_se`` too, by the delta method: ``VS·std_i(g_i) / √N``, where with u_k the eigenvectors
            ``g_i = q / ((1 − q)·Σ λ^q)·Σ_k λ_k^(q−1)·(u_kᵀx_i)²``, and ``−Σ_k (u_kᵀx_i)²·log λ_k`` for q = 1; NaN for
            q = 0, a rank. g is of ``reservoir`` samples that are kept. The interval is one of the score at this N: of
            few samples a feature it is far below that of the distribution.
        cluster: how many consecutive ids depend on each other, as images of one prompt do.
        reservoir: how many.

    Raises:
        NotEnoughSamples: at compute, without samples, or where all rows are zero.

    Warns:
        BiasWarning: where some rows are zero: they have no direction, and are left out.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([Vendi()], extractor=None, num_features=3)
        >>> metric.update(torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]]), real=False)
        >>> round(metric.compute()["vendi_features"].item(), 6)
        3.0
    """

    q: float = 1.0
    se: bool = field(default=False, kw_only=True)
    cluster: int = field(default=1, kw_only=True)
    reservoir: int = field(default=2000, kw_only=True)

    label: ClassVar[str] = "vendi"
    group: ClassVar[str] = "diversity"
    paper: ClassVar[str] = "Friedman and Dieng, TMLR 2023"

    def __post_init__(self) -> None:
        if isinstance(self.q, bool) or not isinstance(self.q, int | float):
            raise TypeError(f"Vendi q: expected a number, got {self.q!r}. Remedy: q=1.0.")
        if isnan(self.q) or self.q < 0:
            raise ValueError(f"Vendi q: expected an order of at least 0, or infinity, got {self.q}. Remedy: q=1.0.")
        object.__setattr__(self, "q", float(self.q))  # 2 and 2.0 are one measure, with one signature
        check_flag("Vendi se", self.se)
        check_integer("Vendi cluster", self.cluster, least=1)
        check_integer("Vendi reservoir", self.reservoir, least=2)
        if self.cluster != 1 and not self.se:
            raise ValueError("Vendi cluster is of its standard error. Remedy: se=True.")

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        score = Scalar("vendi", "Vendi score", "higher", kind="positive")
        return (score, error_of(score, "value at this N")) if self.se else (score,)

    @classmethod
    def known_scalars(cls) -> tuple[Scalar, ...]:
        return cls(se=True).scalars

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        return {"fake": (SecondMoment(width(spec, "Vendi")), *((self._kept(spec),) if self.se else ()))}

    def check(self, sides: Sides) -> None:
        sides.fake.require(1, "Vendi")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        fake, moment = sides.fake, SecondMoment(width(sides.spec, "Vendi"))
        n = moment.directions(fake[moment])
        check_directions(n, fake.num_samples, "Vendi")
        if self.se:
            return self._with_error(sides, n, *self._directions(sides, n))
        spectrum = fake.once(("spectrum", moment), lambda: _spectrum(moment.sums(fake[moment])))
        if self.q < 1:
            spectrum = _without_rounding(spectrum, n)
        return {"vendi": renyi_entropy(spectrum, self.q).exp()}

    def _directions(self, sides: Sides, n: int) -> tuple[Tensor, Tensor]:
        """Return the eigenvalues ``(D,)``, with 0 for those that rounding makes, and the eigenvectors ``(D, D)``."""
        fake, moment = sides.fake, SecondMoment(width(sides.spec, "Vendi"))
        values, vectors = fake.once(("eigenvectors", moment), lambda: symmetric_eigenvectors(moment.sums(fake[moment])))
        values = values.clamp(min=0)
        return _without_rounding(values / values.sum(), n), vectors

    def _with_error(self, sides: Sides, n: int, spectrum: Tensor, vectors: Tensor) -> dict[str, Tensor]:
        value = renyi_entropy(spectrum, self.q).exp()
        if (drawn := drawn_of(sides.fake, self._kept(sides.spec))) is None:
            warn_of_no_rows("Vendi")
            return {"vendi": value, "vendi_se": torch.full_like(value, torch.nan)}
        has_direction = drawn.rows.any(1)
        squares = (normalized(drawn.rows[has_direction].double()) @ vectors[:, spectrum > 0]).square_()
        each = squares @ slopes(spectrum[spectrum > 0], self.q)
        influence = replace(influence_of(drawn.index[has_direction], each, self.cluster), num_samples=n)
        return {"vendi": value, "vendi_se": value * (influence.error if self.q else torch.nan)}

    def _kept(self, spec: Spec) -> Reservoir:
        capacity = max(self.reservoir // self.cluster, 2) * self.cluster
        return Reservoir(width(spec, "Vendi"), capacity, cluster=self.cluster)


def renyi_entropy(p: Tensor, q: float) -> Tensor:
    """Return the Rényi entropy of order q of probabilities ``(D,)``, nats, ``()``; ``0·log 0 = 0``.

    ``log Σ p^q / (1 − q)``; ``−Σ p·log p`` for q = 1, ``−log max p`` for q = ∞.

    Example:
        >>> [round(renyi_entropy(torch.tensor([0.5, 0.5, 0.0]), q).exp().item(), 6) for q in (0, 0.5, 1, 2, inf)]
        [2.0, 2.0, 2.0, 2.0, 2.0]
    """
    p = p[p > 0]
    log_p, most = p.log(), p.max().log()
    if q == 1:
        return -(p * log_p).sum()
    if q == inf:
        return -most
    if abs(q - 1) < NEAR_1:
        return (p * ((q - 1) * log_p).expm1()).sum().log1p() / (1 - q)
    return q / (1 - q) * most + (q * (log_p - most)).logsumexp(0) / (1 - q)


def slopes(p: Tensor, q: float) -> Tensor:
    """Return the derivatives of the Rényi entropy of order q by probabilities ``(D,)`` above 0, up to a constant.

    Example:
        >>> slopes(torch.tensor([0.5, 0.5]), 2.0)
        tensor([-2., -2.])
    """
    if q == 1:
        return -p.log()
    if q == inf:
        return -(p == p.max()).to(p) / p.max()
    powers = q * (p / p.max()).log()
    return q / (1 - q) * (powers - powers.logsumexp(0) - p.log()).exp()


def _spectrum(moment: Tensor) -> Tensor:
    """Return the eigenvalues of a second moment, ascending ``(D,)``, with sum 1."""
    eigenvalues = torch.linalg.eigvalsh(moment).clamp(min=0)
    return eigenvalues / eigenvalues.sum()


def _without_rounding(spectrum: Tensor, n: int) -> Tensor:
    """Return the eigenvalues of a sum over n rows with 0 for those that rounding alone can make."""
    rounding = max(n, len(spectrum)) * torch.finfo(spectrum.dtype).eps * spectrum[-1]
    return spectrum.where(spectrum > rounding, 0.0)


def warn_of_no_rows(measure: str) -> None:
    """Warn that there is no error, since a reservoir is not of all samples."""
    warnings.warn(
        f"{measure}(se=True): expected features drawn from all generated samples, got them of some at most: no error. "
        "Remedy: give all of them to one metric with se=True, two at least.",
        BiasWarning,
        stacklevel=3,
    )


def check_directions(directions: int, num_samples: int, measure: str, role: Role = "fake") -> None:
    """Raise NotEnoughSamples where no row has a direction, and warn where some have none."""
    zeros = num_samples - directions
    if not directions:
        raise NotEnoughSamples(
            f"{measure} needs at least 1 {role} sample whose features are not all 0, got {zeros} of zeros. "
            "Remedy: check the extractor and the generator."
        )
    if zeros:
        warnings.warn(
            f"{measure}: {zeros} of {num_samples} {role} samples have features of zeros, which have no direction; they "
            "are left out. Remedy: check the extractor and the generator.",
            BiasWarning,
            stacklevel=3,
        )
