"""Kept: what the doctor keeps of images, as measures that yield no number and only say which statistics they need."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.doctor.traits import NAMES
from streaming_metrics.measures.base import Measure, Scalar, width
from streaming_metrics.measures.frechet import FID
from streaming_metrics.statistics import Moments
from streaming_metrics.statistics.sums import Shapes, Sums, counts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streaming_metrics.features import Features, Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Sides
    from streaming_metrics.statistics import State, Statistic

TRAITS = Moments(len(NAMES), "traits")
BOTH = FID(se=True, both=True)
"""Says what is kept of both sides for the score's error, halves of them among it."""


@dataclass(frozen=True)
class DrawnMoments(Moments):
    """Moments of a random part of the samples, drawn by their ids.

    Args:
        total: samples there are, their ids being 0 … total − 1.
        drawn: how many of them to take.
        seed: of the draw.

    Example:
        >>> from streaming_metrics.features import Features
        >>> half = DrawnMoments(1, total=4, drawn=2)
        >>> state = half.update(half.empty(), Features(pool=torch.ones(4, 1), index=torch.arange(4)))
        >>> half.count(state).item()
        2.0
    """

    total: int = 0
    drawn: int = 0
    seed: int = 0

    @property
    def name(self) -> str:
        return f"{super().name}_drawn_{self.drawn}_of_{self.total}_{self.seed}"

    def staged(self, state: State, features: Features) -> Callable[[], State]:
        assert features.index is not None
        chosen = drawn_of(self.total, self.drawn, self.seed).to(features.index.device)
        return super().staged(state, features[chosen[features.index]])


@lru_cache(maxsize=16)
def drawn_of(total: int, drawn: int, seed: int) -> Tensor:
    """Return which of ``total`` ids are drawn, bool ``(total,)``; a draw of fewer is part of one of more."""
    with torch.inference_mode(False):
        order = torch.randperm(total, generator=torch.Generator().manual_seed(seed))
        return torch.zeros(total, dtype=torch.bool).index_fill_(0, order[:drawn], True)


@dataclass(frozen=True)
class Predictions(Sums):
    """Number of samples that the network takes for each class, the largest of its logits.

    Args:
        num_classes: C.
    """

    num_classes: int
    column = "logits"

    @property
    def name(self) -> str:
        return f"predictions_{self.num_classes}"

    @property
    def shapes(self) -> Shapes:
        return {"counts": ((self.num_classes,), torch.int64)}

    def sums_of(self, features: Features) -> State:
        return {"counts": counts_of(self.rows_of(features).argmax(1), self.num_classes)}


class _Kept(Measure):
    label: ClassVar[str] = "kept"

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return ()

    def check(self, sides: Sides) -> None:
        pass

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        return {}


@dataclass(frozen=True)
class KeptFeatures(_Kept):
    """Moments of one network's features of either side, and of drawn parts of the generated one.

    Args:
        name: of the network, which tells it from the others.
        total: generated samples there are.
        parts: how many of them to draw.
        seed: of the draws.
        is_first: whether the checks look at it: then halves of the real side, rows for the standard error, and what the
            network takes images for are kept too.
    """

    name: str
    total: int = 0
    parts: tuple[int, ...] = ()
    seed: int = 0
    is_first: bool = False

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        features = width(spec, "explain")
        drawn = tuple(self.drawn(features, part) for part in self.parts)
        if not self.is_first:
            return {"real": (Moments(features),), "fake": (Moments(features), *drawn)}
        predicted = (Predictions(spec.num_classes),) if spec.num_classes else ()
        errors = BOTH.statistics(spec)
        return {role: (*errors[role], *predicted, *more) for role, more in (("real", ()), ("fake", drawn))}

    def drawn(self, num_features: int, part: int) -> DrawnMoments:
        """Return the statistic of a drawn part."""
        return DrawnMoments(num_features, total=self.total, drawn=part, seed=self.seed)


@dataclass(frozen=True)
class KeptTraits(_Kept):
    """Moments of the traits of either side's images."""

    label: ClassVar[str] = "traits"
    column: ClassVar[str] = "traits"

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:  # noqa: ARG002
        return {"real": (TRAITS,), "fake": (TRAITS,)}
