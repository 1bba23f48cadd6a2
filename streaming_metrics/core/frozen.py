"""What is remembered of a frozen side, for as long as its tensors are the same objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable

    import torch
    from torch import Tensor


@dataclass
class Remembered:
    """Results that depend on one frozen side alone.

    Args:
        tensors: of the side; others mean another side.
        reduced: results of reductions over it.
        kept: what measures made of it, see :meth:`~streaming_metrics.measures.base.Side.once`.
        digest: of the side over all ranks; empty where it has not been made.
    """

    tensors: tuple[Tensor, ...] = ()
    reduced: dict[Any, Tensor] = field(default_factory=dict)
    kept: dict[Hashable, Any] = field(default_factory=dict)
    digest: str = ""

    def is_of(self, tensors: tuple[Tensor, ...]) -> bool:
        """Return whether these are the side's tensors."""
        return len(tensors) == len(self.tensors) and all(a is b for a, b in zip(tensors, self.tensors))

    def moved(self, tensors: tuple[Tensor, ...], device: torch.device) -> Remembered:
        """Return what holds of the same side on another device."""
        reduced = {key: result.to(device) for key, result in self.reduced.items()}
        return Remembered(tensors, reduced, {}, self.digest)
