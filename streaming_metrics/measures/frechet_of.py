"""Fréchet distances by other names than FID: of another column, of other samples, of other networks."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streaming_metrics.measures.base import Measure, width
from streaming_metrics.measures.frechet import warn_if_few
from streaming_metrics.measures.gaussian import distance_of
from streaming_metrics.statistics import Moments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Scalar, Sides
    from streaming_metrics.statistics import Statistic


@dataclass(frozen=True)
class FrechetOf(Measure):
    """Fréchet distance of its :attr:`column` between real and generated samples, under its one scalar's key."""

    @property
    @abstractmethod
    def scalars(self) -> tuple[Scalar]:
        """The distance, alone."""

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        moments = (self._moments(spec),)
        return {"real": moments, "fake": moments}

    def check(self, sides: Sides) -> None:
        for side in (sides.real, sides.fake):
            side.require(2, type(self).__name__)

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        moments = self._moments(sides.spec)
        for side in (sides.real, sides.fake):
            warn_if_few(side, moments.num_features, type(self).__name__)
        (key,) = self.keys
        return {key: self.distance(sides, moments)}

    def distance(self, sides: Sides, moments: Moments) -> Tensor:
        """Return the distance; by default of covariances that are divided by N − 1."""
        return distance_of(sides, moments)

    def _moments(self, spec: Spec) -> Moments:
        return Moments(width(spec, type(self).__name__, self.column), column=self.column)
