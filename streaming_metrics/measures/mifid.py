"""Memorization-informed Fréchet distance (MiFID): Fréchet distance, made larger where samples copy training ones.

C.-Y. Bai, H.-T. Lin, C. Raffel, W. C. Kan, "On training sample memorization: Lessons from benchmarking generative
modeling with a large-scale competition", KDD 2021.
Parity target: the competition's scoring, on Kaggle; with ``variant="torchmetrics"`` that of torchmetrics.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from streaming_metrics.arguments import check_real
from streaming_metrics.measures.base import BiasWarning, Measure, NotEnoughSamples, Scalar, width
from streaming_metrics.measures.frechet import warn_if_few
from streaming_metrics.measures.gaussian import distance_of
from streaming_metrics.statistics import Bank, CosineDistances, Directions, Moments
from streaming_metrics.statistics.bank import bank_features
from streaming_metrics.statistics.cosine_distances import has_direction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.statistics import State, Statistic

SMALLEST = 1e-14
"""What is added to the distance of copies, all of whose distances are 0."""
COPIES = 1e-12
"""Of a mean distance that rounding alone makes."""
NO_DISTANCE = 1e-8
"""Of a Fréchet distance that torchmetrics takes for 0."""


@dataclass(frozen=True)
class MiFID(Measure):
    """MiFID: Fréchet distance to the real side, divided by how far generated samples are from training samples where
    they are nearly copies.

    ``mifid``: ``FID / (m + 1e-14)``, with m = ``mifid_distance`` where that is below ``threshold``, else 1. Range
    [0, ∞), lower is better; as FID where there is no copying. ``mifid_distance``: mean over generated y of the smallest
    ``1 − |cos(x, y)|`` over training x, rows whose features sum to 0 left out. Range [0, 1], 0 for copies; held-out
    real samples say what to expect of one that does not copy.

    Needs the role ``train``: ``update(features, role="train")``; with ``training="real"`` the real side is taken for
    it, as in the competition, whose one public set was both. Once that side is frozen, generated samples leave two
    sums beside their moments. The mean does not see a few copies among many samples, nor copies that are moved,
    cropped or coloured so that their features differ: see :class:`~streaming_metrics.AuthPct`, which counts.

    Args:
        threshold: below which samples are taken for copies; 0.1 is the competition's, on Inception's pool alone.
        training: which role holds training samples; by default ``"train"``, for torchmetrics ``"real"``.
        variant: ``"torchmetrics"``: m is the mean over training samples of the distance to the nearest *generated*
            one, and the value 0 where FID is at most 1e-8; features of both sides are kept.

    Raises:
        NotEnoughSamples: at compute, with fewer than 2 samples a side, or where all features of one sum to 0.

    Warns:
        BiasWarning: with no more samples than features, where FID is far too high; where all that is looked at are
            copies, so that FID is divided by 1e-14: of one that is rounding alone, any value comes out, and 0 of none.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([MiFID(training="real")], extractor=None, num_features=2)
        >>> metric.update(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]]), real=True)
        >>> metric.update(torch.tensor([[2.0, 0.0], [0.0, 3.0], [3.0, 4.0]]), real=False)  # cosines 1, 1 and 0.8
        >>> {key: round(value.item(), 3) for key, value in metric.compute().items()}
        {'mifd_features': 95.231, 'mifd_distance_features': 0.067}
    """

    threshold: float = 0.1
    training: Literal["train", "real"] | None = None
    variant: Literal["kaggle", "torchmetrics"] = "kaggle"
    _rows: Directions | None = field(default=None, repr=False, compare=False, kw_only=True)
    _is_bound: bool = field(default=False, repr=False, kw_only=True)

    label: ClassVar[str] = "mifid"
    group: ClassVar[str] = "copying"
    paper: ClassVar[str] = "Bai et al., KDD 2021"

    def __post_init__(self) -> None:
        check_real("MiFID threshold", self.threshold, above=0)
        if self.threshold > 1:
            raise ValueError(f"MiFID threshold: expected at most 1, got {self.threshold}.")
        for name, allowed in (("variant", ("kaggle", "torchmetrics")), ("training", ("train", "real", None))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"MiFID {name}: expected one of {allowed}, got {getattr(self, name)!r}.")
        if self.training == self._usual:
            object.__setattr__(self, "training", None)  # one value, with one signature

    @property
    def _usual(self) -> Role:
        return "train" if self.variant == "kaggle" else "real"

    @property
    def role(self) -> Role:
        """The role of the training samples."""
        return self.training or self._usual

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (
            Scalar("mifid", "Memorization-informed Fréchet distance", "lower", elsewhere="mifd", kind="positive"),
            Scalar("mifid_distance", "Cosine distance to training samples", elsewhere="mifd_distance", kind="positive"),
        )

    @property
    def fixed(self) -> Role | None:
        return self.role if self.variant == "kaggle" else None

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        moments, bank = Moments(width(spec, "MiFID")), self._bank(spec)
        fake = (moments, self._distances(spec) if self._is_bound else bank)
        return (
            {"real": (moments, bank), "fake": fake}
            if self.role == "real"
            else {"real": (moments,), self.role: (bank,), "fake": fake}
        )

    def check(self, sides: Sides) -> None:
        for side in (sides.real, sides.fake):
            side.require(2, "MiFID")
        if self.role != "real":
            sides[self.role].require(1, "MiFID", 'update(…, role="train") before compute(), or training="real"')

    def prepares(self, spec: Spec) -> Prepared:  # noqa: ARG002
        return {"places": torch.empty(0, dtype=torch.int64)}

    def prepare(self, spec: Spec, side: Side) -> Prepared:
        places = has_direction(side.rows(self._bank(spec))).nonzero().squeeze(1)
        _require_some(len(places), side.role)
        return {"places": places}

    def check_prepared(self, prepared: Prepared, num_samples: int) -> None:
        places = prepared["places"]
        if not ((places >= 0) & (places < num_samples)).all() or not (places.diff() > 0).all():
            raise ValueError(f"expected ascending places among {num_samples} rows, got {places.tolist()}.")

    def bind(self, spec: Spec, side: Side | None, prepared: Prepared) -> MiFID:
        if side is None:
            return replace(self, _is_bound=True)
        rows, places = side[self._bank(spec)]["rows"], prepared["places"]
        return replace(self, _is_bound=True, _rows=Directions(rows if len(places) == len(rows) else rows[places]))

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        moments = Moments(width(sides.spec, "MiFID"))
        for side in (sides.real, sides.fake):
            warn_if_few(side, moments.num_features)
        fid = distance_of(sides, moments)
        far = self._to_training(sides) if self.variant == "kaggle" else self._from_training(sides)
        if far < COPIES:
            _warn_of_copies(self.role)
        value = fid / (torch.where(far < self.threshold, far, 1.0) + SMALLEST)
        if self.variant == "torchmetrics":
            value = torch.where(fid > NO_DISTANCE, value, 0.0)
        return {"mifid": value, "mifid_distance": far}

    def _to_training(self, sides: Sides) -> Tensor:
        return _mean(sides.fake[self._distances(sides.spec)], "fake")

    def _from_training(self, sides: Sides) -> Tensor:
        """Return the mean distance of training samples to generated ones; collective."""
        bank, side = self._bank(sides.spec), sides[self.role]
        fakes = sides.fake.rows(bank)
        fakes = fakes[has_direction(fakes)]
        _require_some(len(fakes), "fake")
        distances = replace(self._distances(sides.spec), rows=Directions(fakes))
        state = distances.empty(fakes.device)
        for features in bank_features(bank, side[bank]):
            state = distances.update(state, features)
        return _mean(distances.all_reduce(state, side.comm), side.role)

    def _bank(self, spec: Spec) -> Bank:
        return Bank(width(spec, "MiFID"))

    def _distances(self, spec: Spec) -> CosineDistances:
        return CosineDistances(width(spec, "MiFID"), self.role, self._rows)


def _warn_of_copies(role: Role) -> None:
    warnings.warn(
        f"MiFID: samples and their nearest {role} ones point the same way, all of them, so the Fréchet distance is "
        "divided by 1e-14, and where it is 0 so is the value, which is the best there is. Copies, or one feature? "
        "Remedy: look at mifid_distance first; other samples.",
        BiasWarning,
        stacklevel=3,
    )


def _mean(state: State, role: Role) -> Tensor:
    _require_some(int(state["points"]), role)
    return state["distances"] / state["points"]


def _require_some(count: int, role: Role) -> None:
    if not count:
        raise NotEnoughSamples(
            f"MiFID needs {role} samples whose features do not sum to 0, got none. Remedy: check the extractor."
        )
