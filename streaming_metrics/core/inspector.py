"""Inspector: which samples of a metric there are to look at, read after ranks have met once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from streaming_metrics.arguments import check_integer
from streaming_metrics.core.closest import closest_of, generated_bank_of
from streaming_metrics.core.copies import copies_of
from streaming_metrics.core.difference import difference_of
from streaming_metrics.core.frozen import remembering
from streaming_metrics.core.layout import MEASURED
from streaming_metrics.core.nearest_samples import bank_of, nearest_samples
from streaming_metrics.measures.base import Sides
from streaming_metrics.measures.class_distances import class_distances
from streaming_metrics.measures.contributions import explained
from streaming_metrics.measures.directions import directions_of
from streaming_metrics.measures.kept_rows import at_most, kept_rows
from streaming_metrics.measures.projection import MOST, Projection, project
from streaming_metrics.measures.units import Units, units_apart

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from streaming_metrics.core.closest import ClosestPairs
    from streaming_metrics.core.copies import Copies
    from streaming_metrics.core.difference import Difference
    from streaming_metrics.core.frozen import Remembered
    from streaming_metrics.core.layout import Streams
    from streaming_metrics.core.nearest_samples import NearestSamples
    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Role
    from streaming_metrics.measures.base import Prepared, Side
    from streaming_metrics.measures.class_distances import ClassDistances
    from streaming_metrics.measures.contributions import Explained
    from streaming_metrics.measures.directions import Directions
    from streaming_metrics.measures.mode_table import ModeTable
    from streaming_metrics.measures.novel_modes import NovelModes

SEARCHED = 2000
"""Generated samples that are held against real ones, where no training samples are kept."""


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

    def explained(
        self, among: Tensor | None = None, labels: Mapping[Role, Tensor] = MappingProxyType({})
    ) -> Explained | None:
        """Return what each sample, and each class or prompt, contributes to the Fréchet distance; None where FID
        is not measured, or is 0.

        Of the samples whose features are kept: all, or the reservoir of ``FID(se=True)``.

        Args:
            among: ids of the generated samples that may be among the examples; None for all.
            labels: ``(N,)`` int64 by id, of sides that keep no labels.
        """
        if (found := self._apart) is None:
            return None
        found = found.with_labels(labels)
        return explained(found.coupling, found.real, found.fake, among)

    def directions(self, n: int = 6, among: Tensor | None = None) -> Directions | None:
        """Return the directions of feature space that add most to the Fréchet distance: what generated samples lack of
        the real ones' variation, or have beyond it; None where FID is not measured, or is 0.

        Args:
            n: how many, at least 1.
            among: ids of the generated samples that may be among the examples; None for all.
        """
        check_integer("directions n", n, least=1)
        if (found := self._apart) is None:
            return None
        return directions_of(found.coupling, found.real, found.fake, self.comm, n, among)

    def novel_modes(self, n: int = 6, among: Tensor | None = None) -> NovelModes | None:
        """Return the modes that generated samples show and real ones do not, the most frequent first; None where KEN is
        not measured.

        Examples are of the samples whose features are kept: by ``KEN(frequencies=None)``, by the reservoir of
        ``KEN(se=True)``, or by another measure's bank.

        Args:
            n: how many, at least 1.
            among: ids of the generated samples that may be among the examples; None for all.
        """
        from streaming_metrics.measures.kernel_novelty import KEN  # SciPy's factorings, which few ask for

        asked = zip(self.streams.forms, self.streams.layout.places)
        found = next(((form, place) for form, place in asked if isinstance(form, KEN)), None)
        if found is None:
            return None
        form, place = found
        return form.novel_modes(Sides(self._sides[place], self.streams.layout.networks[place].spec), n, among)

    def class_distances(self, labels: Mapping[Role, Tensor] = MappingProxyType({})) -> ClassDistances | None:
        """Return how far each class's generated samples are from its real ones; None where FID is not measured, or
        no measure keeps features with labels of both sides, as IntraFID does.

        Args:
            labels: ``(N,)`` int64 by id, of sides that keep no labels.
        """
        found = self.difference and self.difference.with_labels(labels)
        if found is None or found.real is None or found.fake is None:
            return None
        return class_distances(found.real, found.fake, found.coupling.x)

    def copies(self) -> Copies | None:
        """Return which generated samples lie near to a training sample, of the role ``train`` where samples of it are
        kept, else of ``real``; None where no features of both are kept.
        """
        found = self.difference
        network = 0 if found is None else found.network
        sides, width = self._sides[network], self.streams.layout.networks[network].spec.num_features
        if width is None or (fake := kept_rows(sides[MEASURED], width)) is None:
            return None
        train = kept_rows(sides["train"], width) if "train" in sides else None
        role: Role = "real" if train is None else "train"
        train, fake = (kept_rows(sides["real"], width), at_most(fake, SEARCHED)) if train is None else (train, fake)
        if train is None:
            return None
        with remembering(self.remembered, network) as cache:
            return copies_of(role, train, fake, self.comm, cache)

    @cached_property
    def difference(self) -> Difference | None:
        """Gaussians of both sides, and features that are kept; None where FID is not measured; collective.

        ``difference.coupling.of_fake(features).influence`` are the contributions of other generated samples, as of a
        second stream from the same seeds, where their features were not kept.
        """
        return difference_of(self._sides, [network.spec for network in self.streams.layout.networks])

    @cached_property
    def _apart(self) -> Difference | None:
        """The difference, where it is more than rounding: of hosts, which round differently, rank 0 decides."""
        found = self.difference
        return found if found is not None and self.comm.broadcast(found.is_there) else None

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
