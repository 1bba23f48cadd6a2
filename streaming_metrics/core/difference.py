"""Difference: the Gaussians of both sides of one network, and the features that are kept of their samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from streaming_metrics.core.layout import MEASURED
from streaming_metrics.measures.directions import is_negligible
from streaming_metrics.measures.frechet_errors import Coupling
from streaming_metrics.measures.gaussian import gaussian_of
from streaming_metrics.measures.kept_rows import kept_rows
from streaming_metrics.statistics import Moments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Side
    from streaming_metrics.measures.kept_rows import KeptRows


class Difference(NamedTuple):
    """Difference of the two sides, as one network shows it.

    Args:
        network: its place.
        coupling: of the Gaussians fitted to the features of both sides.
        real, fake: features that are kept; None where none are.
    """

    network: int
    coupling: Coupling
    real: KeptRows | None
    fake: KeptRows | None

    def with_labels(self, labels: Mapping[Role, Tensor]) -> Difference:
        """Return the difference with labels ``(N,)`` of samples by id, of sides that keep none."""
        sides = {"real": self.real, MEASURED: self.fake}
        real, fake = (kept and kept.with_labels(labels.get(role)) for role, kept in sides.items())
        return self._replace(real=real, fake=fake)

    @property
    def is_there(self) -> Tensor:
        """Whether the distance is finite, and more than rounding, int64 ``()``."""
        distance = self.coupling.distance
        return (distance.isfinite() & ~is_negligible(distance, self.coupling)).long()


def difference_of(sides: Sequence[Mapping[Role, Side]], specs: Sequence[Spec]) -> Difference | None:
    """Return the difference that the first network shows whose moments are kept, of both sides, and features of
    generated samples, else the first whose moments are; None where there is none; collective.
    """
    found = [_difference(network, seen, spec) for network, (seen, spec) in enumerate(zip(sides, specs))]
    known = [one for one in found if one is not None]
    return min(known, key=lambda one: one.fake is None, default=None)


def _difference(network: int, seen: Mapping[Role, Side], spec: Spec) -> Difference | None:
    if spec.num_features is None:
        return None
    sides, moments = [seen[role] for role in ("real", MEASURED)], Moments(spec.num_features)
    if any(moments not in side.states or side.num_samples < 2 for side in sides):
        return None
    kept = [kept_rows(side, spec.num_features) for side in sides]
    return Difference(network, Coupling(*(gaussian_of(side, moments) for side in sides)), *kept)
