"""Kept: what the doctor keeps of the images, as measures that yield no number and only say which statistics they need."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.doctor.traits import NAMES
from streaming_metrics.measures.base import Measure, Scalar, width
from streaming_metrics.statistics import Moments
from streaming_metrics.statistics.sums import Shapes, Sums

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streaming_metrics.features import Features, Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Sides
    from streaming_metrics.statistics import State, Statistic

TRAITS = Moments(len(NAMES), "traits")


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


def rest_of(moments: Moments, whole: State, part: State) -> State:
    """Return the moments of the samples of a whole that are not in a part of it.

    Example:
        >>> from streaming_metrics.features import Features
        >>> moments, rows = Moments(1), torch.tensor([[1.0], [2.0], [4.0], [9.0]])
        >>> whole, part, rest = (moments.update(moments.empty(), Features(pool=of)) for of in (rows, rows[:2], rows[2:]))
        >>> torch.allclose(rest_of(moments, whole, part)["moments"], rest["moments"])
        True
    """
    n, k = moments.count(whole), moments.count(part)
    left = n - k
    mean = (n * moments.mean(whole) - k * moments.mean(part)) / left
    apart = moments.mean(part) - mean
    rest = torch.empty_like(whole["moments"])
    rest[1:, 1:] = moments.scatter(whole) - moments.scatter(part) - torch.outer(apart, apart) * (k * left / n)
    moments._write(rest, left, mean)
    return {"moments": rest}


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
        return {"counts": torch.bincount(self.rows_of(features).argmax(1), minlength=self.num_classes)}


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
    """Moments of one network's features of either side, of drawn parts of them, and its predictions.

    Args:
        name: of the network, which tells it from the others.
        real_half, fake_parts: what is drawn, as ``(total, drawn)``.
        seed: of the draws.
        has_logits: whether the network predicts classes.
    """

    name: str
    real_half: tuple[int, int] | None = None
    fake_parts: tuple[tuple[int, int], ...] = ()
    seed: int = 0
    has_logits: bool = False

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        features = width(spec, "explain")
        whole = (Moments(features), *((Predictions(spec.num_classes),) if self.has_logits and spec.num_classes else ()))
        halves = () if self.real_half is None else (self.drawn(features, *self.real_half),)
        return {"real": (*whole, *halves), "fake": (*whole, *(self.drawn(features, *part) for part in self.fake_parts))}

    def drawn(self, num_features: int, total: int, drawn: int) -> DrawnMoments:
        """Return the statistic of a drawn part."""
        return DrawnMoments(num_features, total=total, drawn=drawn, seed=self.seed)


@dataclass(frozen=True)
class KeptTraits(_Kept):
    """Moments of the traits of either side's images."""

    label: ClassVar[str] = "traits"
    column: ClassVar[str] = "traits"

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:  # noqa: ARG002
        return {"real": (TRAITS,), "fake": (TRAITS,)}
