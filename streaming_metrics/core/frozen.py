"""Memory of frozen sides: results that last as long as a side's tensors are the same objects."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from streaming_metrics.core.pairs import PairCache

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    import torch
    from torch import Tensor

    from streaming_metrics.features import Role


@dataclass
class Remembered:
    """Results that depend on one frozen side alone.

    Args:
        tensors: of the side; others mean another side.
        reduced: results of reductions over it, by network.
        kept: what measures made of it, by network, see :meth:`~streaming_metrics.measures.base.Side.once`.
        digest: of the side over all ranks; empty where it has not been made.
        lasts: whether the side is frozen: of one that is not, nothing is remembered.
    """

    tensors: tuple[Tensor, ...] = ()
    reduced: dict[int, dict[Any, Tensor]] = field(default_factory=dict)
    kept: dict[int, dict[Hashable, Any]] = field(default_factory=dict)
    digest: str = ""
    lasts: bool = True

    def is_of(self, tensors: tuple[Tensor, ...]) -> bool:
        """Return whether these are the side's tensors."""
        return len(tensors) == len(self.tensors) and all(a is b for a, b in zip(tensors, self.tensors))

    def moved(self, tensors: tuple[Tensor, ...], device: torch.device) -> Remembered:
        """Return what holds of the same side on another device."""
        reduced = {n: {key: result.to(device) for key, result in of.items()} for n, of in self.reduced.items()}
        return Remembered(tensors, reduced, {}, self.digest)


@contextmanager
def remembering(remembered: Mapping[Role, Remembered], network: int) -> Iterator[PairCache]:
    """Yield what is known of the pairs of one network's frozen sides, and remember what it holds in the end."""
    frozen = {role: memory for role, memory in remembered.items() if memory.lasts}
    known = {key: result for memory in frozen.values() for key, result in memory.reduced.get(network, {}).items()}
    cache = PairCache(frozenset(frozen), known)
    yield cache
    for role, memory in frozen.items():
        memory.reduced[network] = {key: result for key, result in cache.results.items() if key[1].sides[0] == role}
