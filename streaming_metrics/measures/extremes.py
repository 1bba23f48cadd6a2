"""Extremes: the samples with the highest scores, over all ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from streaming_metrics.distributed.comm import Comm

NONE = -1
"""Stands for no sample."""


def highest(scores: Tensor, ids: Tensor, k: int, comm: Comm, among: Tensor | None = None) -> Tensor:
    """Return the ids of the k highest scores of each column over all ranks, on the CPU; collective.

    Args:
        scores: ``(n, C)`` of this rank's samples; ``-inf`` for those that are out of question.
        ids: ``(n,)`` int64, theirs.
        k: how many.
        comm: the ranks.
        among: the ids to choose from; None for all.

    Returns:
        ``(C, k)`` int64, the highest first, of equal ones the smallest id; -1 where there are fewer.

    Example:
        >>> from streaming_metrics.distributed.comm import Comm
        >>> scores = torch.tensor([[1.0, 2.0], [3.0, 2.0], [2.0, -torch.inf]])
        >>> highest(scores, torch.tensor([7, 8, 9]), 3, Comm.single()).tolist()
        [[8, 9, 7], [7, 8, -1]]
    """
    scores, ids = scores.cpu().double(), ids.cpu()
    if among is not None:
        asked = torch.isin(ids, among)
        scores, ids = scores[asked], ids[asked]
    best, whose = _ranked(scores, ids[:, None].expand_as(scores), k)
    counts = [n * scores.shape[1] for n in comm.counts(len(best))]
    best, whose = (comm.gather(tensor.flatten(), counts).view(-1, scores.shape[1]) for tensor in (best, whose))
    _, whose = _ranked(best, whose, k)
    return torch.cat([whose, whose.new_full((k - len(whose), scores.shape[1]), NONE)]).T.contiguous()


def _ranked(scores: Tensor, ids: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the highest k scores of each column, and whose they are."""
    by_id = ids.argsort(dim=0)
    scores, ids = scores.gather(0, by_id), ids.gather(0, by_id)
    order = scores.argsort(dim=0, descending=True, stable=True)[:k]
    best, whose = scores.gather(0, order), ids.gather(0, order)
    return best, whose.where(best > -torch.inf, NONE)
