"""Blocks: one state of a statistic for each of some random blocks of the samples, for a jackknife over these."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer
from streaming_metrics.statistics.base import State, Statistic
from streaming_metrics.statistics.index import cluster_of, hashed, shifted
from streaming_metrics.statistics.sums import counts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Features


@dataclass(frozen=True)
class Blocks(Statistic):
    """States of a statistic, one of each block of samples, stacked along a new first axis; and ``block_sizes (B,)``.

    The block of a sample follows from the hash of ``index // cluster`` alone.

    Args:
        statistic: additive, its state of one shape whatever the samples.
        blocks: B, at least 2.
        cluster: how many consecutive ids stay in one block: images of one prompt, frames of one clip.

    Example:
        >>> from streaming_metrics.features import Features
        >>> from streaming_metrics.statistics import Moments
        >>> blocks = Blocks(Moments(1), blocks=2)
        >>> features = Features(pool=torch.arange(8.0).view(8, 1), index=torch.arange(8))
        >>> state = blocks.update(blocks.empty(), features)
        >>> state["block_sizes"].tolist(), Moments(1).mean(blocks.whole(state)).item()
        ([3, 5], 3.5)
    """

    statistic: Statistic
    blocks: int = 20
    cluster: int = 1

    sizes: ClassVar[str] = "block_sizes"
    """The key of the blocks' sizes, which their states must not have."""

    def __post_init__(self) -> None:
        check_integer("blocks", self.blocks, least=2)
        check_integer("cluster", self.cluster, least=1)
        if self.statistic.is_sharded:
            raise ValueError(
                f"Blocks: expected a statistic of one shape, got {self.statistic.name}, which keeps rows. Remedy: a "
                "measure that adds up."
            )

    @property
    def name(self) -> str:
        return f"blocks_{self.blocks}_{self.cluster}_{self.statistic.name}"

    @property
    def columns(self) -> tuple[str, ...]:
        return self.statistic.columns

    @property
    def rounds(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]  of what it holds
        return self.statistic.rounds

    def empty(self, device: torch.device | str = "cpu") -> State:
        one = self.statistic.empty(device)
        stacked = {key: torch.stack([tensor] * self.blocks) for key, tensor in one.items()}
        return stacked | {self.sizes: torch.zeros(self.blocks, dtype=torch.int64, device=device)}

    def update(self, state: State, features: Features) -> State:
        return self.staged(state, features)()

    def staged(self, state: State, features: Features) -> Callable[[], State]:
        assert features.index is not None
        place = self.block_of(features.index).to(state[self.sizes].device)
        sizes, ordered = counts_of(place, self.blocks), features[place.argsort(stable=True)]
        ends = [0, *accumulate(sizes.tolist())]  # read once for all blocks
        writes = {
            block: self.statistic.staged(self.one(state, block), ordered[start:stop])
            for block, (start, stop) in enumerate(pairwise(ends))
            if start < stop
        }

        def write() -> State:
            for block, written in writes.items():
                for key, tensor in written().items():
                    if tensor.data_ptr() != state[key][block].data_ptr():  # else it was written in place
                        state[key][block] = tensor
            state[self.sizes] += sizes
            return state

        return write

    def merge(self, states: Sequence[State]) -> State:
        merged = [self.statistic.merge([self.one(state, b) for state in states]) for b in range(self.blocks)]
        return self._stacked(merged) | {self.sizes: torch.stack([state[self.sizes] for state in states]).sum(0)}

    def all_reduce(self, state: State, comm: Comm) -> State:
        reduced = [self.statistic.all_reduce(self._copied(state, b), comm) for b in range(self.blocks)]
        return self._stacked(reduced) | {self.sizes: comm.sum(state[self.sizes].clone())}

    def check(self, state: State) -> None:
        super().check(state)
        self._expect((state[self.sizes] >= 0).all(), "sizes of blocks that are not negative")
        for block, n in enumerate(state[self.sizes].tolist()):
            one = self.one(state, block)
            self.statistic.check(one)
            least, most = self.statistic.bounds(one)
            self._expect(least <= n <= most, f"{n} samples in a block, got {least:.0f}")

    def bounds(self, state: State) -> tuple[float, float]:
        n = float(state[self.sizes].sum())
        return n, n

    def block_of(self, index: Tensor) -> Tensor:
        """Return the block ``(N,)`` of each sample."""
        return shifted(hashed(cluster_of(index, self.cluster)), 1) % self.blocks

    def one(self, state: State, block: int) -> State:
        """Return the state of one block, as views."""
        return {key: tensor[block] for key, tensor in state.items() if key != self.sizes}

    def whole(self, state: State) -> State:
        """Return the state of all samples."""
        return self.statistic.merge([self.one(state, block) for block in range(self.blocks)])

    def left_out(self, state: State) -> Iterator[tuple[int, State]]:
        """Yield, for each block that has samples, their number and the state of all others.

        Each is a merge of what is before and what is behind a block: 3·B merges of two, and no subtraction, which would
        leave rounding where there is nothing.
        """
        each = [self.one(state, block) for block in range(self.blocks)]
        none = self.statistic.empty(state[self.sizes].device)
        behind = [*accumulate(reversed(each), self._both, initial=none)][-2::-1]
        before = none
        for one, rest, n in zip(each, behind, state[self.sizes].tolist()):
            if n:
                yield n, self._both(before, rest)
            before = self._both(before, one)

    def _both(self, one: State, other: State) -> State:
        return self.statistic.merge([one, other])

    def _copied(self, state: State, block: int) -> State:
        return {key: tensor.clone() for key, tensor in self.one(state, block).items()}

    @staticmethod
    def _stacked(states: Sequence[State]) -> State:
        return {key: torch.stack([state[key] for state in states]) for key in states[0]}
