"""Sampled rows: a bounded part of a fixed side, chosen by ids alone, that points are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from streaming_metrics.statistics.index import hashed

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.measures.base import Prepared, Side
    from streaming_metrics.statistics import Bank

NO_PLACES = torch.empty(0, dtype=torch.int64, device="cpu")


def sampled_places(side: Side, bank: Bank, most: int) -> Tensor:
    """Return places int64 ``(min(n, most),)`` among the side's rows in the order of ids, themselves in an order that is
    random and depends on the ids alone; collective.
    """
    index = side[bank]["index"]
    whole = side.comm.gather(index, side.comm.counts(len(index))).sort().values
    return hashed(whole).argsort()[:most]


def check_places(prepared: Prepared, num_samples: int, most: int) -> None:
    """Raise ValueError unless these could be the places of a sample."""
    places, expected = prepared["places"], min(num_samples, most)
    is_among = bool(((places >= 0) & (places < num_samples)).all())
    if len(places) != expected or not is_among or len(places.unique()) != expected:
        raise ValueError(f"expected {expected} different places among {num_samples} rows, got {places.tolist()}.")
