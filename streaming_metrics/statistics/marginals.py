"""Marginals: sums over class probabilities, for the Inception Score and its relatives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import log
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer
from streaming_metrics.statistics.base import State, check_column, unless
from streaming_metrics.statistics.index import ordinal
from streaming_metrics.statistics.sums import Shapes, Sums

if TYPE_CHECKING:
    from streaming_metrics.features import Features

Assignment = Literal["interleaved", "contiguous", "shuffled"]
SHUFFLE_SEED = 2020
UNEVEN = 1e-9
"""Share by which rounding may keep probabilities from adding up to 1."""


@dataclass(frozen=True)
class Marginals(Sums):
    """Sums over the samples of each split: 1, ``Σ p`` and ``Σ Σ_c p_c·log p_c``, with ``p = softmax(logits)``, float64.

    The state is ``sums (splits + 1, num_classes + 2)``: rows ``[n, Σ p·log p, Σ p]``; the last row collects samples
    that belong to no split.

    Args:
        num_classes: C.
        splits: S.
        assignment: which split sample i (its index) is in. ``"interleaved"``: ``i mod S``. ``"contiguous"``, with N
            known: ``((i + 1)·S − 1) // N``, slices ``[s·N // S, (s + 1)·N // S)``. ``"shuffled"``: the same rule on
            the place of i in ``numpy.random.RandomState(2020).permutation(N)``, torch-fidelity's default.
        num_samples: N, where the assignment needs it.
        column: of the logits.

    Example:
        >>> import torch
        >>> from streaming_metrics.features import Features
        >>> marginals = Marginals(num_classes=2, splits=1)
        >>> features = Features(logits=torch.zeros(3, 2), index=torch.arange(3))
        >>> marginals.probabilities(marginals.update(marginals.empty(), features))
        tensor([[1.5000, 1.5000]], dtype=torch.float64)
    """

    num_classes: int
    splits: int = 10
    assignment: Assignment = "interleaved"
    num_samples: int | None = None
    column: str = "logits"

    def __post_init__(self) -> None:
        if self.assignment not in get_args(Assignment):
            raise ValueError(f"assignment: expected one of {get_args(Assignment)}, got {self.assignment!r}.")
        check_integer("num_classes", self.num_classes, least=1)
        check_integer("splits", self.splits, least=1)
        check_integer("num_samples", self.num_samples, least=1, optional=True)
        if (self.assignment == "interleaved") != (self.num_samples is None):
            raise ValueError(
                f"assignment={self.assignment!r} with num_samples={self.num_samples}: 'contiguous' and 'shuffled' need "
                "the number of samples, 'interleaved' takes none. Remedy: give both, or neither."
            )
        check_column(self.column)

    @property
    def name(self) -> str:
        known = "" if self.num_samples is None else f"_{self.num_samples}"
        return f"marginals_{self.num_classes}_{self.splits}_{self.assignment}{known}" + unless("logits", self.column)

    @property
    def shapes(self) -> Shapes:
        return {"sums": ((self.splits + 1, self.num_classes + 2), torch.float64)}

    def sums_of(self, features: Features) -> State:
        assert features.index is not None
        log_p = self.rows_of(features).to(torch.float64).log_softmax(1)
        p = log_p.exp()
        negentropy = torch.where(p > 0, p * log_p, 0.0).sum(1, keepdim=True)
        rows = torch.cat([torch.ones_like(negentropy), negentropy, p], 1)
        membership = self.split_of(features.index).unsqueeze(1) == torch.arange(self.splits + 1, device=rows.device)
        return {"sums": membership.to(torch.float64).T @ rows}

    def check(self, state: State) -> None:
        super().check(state)
        counts, negentropy, p = state["sums"].split([1, 1, self.num_classes], 1)
        slack = UNEVEN * counts
        is_sum = ((p >= 0) & (p <= counts + slack)).all() and ((p.sum(1, keepdim=True) - counts).abs() <= slack).all()
        self._expect((counts >= 0).all() and (counts == counts.round()).all(), "whole numbers of samples in its splits")
        self._expect(is_sum, "sums of probabilities")
        least = -counts * log(self.num_classes) - slack
        self._expect(((negentropy <= slack) & (negentropy >= least)).all(), "entropies of probabilities")

    def bounds(self, state: State) -> tuple[float, float]:
        n = float(state["sums"][:, 0].sum())
        return n, n

    def split_of(self, index: Tensor) -> Tensor:
        """Return the split ``(N,)`` of each sample; S for those that the assignment has no place for."""
        i = ordinal(index)
        if self.num_samples is None:
            return i % self.splits
        inside = i < self.num_samples
        if self.assignment == "shuffled":
            i = _places(self.num_samples, i.device)[i.clamp(max=self.num_samples - 1)]
        return torch.where(inside, ((i + 1) * self.splits - 1) // self.num_samples, self.splits)

    def counts(self, state: State) -> Tensor:
        """Return the samples of each split, float64 ``(S,)``."""
        return state["sums"][:-1, 0]

    def misplaced(self, state: State) -> Tensor:
        """Return the number of samples in no split, float64 ``()``."""
        return state["sums"][-1, 0]

    def negentropies(self, state: State) -> Tensor:
        """Return ``Σ p·log p`` of each split, nats, float64 ``(S,)``."""
        return state["sums"][:-1, 1]

    def probabilities(self, state: State) -> Tensor:
        """Return ``Σ p`` of each split, float64 ``(S, C)``."""
        return state["sums"][:-1, 2:]


@lru_cache(maxsize=8)
def _places(num_samples: int, device: torch.device) -> Tensor:
    """Return where the shuffle puts each sample: the inverse of the permutation."""
    return torch.from_numpy(np.argsort(np.random.RandomState(SHUFFLE_SEED).permutation(num_samples))).to(device)
