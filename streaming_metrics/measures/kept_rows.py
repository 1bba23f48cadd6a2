"""Kept rows: what features a side holds of its samples, whichever measure asked for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from streaming_metrics.statistics import Bank, Reservoir
from streaming_metrics.statistics.index import cluster_of, ordinal

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.measures.base import Side


CHUNK = 4096


@dataclass(frozen=True, eq=False)
class KeptRows:
    """Features of a side's samples, this rank's shard of them.

    Args:
        rows: ``(n, D)`` float32.
        index: ``(n,)`` int64, their ids.
        total: over all ranks.
        comm: the ranks.
        labels, captions: ``(n,)`` int64; None where they are not kept.
        num_labels: how many classes there are, where labels are kept.
        cluster: how many consecutive ids are of one prompt.
    """

    rows: Tensor
    index: Tensor
    total: int
    comm: Comm
    labels: Tensor | None = None
    captions: Tensor | None = None
    num_labels: int = 0
    cluster: int = 1

    def along(self, vectors: Tensor, centre: Tensor | None = None) -> Tensor:
        """Return how far rows lie along directions ``(D, K)``, from a centre ``(D,)``: ``(n, K)`` float64."""
        start = 0 if centre is None else centre @ vectors
        parts = [rows.double() @ vectors - start for rows in self.rows.split(CHUNK)]
        return torch.cat(parts)

    @property
    def clusters(self) -> Tensor:
        """The prompt ``(n,)`` of each."""
        return cluster_of(self.index, self.cluster)

    def with_labels(self, labels: Tensor | None) -> KeptRows:
        """Return the rows with ``labels[id]``, where none are kept with them and these are known of every id, on every
        rank; collective.
        """
        if labels is None or self.labels is not None:
            return self
        places = ordinal(self.index)  # ids that nobody gave lie beyond all labels, on all ranks but the first
        if not self.comm.min((places < len(labels)).all().long().cpu()):
            return self
        own = labels.to(places.device)[places]
        return replace(self, labels=own, num_labels=int(labels.max()) + 1)

    def gathered(self, column: Tensor) -> Tensor:
        """Return a column ``(n,)`` of these samples over all ranks, in the order of ids, on the CPU; collective."""
        counts = self.comm.counts(len(self.index))
        index, whole = (self.comm.gather(tensor, counts) for tensor in (self.index, column))
        return whole[index.argsort(stable=True)].cpu()


def kept_rows(side: Side, num_features: int) -> KeptRows | None:
    """Return the features that a side keeps of the column ``pool``: those with labels or captions before others, all
    before some; None where it keeps none; collective.
    """
    kept = [statistic for statistic in side.states if isinstance(statistic, (Bank, Reservoir))]
    kept = [one for one in kept if one.column == "pool" and one.num_features == num_features]
    cluster = max((one.cluster for one in kept), default=1)  # told to one measure, it holds for what another keeps
    found = (replace(_read(side, one), cluster=cluster) for one in sorted(kept, key=_rank))
    return next((one for one in found if one.total), None)


def at_most(kept: KeptRows, most: int) -> KeptRows:
    """Return a sample of so many rows over all ranks, which depends on their ids alone; collective."""
    state = {"rows": kept.rows, "index": kept.index}
    few = Bank(kept.rows.shape[1], capacity=most)
    state = few.all_reduce(few.merge([state]), kept.comm)
    return KeptRows(state["rows"], state["index"], min(most, kept.total), kept.comm)


def _rank(kept: Bank | Reservoir) -> tuple[bool, bool, int, str]:
    is_bank = isinstance(kept, Bank)
    beside = is_bank and (kept.labels is not None or kept.captions)
    return not beside, kept.capacity is not None, -(kept.capacity or 0), kept.name


def _read(side: Side, kept: Bank | Reservoir) -> KeptRows:
    state, comm = side[kept], side.comm
    if isinstance(kept, Reservoir):  # whole on every rank
        drawn = kept.read(state)
        rows, index = (column[comm.rank :: comm.world_size] for column in (drawn.rows, drawn.index))
        return KeptRows(rows, index, sum(comm.counts(len(index))), comm)
    total = sum(comm.counts(len(state["index"])))
    beside = (state.get("labels"), state.get("captions"), kept.labels or 0)
    return KeptRows(state["rows"], state["index"], total, comm, *beside)
