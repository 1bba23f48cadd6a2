"""Probabilistic precision and recall (PP&PR): supports that fade with distance.

D. Park, S. Kim, "Probabilistic precision and recall towards reliable evaluation of generative models", ICCV 2023.
Parity target: the authors' ``compute_pprecision_precall``.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_flag, check_integer, check_real
from streaming_metrics.measures.base import BiasWarning, Measure, Scalar, width
from streaming_metrics.measures.error_scalars import AT_THIS_N, error_of
from streaming_metrics.measures.influence import ids_of, influence_of
from streaming_metrics.pairwise import Radii
from streaming_metrics.pairwise.misses import Misses, reach_of
from streaming_metrics.statistics import Bank, FixedRows
from streaming_metrics.statistics.supported import Supported
from streaming_metrics.verdicts.evidence import Evidence
from streaming_metrics.verdicts.intervals import share_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.pairwise import PairReduction
    from streaming_metrics.statistics import Statistic

FAMILY = "Probabilistic precision and recall"


@dataclass(frozen=True)
class PPPR(Measure):
    """Probabilistic precision and recall: how likely samples of one side lie in the support of the other.

    ``p_precision = mean_j [1 − Π_i min(1, d(x_i, y_j) / R_x)]`` over generated samples y_j and real ones x_i: each
    real sample supports what is nearer than ``R_x = a·mean_i r_i``, the less the farther, with r_i the (Euclidean)
    distance of x_i to its k-th nearest other real sample. ``p_recall`` is the same with the sides swapped. Range
    [0, 1], higher is better. Unlike a ball of PRDC's, a support of one common radius does not grow with outliers.

    Args:
        k: which neighbour spans a support; 4 as in the paper.
        a: of the mean radius; 1.2 as in the paper.
        recall: False leaves recall out, and with it the supports of the generated side: once the real side is frozen,
            of generated samples sums are kept.
        se: report ``p_precision_se`` too, the error of a mean over generated samples, given the real ones; where all
            have or lack support, that of a share of 1 or 0. There is none of recall, whose supports are the generated
            samples themselves.

    Raises:
        NotEnoughSamples: at compute, with fewer than k + 2 samples a side.

    Warns:
        BiasWarning: where all samples of a side have k identical others, so that there is no support.

    Example:
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([PPPR(k=1, a=1.0)], extractor=None, num_features=1)
        >>> metric.update(torch.tensor([[0.0], [2.0], [8.0], [10.0]]), real=True)  # a radius of 2
        >>> metric.update(torch.tensor([[1.0], [5.0], [8.0], [9.0]]), real=False)
        >>> {key: round(value.item(), 3) for key, value in metric.compute().items()}
        {'p_precision_features': 0.625, 'p_recall_features': 0.679}
    """

    k: int = 4
    a: float = 1.2
    recall: bool = True
    se: bool = field(default=False, kw_only=True)
    _rows: FixedRows | None = field(default=None, repr=False, compare=False, kw_only=True)
    _reach: Tensor | None = field(default=None, repr=False, compare=False, kw_only=True)
    _is_bound: bool = field(default=False, repr=False, kw_only=True)

    label: ClassVar[str] = "pppr"
    group: ClassVar[str] = "density"
    paper: ClassVar[str] = "Park and Kim, ICCV 2023"

    def __post_init__(self) -> None:
        check_integer("PPPR k", self.k, least=1)
        check_real("PPPR a", self.a, above=0)
        for name in ("recall", "se"):
            check_flag(f"PPPR {name}", getattr(self, name))

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        precision = Scalar("p_precision", "Probabilistic precision", "higher", FAMILY, kind="share")
        recall = Scalar("p_recall", "Probabilistic recall", "higher", FAMILY, kind="share")
        errors = (error_of(precision, AT_THIS_N),) if self.se else ()
        return (precision, *((recall,) if self.recall else ()), *errors)

    @property
    def fixed(self) -> Role | None:
        return None if self.recall else "real"

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        bank = self._bank(spec)
        return {"real": (bank,), "fake": (self._supported(spec) if self._is_bound else bank,)}

    def bank(self, spec: Spec) -> Bank | None:
        return None if self._is_bound else self._bank(spec)

    def reductions(self, spec: Spec) -> tuple[PairReduction, ...]:  # noqa: ARG002
        if self._is_bound:
            return ()
        return (self._misses("real"), self._misses("fake")) if self.recall else (self._misses("real"),)

    def prepares(self, spec: Spec) -> Prepared:  # noqa: ARG002
        return {"reach": torch.empty(0, dtype=torch.float64)}

    def prepare(self, spec: Spec, side: Side) -> Prepared:
        return {"reach": reach_of(side.reduce(self._bank(spec), Radii("real", self.k)), self.a).view(1)}

    def check_prepared(self, prepared: Prepared, num_samples: int) -> None:  # noqa: ARG002
        if len(prepared["reach"]) != 1 or prepared["reach"] < 0:
            raise ValueError(f"expected one radius, not negative, got {prepared['reach'].tolist()}.")

    def bind(self, spec: Spec, side: Side | None, prepared: Prepared) -> PPPR:
        if side is None:
            return replace(self, _is_bound=True)
        rows = FixedRows(side[self._bank(spec)]["rows"])
        return replace(self, _is_bound=True, _rows=rows, _reach=prepared["reach"][0])

    def check(self, sides: Sides) -> None:
        for side in (sides.real, sides.fake):
            side.require(self.k + 2, f"PPPR(k={self.k})")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:
        precision, error = self._precision(sides, prepared, results)
        values = {"p_precision": precision, "p_precision_se": error}
        if self.recall:
            values["p_recall"] = self._held(results, "fake").mean()
        return {key: values[key] for key in self.keys}

    def evidence(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Evidence]:  # noqa: ARG002
        bank = self.bank(sides.spec)
        if bank is None or not self.se:
            return {}
        held = self._held(results, "real")
        influence = influence_of(ids_of(sides.fake, bank), held)
        return {"p_precision": Evidence("p_precision", float(held.mean()), influence, better="higher")}

    def _precision(self, sides: Sides, prepared: Prepared, results: Results) -> tuple[Tensor, Tensor]:
        """Return precision and its error."""
        if self._is_bound:
            _warn_without_support("real", prepared["reach"])
            state = sides.fake[self._supported(sides.spec)]
            (total, squares), n = state["sums"], state["n"]
        else:
            held = self._held(results, "real")
            total, squares, n = held.sum(), held.square().sum(), torch.tensor(len(held), device=held.device)
        mean = total / n
        error = ((squares / n - mean.square()).clamp(min=0) / (n - 1)).sqrt()
        return mean, error if error else error.new_tensor(share_error(float(mean), int(n)))

    def _held(self, results: Results, centres: Role) -> Tensor:
        """Return how likely each point is to be in the support of a side, float64 ``(points,)``."""
        _warn_without_support(centres, results[Radii(centres, self.k)])
        return -torch.expm1(results[self._misses(centres)])

    def _bank(self, spec: Spec) -> Bank:
        return Bank(width(spec, "PPPR"))

    def _supported(self, spec: Spec) -> Supported:
        return Supported(width(spec, "PPPR"), self.k, self.a, self._rows, self._reach)

    def _misses(self, centres: Role) -> Misses:
        return Misses(centres, self.k, self.a)


def _warn_without_support(role: Role, radii: Tensor) -> None:
    if not radii.any():
        warnings.warn(
            f"PPPR: all {role} samples have identical others, so their supports have radius 0. Constant or duplicated "
            "features? Remedy: check the extractor and the generator.",
            BiasWarning,
            stacklevel=2,
        )
