"""Linear probe: a classifier whose score of each class is linear in the features."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from torch import Tensor

TIE = 1e-8
"""Share of their spread, and of 1, within which two scores tie: what rounding makes of equal ones."""


@dataclass(frozen=True, eq=False)
class LinearProbe:
    """Scores ``x·Wᵀ + b`` of classes; the class of the highest is predicted.

    Of classes whose scores are equal up to rounding, the first is predicted, so that batches, ranks and the order of
    samples do not decide.

    Args:
        weights: W, ``(C, D)`` float64.
        bias: b, ``(C,)`` float64.
        is_known: ``(C,)`` bool, which classes it has seen; the others are never predicted.

    Example:
        >>> import torch
        >>> weights, bias = torch.tensor([[-1.0], [1.0]]).double(), torch.zeros(2).double()
        >>> LinearProbe(weights, bias, torch.tensor([True, True])).predicted(torch.tensor([[-3.0], [0.0], [2.0]]))
        tensor([0, 0, 1])
    """

    weights: Tensor
    bias: Tensor
    is_known: Tensor

    def scores(self, rows: Tensor) -> Tensor:
        """Return the scores of rows ``(N, D)``, float64 ``(N, C)``; −∞ of classes that are not known."""
        weights, bias, is_known = (tensor.to(rows.device) for tensor in (self.weights, self.bias, self.is_known))
        return (rows.double() @ weights.T + bias).masked_fill(~is_known, -inf)

    def predicted(self, rows: Tensor) -> Tensor:
        """Return the classes of rows ``(N, D)``, int64 ``(N,)``."""
        return best(self.scores(rows))


def best(scores: Tensor) -> Tensor:
    """Return the class of the highest score of each row ``(N, C)``, int64 ``(N,)``: the first of those that tie."""
    highest = scores.max(1, keepdim=True).values
    lowest = scores.masked_fill(scores == -inf, inf).min(1, keepdim=True).values
    return (scores >= highest - TIE * (1 + highest - lowest)).int().argmax(1)
