"""Copies: the generated samples that lie nearer to a training sample than its own nearest neighbour does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from streaming_metrics.core.layout import MEASURED
from streaming_metrics.core.pairs import reduce_pairs
from streaming_metrics.measures.base import Side
from streaming_metrics.pairwise import Nearest, Radii
from streaming_metrics.statistics import Bank
from streaming_metrics.verdicts.intervals import interval, share_error

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.core.pairs import PairCache
    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Role
    from streaming_metrics.measures.kept_rows import KeptRows


@dataclass(frozen=True, eq=False)
class Copies:
    """Generated samples beside the training samples nearest to them; on the CPU, the same on every rank.

    A sample is a copy, in the words of AuthPct, where ``ratio`` is at most 1: it lies as near to a training sample as
    that one's nearest other training sample, or nearer. Features that are close are no proof that an image is copied,
    and of new samples of the training samples' own distribution a fifth to a half are copies in these words.

    Args:
        role: whose samples they are held against: ``"train"``, or ``"real"`` where there are no others.
        fake: ids ``(m,)`` int64 of the generated samples that are searched, ascending.
        nearest: ``(m,)`` int64, id of the training sample nearest to each.
        ratio: ``(m,)`` float64, the distance to it over that one's distance to its own nearest neighbour.
        num_train: training samples.
    """

    role: Role
    fake: Tensor
    nearest: Tensor
    ratio: Tensor
    num_train: int

    @property
    def authentic(self) -> float:
        """Share of the samples that are no copies, in [0, 1]: AuthPct over 100, of the samples searched."""
        return float((self.ratio > 1).double().mean())

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of Wilson's 95 % interval of the authentic share, given the training samples."""
        return interval(self.authentic, share_error(self.authentic, len(self.fake)), "share")

    def closest(self, n: int, among: Tensor | None = None) -> Tensor:
        """Return the places of the n samples with the smallest ratios, of the ids ``among`` if given."""
        places = torch.arange(len(self.fake))
        if among is not None:
            places = places[torch.isin(self.fake, among)]
        return places[self.ratio[places].argsort(stable=True)][:n]


def copies_of(role: Role, train: KeptRows, fake: KeptRows, comm: Comm, cache: PairCache) -> Copies | None:
    """Return which generated samples lie near to training samples; None with fewer than 2 of these; collective.

    Args:
        role: of the training samples.
        train, fake: features that are kept of them.
        comm: the ranks.
        cache: of the pairs of frozen sides, which it adds to.
    """
    if train.total < 2:
        return None
    bank = Bank(train.rows.shape[1])
    sides = {name: _side(name, kept, bank, comm) for name, kept in ((role, train), (MEASURED, fake))}
    known = cache.copy()
    radii, nearest = Radii(role, 1), Nearest(MEASURED, role)
    found = reduce_pairs(bank, (radii, nearest), sides, comm, known)
    cache.results.update(known.results)
    own, (squared, place) = found[radii].cpu(), found[nearest].cpu()
    place = place.long()
    ratio = (squared / own[place]).sqrt().where(squared > 0, 0.0)
    return Copies(role, fake.gathered(fake.index), train.gathered(train.index)[place], ratio, train.total)


def _side(role: Role, kept: KeptRows, bank: Bank, comm: Comm) -> Side:
    return Side(role, kept.total, {bank: {"rows": kept.rows, "index": kept.index}}, comm)
