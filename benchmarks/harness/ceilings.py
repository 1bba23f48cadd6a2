"""What this machine can do at best: products in three dtypes and a copy, timed in turn with what is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from harness.common import Timing

DTYPES = {"sgemm": torch.float32, "dgemm": torch.float64, "bf16 GEMM": torch.bfloat16}
COPY = "copy"
GIGA = 1e9
ALL = 0.95
"""From which part on a ceiling is reached: products of other shapes than its own come no quicker."""


class Ceilings:
    """Candidates for :func:`harness.common.interleaved`, and what their timings mean.

    Args:
        names: of :data:`DTYPES`, or ``"copy"``; all where none is given.
        side: of the square factors.
        takes: products, or copies, a turn.
        device: where.
    """

    def __init__(self, *names: str, side: int = 2048, takes: int = 3, device: torch.device | str = "cpu") -> None:
        self.side, self.takes = side, takes
        self._factors = {name: _square(side, name, device) for name in names or (*DTYPES, COPY)}
        self._results = {name: torch.empty_like(factor) for name, factor in self._factors.items()}
        for run in self.candidates().values():
            run()  # the first product of a dtype also builds its kernel

    def candidates(self) -> dict[str, Callable[[], Any]]:
        """Return one turn of each."""
        return {name: lambda name=name: self._run(name) for name in self._factors}

    def rates(self, timings: Mapping[str, Timing]) -> dict[str, float]:
        """Return GFLOP/s of products, and GB/s that a copy reads and writes."""
        work = {name: self.takes * self._work(name) for name in self._factors}
        return {name: work[name] / timings[name].seconds / GIGA for name in self._factors}

    def _run(self, name: str) -> None:
        factor, result = self._factors[name], self._results[name]
        for _ in range(self.takes):
            result.copy_(factor) if name == COPY else torch.mm(factor, factor, out=result)
        if factor.is_cuda:
            torch.cuda.synchronize(factor.device)

    def _work(self, name: str) -> int:
        return 2 * self._factors[name].nbytes if name == COPY else 2 * self.side**3


def share(work: float, seconds: float, ceiling: float, name: str) -> str:
    """Return, in words, which part of a ceiling ``work`` FLOP in ``seconds`` is."""
    return f"{work / seconds / GIGA / ceiling:.0%} of {name}"


def limit(part: float, ratio: float, ceiling: str) -> str:
    """Return, in words, why no more than ``ratio`` can be had, where ``part`` of a ceiling is all of it; else nothing.

    Example:
        >>> limit(1.02, 1.9, "sgemm")
        'the products alone, over all of the time, come at 102% of sgemm: at that ceiling it would be 1.86×'
        >>> limit(0.8, 1.9, "sgemm")
        ''
    """
    if part < ALL:
        return ""
    taken = f"the products alone, over all of the time, come at {part:.0%} of {ceiling}"
    return f"{taken}: at that ceiling it would be {ratio / part:.3g}×"


def _square(side: int, name: str, device: torch.device | str) -> Tensor:
    rows = 8 * side if name == COPY else side
    return torch.randn(rows, side, device=device).to(DTYPES.get(name, torch.float32))
