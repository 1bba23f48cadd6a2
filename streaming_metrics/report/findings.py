"""Findings: what there is to look at in a metric, and which images it takes to show it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from streaming_metrics.plots.feature_map import with_room
from streaming_metrics.report.causes import Causes
from streaming_metrics.report.gallery import PAIRS, Selection

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.core.closest import ClosestPairs
    from streaming_metrics.core.nearest_samples import NearestSamples
    from streaming_metrics.core.shell import GenerativeMetrics
    from streaming_metrics.measures.mode_table import ModeTable
    from streaming_metrics.measures.projection import Projection
    from streaming_metrics.measures.units import Units
    from streaming_metrics.report.folders import Folders

MODES_SHOWN = 24


@dataclass(frozen=True)
class Findings:
    """Findings of one metric; each is None where its measures keep nothing to find it in.

    Args:
        around: who is nearest to whom.
        selection: which of them to look at.
        closest: the pairs of generated samples that are closest to each other.
        modes: what each mode holds.
        units: in which the sides differ most.
        projection: of both sides' features.
        among: ids of the generated images that can be shown; None for all.
        causes: why the distance is what it is.
    """

    around: NearestSamples | None
    selection: Selection | None
    closest: ClosestPairs | None
    modes: ModeTable | None
    units: Units | None
    projection: Projection | None
    among: Tensor | None = None
    causes: Causes = field(default_factory=Causes)

    @classmethod
    def of(cls, metric: GenerativeMetrics, among: Tensor | None = None, folders: Folders | None = None) -> Findings:
        """Return what a metric shows after ``compute``; collective.

        Args:
            metric: whose samples are looked at.
            among: ids of the generated images that can be shown; None for all.
            folders: that images lie in, which are classes where no labels are kept.
        """
        inspector = metric.inspector()
        around = inspector.neighbourhood()
        selection = None if around is None else Selection.of(around, among)
        closest = None if around is None else inspector.closest_pairs(PAIRS, among=among)
        modes, units = inspector.modes(among), inspector.units(among=among)
        projection, causes = inspector.projection(), Causes.of(inspector, among, folders)
        return cls(around, selection, closest, modes, units, projection, among, causes)

    def fakes(self) -> Tensor:
        """Return the ids of the generated images to show."""
        chosen = [] if self.around is None or self.selection is None else [self.selection.fakes(self.around)]
        chosen += [] if self.closest is None else [self.closest.ids]
        chosen += [] if self.modes is None else [self.modes.fake_examples[self.shown_modes]]
        chosen += [] if self.units is None else [self.units.fake_examples]
        return _joined([*chosen, *self.causes.fakes(), self._mapped()[1]])

    def reals(self) -> Tensor:
        """Return the ids of the real images to show."""
        chosen = [] if self.around is None or self.selection is None else [self.selection.reals(self.around)]
        chosen += [] if self.modes is None else [self.modes.real_examples[self.shown_modes]]
        chosen += [] if self.units is None else [self.units.real_examples]
        return _joined([*chosen, *self.causes.reals(), self._mapped()[0]])

    @property
    def shown_modes(self) -> Tensor:
        """Places of the modes to show, that which lacks generated samples most first."""
        assert self.modes is not None
        return self.modes.by_shortfall[:MODES_SHOWN]

    def _mapped(self) -> tuple[Tensor, Tensor]:
        """Return the ids of the real and of the generated images that have room on the map."""
        found = self.projection
        if found is None:
            return torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64)
        fakes = (found.fake_ids if self.among is None else self.among).tolist()
        shown = with_room(found, set(found.real_ids.tolist()), set(fakes))
        real, fake = ([place for side, place in shown if side is is_fake] for is_fake in (False, True))
        return found.real_ids[real], found.fake_ids[fake]


def _joined(ids: list[Tensor]) -> Tensor:
    joined = torch.cat([one.flatten() for one in ids]).unique()
    return joined[joined >= 0]
