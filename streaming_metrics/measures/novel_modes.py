"""Novel modes: what generated samples show that real ones do not, mode by mode, with the samples to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from streaming_metrics.measures.extremes import highest

if TYPE_CHECKING:
    from streaming_metrics.distributed.comm import Comm

EXAMPLES = 4
"""Samples to look at in a mode."""


class Embedded(NamedTuple):
    """Generated samples where the kernel is an inner product: ``places (n, F)`` float64, and their ids ``(n,)``."""

    places: Tensor
    ids: Tensor

    def share(self, comm: Comm) -> Embedded:
        """Return this rank's share of what is whole on every rank."""
        return Embedded(*(column[comm.rank :: comm.world_size] for column in self))


@dataclass(frozen=True, eq=False)
class NovelModes:
    """Modes that are more than η times as frequent among generated samples, the most frequent first; on the CPU.

    Args:
        frequencies: ``(K,)`` float64, λ: by how much of all generated samples each is beyond η times its real share.
        examples: ``(K, k)`` int64, ids of the generated samples nearest to each, -1 where there are fewer; ``(K, 0)``
            where no features of generated samples are kept.
        total: Σ λ of all novel modes.
    """

    frequencies: Tensor
    examples: Tensor
    total: float

    def __len__(self) -> int:
        return len(self.frequencies)


def novel_modes_of(
    values: Tensor, vectors: Tensor, embedded: Embedded | None, comm: Comm, least: float, n: int, among: Tensor | None
) -> NovelModes:
    """Return the n modes of the largest eigenvalues above ``least``; collective.

    A sample is near to a mode by its place along the eigenvector, whose sign is that of the samples' mean.

    Args:
        values, vectors: of the difference of kernel covariances, ascending.
        embedded: samples of this rank; None where none are kept.
        comm: the ranks.
        least: what rounding alone may make.
        n: how many.
        among: ids of the samples that may be shown; None for all.
    """
    # LAPACK differs between hosts: rank 0 decides
    k = min(n, int(comm.broadcast((values > least).sum())))
    total = comm.broadcast(values[values > least].sum())
    frequencies = comm.broadcast(values[len(values) - k :].flip(0).contiguous())
    vectors = comm.broadcast(vectors[:, len(values) - k :].flip(1).contiguous())
    if embedded is None:
        examples = torch.empty(k, 0, dtype=torch.int64)
    else:
        scores = embedded.places @ vectors
        scores *= torch.where(comm.sum(scores.sum(0)) < 0, -1.0, 1.0)
        examples = highest(scores, embedded.ids, EXAMPLES, comm, among)
    return NovelModes(frequencies.cpu(), examples, float(total))
