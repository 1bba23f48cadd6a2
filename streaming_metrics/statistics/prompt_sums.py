"""Prompt sums: count and sum of the scores of each prompt, of all prompts or of a sample of them of bounded size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer
from streaming_metrics.statistics.bank import check_captions
from streaming_metrics.statistics.base import MOST_SAMPLES, State, Statistic, check_column, unless
from streaming_metrics.statistics.index import hashed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Features

FREE = torch.iinfo(torch.int64).max
PARTS = ("keys", "counts", "sums")


class Prompts(NamedTuple):
    """Prompts that are kept: their keys, int64 ``(G,)``, ascending, and the count and the sum of the samples of each,
    float64 ``(G,)``.
    """

    keys: Tensor
    counts: Tensor
    sums: Tensor


@dataclass(frozen=True)
class PromptSums(Statistic):
    """Number of samples of each prompt, and the sum of their scores; a prompt is known by the hash of its caption.

    The state is ``keys (most,) int64``, ascending, ``counts (most,) int64`` and ``sums (most,) float64`` of the prompts
    whose hashed captions are smallest, and ``n () int64`` and ``total () float64`` of all samples; a slot is free where
    its count is 0. What is kept of a prompt is of all its samples, on whatever ranks: a key among the smallest of all
    is among the smallest of every part.

    Args:
        most: prompts to keep; of more, a uniform sample that depends on the captions alone.
        column: of width 1, of which features.

    Example:
        >>> from streaming_metrics.features import Features
        >>> sums = PromptSums(most=4)
        >>> features = Features(score=torch.tensor([[1.0], [2.0], [4.0]]), captions=torch.tensor([7, 5, 7]))
        >>> prompts = sums.read(sums.update(sums.empty(), features))
        >>> sorted(zip(prompts.counts.tolist(), prompts.sums.tolist()))
        [(1.0, 2.0), (2.0, 5.0)]
    """

    most: int = 1 << 14
    column: str = "score"

    writes_in_place: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_integer("most", self.most, least=2)
        check_column(self.column)

    @property
    def name(self) -> str:
        return f"prompt_sums_{self.most}" + unless("score", self.column)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.column, "captions"

    def empty(self, device: torch.device | str = "cpu") -> State:
        return {
            "keys": torch.full((self.most,), FREE, dtype=torch.int64, device=device),
            "counts": torch.zeros(self.most, dtype=torch.int64, device=device),
            "sums": torch.zeros(self.most, dtype=torch.float64, device=device),
            "n": torch.zeros((), dtype=torch.int64, device=device),
            "total": torch.zeros((), dtype=torch.float64, device=device),
        }

    def update(self, state: State, features: Features) -> State:
        scores = self.rows_of(features)[:, 0].double()
        keys = hashed(check_captions(features.captions, len(features)))
        n = torch.full_like(state["n"], len(keys))
        batch = {"keys": keys, "counts": torch.ones_like(keys), "sums": scores, "n": n, "total": scores.sum()}
        return self.merge([state, batch])

    def merge(self, states: Sequence[State]) -> State:
        keys, order = torch.cat([state["keys"] for state in states]).sort(stable=True)
        place = (keys[1:] != keys[:-1]).cumsum(0)  # of fixed shapes throughout: no device is waited for
        place = torch.cat([place.new_zeros(1), place])
        merged = {"keys": torch.full_like(keys, FREE).scatter_(0, place, keys)}
        for part in ("counts", "sums"):
            column = torch.cat([state[part] for state in states])[order]
            merged[part] = torch.zeros_like(column).scatter_add_(0, place, column)
        kept = {part: column[: self.most].clone() for part, column in merged.items()}
        return kept | {part: torch.stack([state[part] for state in states]).sum() for part in ("n", "total")}

    def all_reduce(self, state: State, comm: Comm) -> State:
        """Return the merge of all ranks' states, which go around the ring, each 24 bytes a prompt."""
        packed = torch.stack([state["keys"], state["counts"], state["sums"].view(torch.int64)])
        alone = {"n": torch.zeros_like(state["n"]), "total": torch.zeros_like(state["total"])}
        shards = sorted(comm.ring(packed, [len(packed)] * comm.world_size), key=lambda visit: visit[0])
        of_ranks = [
            {"keys": keys, "counts": counts, "sums": sums.view(torch.float64), **alone}
            for _, (keys, counts, sums) in shards
        ]
        return self.merge(of_ranks) | {part: comm.sum(state[part].clone()) for part in ("n", "total")}

    def check(self, state: State) -> None:
        super().check(state)
        keys, counts, sums = (state[part] for part in PARTS)
        filled = counts > 0
        self._expect((filled | (counts == 0) & (keys == FREE) & (sums == 0)).all(), "numbers of samples of each prompt")
        ascending = (keys[1:] >= keys[:-1]).all() and (keys[1:] > keys[:-1])[filled[1:]].all()
        self._expect(ascending, "ascending keys of prompts")
        kept, n = int(counts.sum()), int(state["n"])
        self._expect(kept <= n <= MOST_SAMPLES and (kept == n or filled.all()), f"the prompts of {n} samples")

    def bounds(self, state: State) -> tuple[float, float]:
        n = float(state["n"])
        return n, n

    def read(self, state: State) -> Prompts:
        """Return the prompts that are kept."""
        filled = state["counts"] > 0
        return Prompts(state["keys"][filled], state["counts"][filled].double(), state["sums"][filled])
