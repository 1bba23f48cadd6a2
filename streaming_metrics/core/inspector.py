"""Inspector: which samples of a metric there are to look at, read after ranks have met once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from streaming_metrics.arguments import check_integer
from streaming_metrics.core.closest import closest_of, generated_bank_of
from streaming_metrics.core.frozen import remembering
from streaming_metrics.core.layout import MEASURED
from streaming_metrics.core.nearest_samples import bank_of, nearest_samples
from streaming_metrics.measures.base import Sides
from streaming_metrics.measures.projection import MOST, Projection, project
from streaming_metrics.measures.units import Units, units_apart

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from streaming_metrics.core.closest import ClosestPairs
    from streaming_metrics.core.frozen import Remembered
    from streaming_metrics.core.layout import Streams
    from streaming_metrics.core.nearest_samples import NearestSamples
    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Role
    from streaming_metrics.measures.base import Prepared, Side
    from streaming_metrics.measures.mode_table import ModeTable


@dataclass(frozen=True, eq=False)
class Inspector:
    """Inspector of what a metric holds: its nearest samples, modes, units, and a map of features.

    ``metric.inspector()`` makes one where ranks have met; states are reduced at most once for all that is read. What is
    read is the same on every rank, and every reading is collective. It serves until the metric changes.

    Args:
        streams: the measures as they are.
        reduce: to the sides of each network, by role, over all ranks; banks still sharded.
        prepared: of each measure that is bound.
        comm: the ranks.
        remembered: of the frozen sides, which it adds to.
    """

    streams: Streams
    reduce: Callable[[], Sequence[Mapping[Role, Side]]]
    prepared: Sequence[Prepared]
    comm: Comm
    remembered: Mapping[Role, Remembered]

    def neighbourhood(self) -> NearestSamples | None:
        """Return who is nearest to whom across the two sides; None where no measure keeps features of both."""
        if (kept := bank_of(self.streams)) is None:
            return None
        network, bank, k = kept
        with remembering(self.remembered, network) as cache:
            return nearest_samples(bank, k, self._sides[network], self.comm, cache)

    def closest_pairs(self, k: int = 20, most: int = 1000, among: Tensor | None = None) -> ClosestPairs | None:
        """Return the k pairs of generated samples with the closest features; None where no measure keeps features of
        generated samples. Where :meth:`neighbourhood` is known, they are the same features.

        Args:
            k: how many, at least 1.
            most: samples that are searched, which depend on their ids alone; at least 2.
            among: ids ``(n,)``; of these samples, those with other ids are left out.
        """
        check_integer("closest_pairs k", k, least=1)
        check_integer("closest_pairs most", most, least=2)
        kept = bank_of(self.streams) or generated_bank_of(self.streams)
        if kept is None:
            return None
        network, bank = kept[:2]
        return closest_of(self._sides[network][MEASURED], bank, k, most, among)

    def modes(self, among: Tensor | None = None) -> ModeTable | None:
        """Return what each mode of the real side holds of either side.

        The table of :class:`~streaming_metrics.Modes`, measured or, where features of both sides are kept, made of
        them; None where there is none.

        Args:
            among: ids of the generated samples that may be among its examples; None for all.
        """
        from streaming_metrics.core.mode_reader import mode_table  # SciPy's k-means, which few ask for

        return mode_table(self.streams, self._sides, self.prepared, self.comm, among)

    def projection(self, most: int = MOST) -> Projection | None:
        """Return features of both sides on two principal components of the real ones; None where no measure keeps
        features of both.

        Args:
            most: samples of each side, which depend on their ids alone.
        """
        if (kept := bank_of(self.streams)) is None:
            return None
        sides = self._sides[kept[0]]
        return project(kept[1], sides["real"], sides[MEASURED], most)

    def units(self, n: int = 8, among: Tensor | None = None) -> Units | None:
        """Return the columns of the features in which the sides differ most.

        Of the moments that FID keeps, else of features kept of both sides; None where no measure keeps either.

        Args:
            n: how many.
            among: ids of the generated samples that may be among the examples; None for all.
        """
        network, bank, _ = bank_of(self.streams) or (0, None, None)
        return units_apart(Sides(self._sides[network], self.streams.layout.networks[network].spec), bank, n, among)

    def sides(self, on: str | None = None) -> Sides:
        """Return the sides of a network as its measures see them, states over all ranks, banks still sharded.

        Args:
            on: the network by name; None for the first.
        """
        networks = self.streams.layout.networks
        place = 0 if on is None else [network.name for network in networks].index(on)
        return Sides(self._sides[place], networks[place].spec)

    @cached_property
    def _sides(self) -> Sequence[Mapping[Role, Side]]:
        return self.reduce()
