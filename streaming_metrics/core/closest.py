"""Closest generated samples of each other: what a person looks at to see whether a generator repeats itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from streaming_metrics.core.layout import MEASURED
from streaming_metrics.pairwise.closest import closest_pairs, squared_matrix
from streaming_metrics.statistics import Bank

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.core.layout import Streams
    from streaming_metrics.measures.base import Side


@dataclass(frozen=True)
class ClosestPairs:
    """The closest pairs of generated samples, the closest first; on the CPU.

    Args:
        ids: ``(k, 2)`` int64, of the two samples.
        distance: ``(k,)`` float64, between their features.
        searched: among how many samples they were found.
    """

    ids: Tensor
    distance: Tensor
    searched: int


def generated_bank_of(streams: Streams) -> tuple[int, Bank] | None:
    """Return the network and the first bank that a measure keeps of generated samples."""
    layout = streams.layout
    for form, network in zip(streams.forms, layout.places):
        for statistic in form.statistics(layout.networks[network].spec).get(MEASURED, ()):
            if isinstance(statistic, Bank):
                return network, statistic
    return None


def closest_of(side: Side, bank: Bank, k: int, most: int, among: Tensor | None) -> ClosestPairs:
    """Return the k closest pairs of ``most`` rows, or of those with ids ``among``; collective."""
    kept = side.gather(bank, most)
    if among is not None:
        is_among = torch.isin(kept["index"], among.to(kept["index"].device))
        kept = {key: column[is_among] for key, column in kept.items()}
    squared, places = closest_pairs(squared_matrix(kept["rows"]), k)
    ids, distance = map(side.comm.broadcast, (kept["index"][places], squared.sqrt()))  # hosts round differently
    return ClosestPairs(ids.cpu(), distance.cpu(), len(kept["index"]))
