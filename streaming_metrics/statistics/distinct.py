"""Distinct: a sketch of distinct samples, the k smallest of their hashes, with counts.

Z. Bar-Yossef et al., "Counting distinct elements in a data stream", RANDOM 2002; E. Cohen, H. Kaplan, "Summarizing data
using bottom-k sketches", PODC 2007.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch

from streaming_metrics.statistics.base import State, Statistic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Features

EMPTY = torch.iinfo(torch.int64).max
CERTAIN = 4.5
"""Standard errors that no estimate is off by: 7 in 10⁶ are."""


class DistinctCount(NamedTuple):
    """Number of distinct samples, and how often they came.

    Attributes:
        num_samples: N.
        distinct: how many different ones are among them; an estimate unless ``is_exact``.
        is_exact: whether each of them was counted.
        error: the estimate's relative standard error; 0 where exact, and where no repeat was met.
        fewest, most: how often a sample came, among those that were counted.
    """

    num_samples: int
    distinct: int
    is_exact: bool
    error: float
    fewest: int
    most: int


@dataclass(frozen=True)
class Distinct(Statistic):
    """The k smallest distinct hashes of the stream, each with the number of samples that had it.

    The state is ``keys (k,) int64``, ascending, ``counts (k,) int64`` and ``total () int64``, the samples hashed; a
    slot is free where its count is 0, and has the largest key. Counts are exact: a hash among the k smallest of all
    samples is among the k smallest of every part of them. Hashes are uniform, so the k are a random sample of the
    distinct ones.

    Args:
        k: the most hashes to keep; below so many distinct samples all is exact.

    Example:
        >>> import torch
        >>> from streaming_metrics.features import Features
        >>> distinct = Distinct(k=4)
        >>> state = distinct.update(distinct.empty(), Features(hashes=torch.tensor([5, -7, 5])))
        >>> state["keys"][:2], state["counts"]
        (tensor([-7,  5]), tensor([1, 2, 0, 0]))
        >>> distinct.read(state)
        DistinctCount(num_samples=3, distinct=2, is_exact=True, error=0.0, fewest=1, most=2)
    """

    k: int = 4096

    def __post_init__(self) -> None:
        if self.k < 3:
            raise ValueError(f"k: expected at least 3 hashes to estimate by, got {self.k}.")

    is_optional: ClassVar[bool] = True
    writes_in_place: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return f"distinct_{self.k}"

    def empty(self, device: torch.device | str = "cpu") -> State:
        return {
            "keys": torch.full((self.k,), EMPTY, dtype=torch.int64, device=device),
            "counts": torch.zeros(self.k, dtype=torch.int64, device=device),
            "total": torch.zeros((), dtype=torch.int64, device=device),
        }

    def update(self, state: State, features: Features) -> State:
        if features.hashes is None:
            return state
        keys = features.hashes
        batch = {"keys": keys, "counts": torch.ones_like(keys), "total": torch.full_like(state["total"], len(keys))}
        return self.merge([state, batch])

    def merge(self, states: Sequence[State]) -> State:
        keys, order = torch.cat([state["keys"] for state in states]).sort()
        counts = torch.cat([state["counts"] for state in states]).gather(0, order)
        place = (keys[1:] != keys[:-1]).cumsum(0)  # of fixed shapes throughout: no device is waited for
        place = torch.cat([place.new_zeros(1), place])
        summed = torch.zeros_like(counts).scatter_add_(0, place, counts)
        unique = torch.full_like(keys, EMPTY).scatter_(0, place, keys)
        total = torch.stack([state["total"] for state in states]).sum()
        return {"keys": unique[: self.k].clone(), "counts": summed[: self.k].clone(), "total": total}

    def all_reduce(self, state: State, comm: Comm) -> State:
        """Return the merge of all ranks' states, which go around the ring, each 64 KiB for the usual k."""
        packed = torch.cat([state["keys"], state["counts"], state["total"].view(1)])
        reduced = self.empty(packed.device)
        for _, visitor in comm.ring(packed, [len(packed)] * comm.world_size):
            keys, counts, total = visitor.tensor_split([self.k, 2 * self.k])
            reduced = self.merge([reduced, {"keys": keys, "counts": counts, "total": total[0]}])
        return reduced

    def check(self, state: State) -> None:
        super().check(state)
        keys, counts, total = state["keys"], state["counts"], state["total"]
        filled = counts > 0
        ascending = (keys[1:] >= keys[:-1]).all() and (keys[1:] > keys[:-1])[filled[1:]].all()
        if not (ascending and (filled | (counts == 0) & (keys == EMPTY)).all() and counts.sum() <= total):
            raise ValueError(f"State {self.name}: expected ascending keys, each with its count, got others.")

    def read(self, state: State) -> DistinctCount:
        """Return how many samples are distinct: counted up to k, else estimated by the k counts or the largest key.

        Where counts vary little, N over their mean is closer than what the density of the k smallest hashes says. Where
        they vary much, or the two are apart because few samples came so often that the k missed them, the density it
        is.
        """
        n, counts = int(state["total"]), state["counts"][state["counts"] > 0]
        fewest, most = (int(end) for end in counts.aminmax()) if len(counts) else (0, 0)
        if int(counts.sum()) == n:
            return DistinctCount(n, len(counts), True, 0.0, fewest, most)
        mean, spread = counts.double().mean().item(), counts.double().std(correction=0).item()
        by_density = (self.k - 1) / ((int(state["keys"][-1]) + 2**63 + 1) / 2**64)
        error = (self.k - 2) ** -0.5
        if spread < mean and abs(n / mean - by_density) < CERTAIN * error * by_density:
            return DistinctCount(n, round(n / mean), False, spread / mean / self.k**0.5, fewest, most)
        return DistinctCount(n, min(n, round(by_density)), False, error, fewest, most)
