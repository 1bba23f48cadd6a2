"""Precision, recall, density and coverage from k-nearest-neighbour balls.

T. Kynkäänniemi et al., "Improved precision and recall metric for assessing generative models", NeurIPS 2019;
M. F. Naeem et al., "Reliable fidelity and diversity metrics for generative models", ICML 2020.
Parity target: prdc, exactly in counts.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from streaming_metrics.arguments import check_flag, check_integer
from streaming_metrics.measures.base import BiasWarning, Inputs, Measure, Roles, Side, width
from streaming_metrics.pairwise import BallCounts, Balls, Radii
from streaming_metrics.statistics import Bank, Neighbours

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.features import Spec
    from streaming_metrics.files.reference import Reference
    from streaming_metrics.pairwise import PairReduction, Role
    from streaming_metrics.statistics import Statistic

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
        variant: ``"prdc"``: inside is nearer than the radius. ``"improved"`` (Kynkäänniemi) and
            ``"guided-diffusion"``: inside is at most the radius; the first was published on VGG16 ``fc2`` features,
            the second on Inception's pool.
        recall: False leaves recall out, and with it the balls of the generated side.
        f1: also report ``f1 = 2PR / max(1e-5, P + R)``.
        capacity: keep a reservoir of so many features a side instead of all.
        balls: around the reference, set where a metric is given ``reference=`` and ``recall=False``: then generated
            samples are counted as they come, and nothing of them is kept.

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
    balls: Balls | None = field(default=None, repr=False)

    label: ClassVar[str] = "prdc"

    def __post_init__(self) -> None:
        if self.variant not in ("prdc", "improved", "guided-diffusion"):
            raise ValueError(f"PRDC variant: expected 'prdc', 'improved' or 'guided-diffusion', got {self.variant!r}.")
        object.__setattr__(self, "k", self.neighbours)  # PRDC() and PRDC(k=5) are one value, with one signature
        check_integer("PRDC k", self.k, least=1)
        for name in ("recall", "f1"):
            check_flag(f"PRDC {name}", getattr(self, name))
        check_integer("PRDC capacity", self.capacity, least=self.neighbours + 2, optional=True)
        if self.f1 and not self.recall:
            raise ValueError("PRDC f1 needs recall. Remedy: recall=True, or f1=False.")

    @property
    def neighbours(self) -> int:
        """The k in force."""
        return (5 if self.variant == "prdc" else 3) if self.k is None else self.k

    @property
    def keys(self) -> tuple[str, ...]:
        optional = {"recall": self.recall, "f1": self.f1}
        return tuple(key for key in ("precision", "recall", "density", "coverage", "f1") if optional.get(key, True))

    def statistics(self, spec: Spec) -> Roles[tuple[Statistic, ...]]:
        if self.balls is not None:
            return Roles((), (Neighbours(self.balls),))
        bank = (self._bank(spec),)
        return Roles(bank, bank)

    def bank(self, spec: Spec) -> Bank | None:
        return None if self.balls is not None else self._bank(spec)

    def reductions(self, spec: Spec) -> tuple[PairReduction, ...]:  # noqa: ARG002
        return (self._around("real"), self._around("fake")) if self.recall else (self._around("real"),)

    def against(self, reference: Reference, spec: Spec) -> PRDC:
        if self.recall:
            return self
        bank = self._bank(spec)
        rows, squared = reference.state_of(bank)["rows"], reference.radii_of(bank, self.neighbours)
        return replace(self, balls=Balls.around(rows, self.neighbours, self.variant == "prdc", squared))

    def check(self, real: Side, fake: Side) -> None:
        for side in (real, fake):
            side.require(self.neighbours + 2, f"PRDC(k={self.neighbours})")

    def compute(self, evidence: Inputs) -> dict[str, Tensor]:
        inside, held, holds, num_points = self._real_balls(evidence)
        values = {
            "precision": inside.double() / num_points,
            "density": held.double() / (self.neighbours * num_points),
            "coverage": (holds > 0).double().mean(),
        }
        if self.recall:
            values["recall"] = (self._counts(evidence, "fake")[0] > 0).double().mean()
            both = values["precision"] + values["recall"]
            values["f1"] = 2 * values["precision"] * values["recall"] / both.clamp(min=1e-5)
        return {key: values[key] for key in self.keys}

    def _real_balls(self, evidence: Inputs) -> tuple[Tensor, Tensor, Tensor, int]:
        """Return points inside any ball, balls that points lie in, points in each ball, and the number of points."""
        if self.balls is not None:
            _warn_of_empty_balls("real", self.balls.squared, self.neighbours)
            statistic = Neighbours(self.balls)
            return *statistic.read(evidence.fake[statistic]), evidence.fake.num_samples
        held, holds = self._counts(evidence, "real")
        return (held > 0).sum(), held.sum(), holds, len(held)

    def _counts(self, evidence: Inputs, balls: Role) -> tuple[Tensor, Tensor]:
        reduction, radii = self._around(balls), evidence.results[Radii(balls, self.neighbours)]
        _warn_of_empty_balls(balls, radii, self.neighbours)
        return reduction.split(evidence.results[reduction], len(radii))

    def _bank(self, spec: Spec) -> Bank:
        return Bank(width(spec, "PRDC", "num_features"), self.capacity)

    def _around(self, balls: Role) -> BallCounts:
        return BallCounts(balls, self.neighbours, strict=self.variant == "prdc")


def _warn_of_empty_balls(role: Role, radii: Tensor, k: int) -> None:
    empty = int((radii == 0).sum())
    if empty:
        warnings.warn(
            f"PRDC: {empty} of {len(radii)} {role} samples have {k} identical others, so their balls have radius 0. "
            "Constant or duplicated features? Remedy: drop duplicates, or check the extractor and the generator.",
            BiasWarning,
            stacklevel=2,
        )
