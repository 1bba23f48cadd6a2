"""Precision, recall, density and coverage from k-nearest-neighbour balls.

T. Kynkäänniemi et al., "Improved precision and recall metric for assessing generative models", NeurIPS 2019;
M. F. Naeem et al., "Reliable fidelity and diversity metrics for generative models", ICML 2020.
P. Dhariwal, A. Nichol, "Diffusion models beat GANs on image synthesis", NeurIPS 2021.
Parity target: prdc, exactly in counts.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from streaming_metrics.arguments import check_flag, check_integer
from streaming_metrics.measures.ball_errors import BallVisits, about_of
from streaming_metrics.measures.base import BiasWarning, Measure, Scalar, check_squared_radii, width
from streaming_metrics.measures.error_scalars import error_of
from streaming_metrics.measures.influence import ids_of, influence_of
from streaming_metrics.pairwise import BallCounts, Balls, Radii, half_reach
from streaming_metrics.statistics import Bank, Neighbours
from streaming_metrics.verdicts.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.pairwise import PairReduction
    from streaming_metrics.statistics import Statistic

SCALARS = (
    *(Scalar(key, better="higher", family="Precision and recall", kind="share") for key in ("precision", "recall")),
    Scalar("density", better="higher", family="Density and coverage", kind="positive"),
    Scalar("coverage", better="higher", family="Density and coverage", kind="share"),
    Scalar("f1", better="higher", family="Precision and recall", kind="share"),
)
Variant = Literal["prdc", "improved", "guided-diffusion"]


@dataclass(frozen=True)
class PRDC(Measure):
    """Precision, recall, density and coverage.

    A ball reaches from a sample to its k-th nearest other sample of its side (Euclidean). ``precision``: share of
    generated samples inside any real ball. ``recall``: share of real samples inside any generated ball. ``density``:
    real balls that hold a generated sample, mean over generated samples, divided by k. ``coverage``: share of real
    balls that hold a generated sample. Range [0, 1], density [0, ∞); higher is better. Counts are exact: independent
    of order, batches, ranks and tiles.

    Args:
        k: 5, or 3 for the other variants.
        variant: ``"prdc"``: inside is nearer than the radius. ``"improved"`` (Kynkäänniemi): inside is at most the
            radius; published on VGG16 ``fc2`` features. ``"guided-diffusion"`` (Dhariwal and Nichol): the same of
            squared distances rounded to float16, but for those from 65520 on, which it cannot hold; published on
            Inception's pool, against the 10,000 images ``arr_0`` of a reference file (``FILE.npz:arr_0``). Its authors
            round features, norms and products as well, by blocks of 10,000 rows; here exact distances are rounded, so
            that counts depend on no order.
        recall: False leaves recall out, and with it the balls of the generated side: once the real side is frozen,
            generated samples are counted as they come, and nothing of them is kept.
        f1: also report ``f1 = 2PR / max(1e-5, P + R)``.
        capacity: keep a reservoir of so many features a side instead of all.
        se: report the standard error of each too, in closed form, see :mod:`~streaming_metrics.measures.ball_errors`.
            Those of precision, density and coverage are given the real samples, whose balls are otherwise most of the
            spread: density's interval covers as little as 0.4 of what other real samples give. There are none by
            clusters: of several images a prompt they are too small.
        both: errors with the real side random too. Density's is then loose.

    Raises:
        NotEnoughSamples: at compute, with fewer than k + 2 samples a side.

    Warns:
        BiasWarning: where samples have k identical others, so that their balls are empty.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([PRDC(k=1)], extractor=None, num_features=1)
        >>> metric.update(torch.tensor([[0.0], [1.0], [3.0]]), real=True)
        >>> metric.update(torch.tensor([[0.5], [1.5], [9.0]]), real=False)
        >>> {key: round(value.item(), 3) for key, value in metric.compute().items()}
        {'precision_features': 0.667, 'recall_features': 1.0, 'density_features': 1.333, 'coverage_features': 1.0}
    """

    k: int | None = None
    variant: Variant = "prdc"
    recall: bool = True
    f1: bool = False
    capacity: int | None = None
    se: bool = field(default=False, kw_only=True)
    both: bool = field(default=False, kw_only=True)
    _balls: Balls | None = field(default=None, repr=False, compare=False, kw_only=True)
    _is_bound: bool = field(default=False, repr=False, kw_only=True)

    label: ClassVar[str] = "prdc"
    group: ClassVar[str] = "core"
    paper: ClassVar[str] = "Kynkäänniemi et al., NeurIPS 2019; Naeem et al., ICML 2020"

    def __post_init__(self) -> None:
        if self.variant not in ("prdc", "improved", "guided-diffusion"):
            raise ValueError(f"PRDC variant: expected 'prdc', 'improved' or 'guided-diffusion', got {self.variant!r}.")
        object.__setattr__(self, "k", self.neighbours)  # PRDC() and PRDC(k=5) are one value, with one signature
        check_integer("PRDC k", self.k, least=1)
        for name in ("recall", "f1", "se", "both"):
            check_flag(f"PRDC {name}", getattr(self, name))
        check_integer("PRDC capacity", self.capacity, least=self.neighbours + 2, optional=True)
        if self.f1 and not self.recall:
            raise ValueError("PRDC f1 needs recall. Remedy: recall=True, or f1=False.")
        if self.both and not self.se:
            raise ValueError("PRDC both is of errors. Remedy: se=True, or both=False.")

    @property
    def neighbours(self) -> int:
        """The k in force."""
        return (5 if self.variant == "prdc" else 3) if self.k is None else self.k

    @property
    def _is_strict(self) -> bool:
        return self.variant == "prdc"

    @property
    def _is_half(self) -> bool:
        return self.variant == "guided-diffusion"

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        left_out = {name for name in ("recall", "f1") if not getattr(self, name)}
        kept = [scalar for scalar in SCALARS if scalar.key not in left_out]
        errors = [error_of(scalar, about_of(scalar, self.both)) for scalar in kept] if self.se else []
        return (*kept, *errors)

    @classmethod
    def known_scalars(cls) -> tuple[Scalar, ...]:
        return cls(f1=True, se=True).scalars

    @property
    def fixed(self) -> Role | None:
        return None if self.recall or self.capacity is not None else "real"

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        bank = (self._bank(spec),)
        return {"real": bank, "fake": (self._neighbours(spec),) if self._is_bound else bank}

    def bank(self, spec: Spec) -> Bank | None:
        return None if self._is_bound else self._bank(spec)

    def reductions(self, spec: Spec) -> tuple[PairReduction, ...]:  # noqa: ARG002
        if self._is_bound:
            return ()
        return (self._around("real"), self._around("fake")) if self.recall else (self._around("real"),)

    def prepares(self, spec: Spec) -> Prepared:  # noqa: ARG002
        return {"radii": torch.empty(0, dtype=torch.float64)}

    def prepare(self, spec: Spec, side: Side) -> Prepared:
        return {"radii": side.reduce(self._bank(spec), Radii("real", self.neighbours))}

    def check_prepared(self, prepared: Prepared, num_samples: int) -> None:
        check_squared_radii(prepared["radii"], num_samples)

    def bind(self, spec: Spec, side: Side | None, prepared: Prepared) -> PRDC:
        if side is None:
            return replace(self, _is_bound=True)
        rows, squared = side[self._bank(spec)]["rows"], prepared["radii"]
        reach = half_reach(squared) if self._is_half else squared
        return replace(self, _is_bound=True, _balls=Balls(self._is_strict, rows, reach))

    def check(self, sides: Sides) -> None:
        for side in (sides.real, sides.fake):
            side.require(self.neighbours + 2, f"PRDC(k={self.neighbours})")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:
        visits = self._visits(sides, prepared, results)
        values = {
            "precision": visits.inside.double() / visits.num_points,
            "density": visits.held.double() / (self.neighbours * visits.num_points),
            "coverage": (visits.holds > 0).double().mean(),
        }
        if self.recall:
            values["recall"] = (self._counts(results, "fake")[0] > 0).double().mean()
            both = values["precision"] + values["recall"]
            values["f1"] = 2 * values["precision"] * values["recall"] / both.clamp(min=1e-5)
        if self.se:
            recall = float(values["recall"]) if self.recall else None
            errors = visits.errors(self.neighbours, recall, self.both)
            values |= {f"{key}_se": values["precision"].new_tensor(error) for key, error in errors.items()}
        return {key: values[key] for key in self.keys}

    def evidence(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Evidence]:  # noqa: ARG002
        bank = self.bank(sides.spec)
        if bank is None or not self.se:
            return {}
        held, ids = self._counts(results, "real")[0], ids_of(sides.fake, bank)
        each = {"precision": held > 0, "density": held / self.neighbours}
        return {
            key: Evidence(key, float(values.double().mean()), influence_of(ids, values), better="higher")
            for key, values in each.items()
        }

    def _visits(self, sides: Sides, prepared: Prepared, results: Results) -> BallVisits:
        if self._is_bound:
            _warn_of_empty_balls("real", prepared["radii"], self.neighbours)
            statistic = self._neighbours(sides.spec)
            state = sides.fake[statistic]
            kept = state.get("squares"), state.get("visitors")
            return BallVisits(*statistic.read(state), sides.fake.num_samples, *kept)
        held, holds, *visitors = self._counts(results, "real")
        return BallVisits((held > 0).sum(), held.sum(), holds, len(held), held.square().sum(), *visitors)

    def _counts(self, results: Results, balls: Role) -> tuple[Tensor, ...]:
        reduction, radii = self._around(balls), results[Radii(balls, self.neighbours)]
        _warn_of_empty_balls(balls, radii, self.neighbours)
        return reduction.parts(results[reduction], len(radii))

    def _bank(self, spec: Spec) -> Bank:
        return Bank(width(spec, "PRDC"), self.capacity)

    def _neighbours(self, spec: Spec) -> Neighbours:
        return Neighbours(
            width(spec, "PRDC"), self.neighbours, self._is_strict, self._balls, visitors=self.se, half=self._is_half
        )

    def _around(self, balls: Role) -> BallCounts:
        visitors = self.se and balls == "real"
        return BallCounts(balls, self.neighbours, strict=self._is_strict, visitors=visitors, half=self._is_half)


def _warn_of_empty_balls(role: Role, radii: Tensor, k: int) -> None:
    empty = int((radii == 0).sum())
    if empty:
        causes = "A generator that has collapsed, or constant" if role == "fake" else "Constant"
        warnings.warn(
            f"PRDC: {empty} of {len(radii)} {role} samples have {k} identical others, so their balls have radius 0. "
            f"{causes} or duplicated features? Remedy: drop duplicates, or check the extractor and the generator.",
            BiasWarning,
            stacklevel=2,
        )
