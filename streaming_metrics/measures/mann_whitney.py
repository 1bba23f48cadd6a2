"""Mann and Whitney's U: in how many pairs the sample of one group is larger than that of the other.

H. B. Mann, D. R. Whitney, "On a test of whether one of two random variables is stochastically larger than the other",
Annals of Mathematical Statistics 1947.
"""

from __future__ import annotations

import torch
from torch import Tensor


def ranked(others: Tensor, tests: Tensor) -> Tensor:
    """Return how many others there are, and twice Mann and Whitney's U: of the pairs in which the other one is larger,
    those that are equal counted half; int64 ``(2,)``.

    Example:
        >>> ranked(torch.tensor([1.0, 2.0, 5.0]), torch.tensor([2.0, 3.0]))
        tensor([3, 5])
    """
    ordered = tests.sort().values
    below = torch.searchsorted(ordered, others) + torch.searchsorted(ordered, others, right=True)
    return torch.stack([torch.ones_like(below).sum(), below.sum()])


def z_score(u: Tensor, n: Tensor, m: Tensor) -> Tensor:
    """Return how many standard deviations U is from its mean, half a pair taken for the step."""
    return (u - n * m / 2 + 0.5) / (n * m * (n + m + 1) / 12).sqrt()
