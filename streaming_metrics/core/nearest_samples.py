"""Nearest samples of each other across the two sides: what galleries of generated and real images are chosen by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streaming_metrics.core.pairs import PairCache, reduce_pairs
from streaming_metrics.pairwise import BallCounts, Nearest, Radii
from streaming_metrics.statistics import Bank
from streaming_metrics.statistics.index import hashed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.core.layout import Streams
    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Measure, Side

DEFAULT_K = 5


@dataclass(frozen=True)
class NearestSamples:
    """The nearest real sample of each generated one, and the other way round; float64 and int64, on the CPU.

    Distances are in units of ``spacing``, the median distance of a real sample to its k-th nearest other real one.

    Args:
        k: which neighbour spans a real sample's ball.
        spacing: in features' units; 1 where real samples coincide.
        fake, real: ids ``(m,)``, ``(n,)``, ascending.
        fake_distance, fake_neighbour: of each generated sample to the nearest real one, and that one's id.
        real_distance, real_neighbour: of each real sample to the nearest generated one, and that one's id.
        radius: of each real sample's ball; it is covered where ``real_distance`` is below.
    """

    k: int
    spacing: float
    fake: Tensor
    fake_distance: Tensor
    fake_neighbour: Tensor
    real: Tensor
    real_distance: Tensor
    real_neighbour: Tensor
    radius: Tensor

    def farthest(self, n: int, among: Tensor | None = None) -> Tensor:
        """Return the places of the n generated samples farthest from any real one, of the ids ``among`` if given."""
        return self._ranked(self.fake_distance, n, among)

    def nearest(self, n: int, among: Tensor | None = None) -> Tensor:
        """Return the places of the n generated samples nearest to a real one, of the ids ``among`` if given."""
        return self._ranked(-self.fake_distance, n, among)

    def fixed(self, n: int, among: Tensor | None = None) -> Tensor:
        """Return the places of n generated samples that depend on their ids alone."""
        return self._ranked(-hashed(self.fake), n, among)

    def uncovered(self, n: int | None = None) -> Tensor:
        """Return the places of the real samples whose ball holds no generated one, the loneliest first."""
        lonely = (self.real_distance >= self.radius).nonzero()[:, 0]
        order = (self.real_distance[lonely] / self.radius[lonely].clamp(min=1e-12)).argsort(
            descending=True, stable=True
        )
        return lonely[order][:n]

    def _ranked(self, score: Tensor, n: int, among: Tensor | None) -> Tensor:
        places = torch.arange(len(self.fake))
        if among is not None:
            places = places[torch.isin(self.fake, among)]
        return places[score[places].argsort(descending=True, stable=True)][:n]


def bank_of(streams: Streams) -> tuple[int, Bank, int] | None:
    """Return the network and the bank that a measure keeps of both sides, and the k of its real balls; measures with
    balls come first.
    """
    layout, kept = streams.layout, []
    for form, network in zip(streams.forms, layout.places):
        spec = layout.networks[network].spec
        banks = [{s for s in form.statistics(spec).get(role, ()) if isinstance(s, Bank)} for role in ("real", "fake")]
        kept += [(network, bank, _k_of(form, spec)) for bank in sorted(set.intersection(*banks), key=lambda b: b.name)]
    kept.sort(key=lambda found: found[2] is None)
    return (*kept[0][:2], kept[0][2] or DEFAULT_K) if kept else None


def nearest_samples(
    bank: Bank, k: int, sides: Mapping[Role, Side], comm: Comm, cache: PairCache
) -> NearestSamples | None:
    """Return who is nearest to whom, the same on every rank; None with fewer than 3 real samples or no generated one.

    Collective: the shards go around as they do for measures, and what is gathered is a few numbers a sample.
    """
    real_ids, fake_ids = (_ids(sides[role][bank]["index"], comm) for role in ("real", "fake"))
    k = min(k, len(real_ids) - 2)
    if k < 1 or not len(fake_ids):
        return None
    balls, of_fake, of_real = Radii("real", k), Nearest("fake", "real"), Nearest("real", "fake")
    found = reduce_pairs(bank, (balls, of_fake, of_real), sides, comm, cache.copy())
    radius = found[balls].cpu().sqrt()
    spacing = float(radius.median()) or 1.0
    (fake_squared, to_real), (real_squared, to_fake) = (found[reduction].cpu() for reduction in (of_fake, of_real))
    return NearestSamples(
        k,
        spacing,
        fake_ids,
        fake_squared.sqrt() / spacing,
        real_ids[to_real.long()],
        real_ids,
        real_squared.sqrt() / spacing,
        fake_ids[to_fake.long()],
        radius / spacing,
    )


def _k_of(measure: Measure, spec: Spec) -> int | None:
    return next((f.k for f in measure.reductions(spec) if isinstance(f, BallCounts) and f.balls == "real"), None)


def _ids(index: Tensor, comm: Comm) -> Tensor:
    return comm.gather(index, comm.counts(len(index))).cpu().sort().values
