"""3x3 pooling: on a CPU, maxima of whole rows and columns; torch's pooling also notes where each maximum was."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d


def mean3x3(x: Tensor) -> Tensor:
    """Mean over 3x3 neighbours, the padding left out."""
    return avg_pool2d(x, kernel_size=3, stride=1, padding=1, count_include_pad=False)


def max3x3(x: Tensor) -> Tensor:
    """Maximum over 3x3 neighbours, the same bits everywhere.

    Example:
        >>> x = torch.randn(2, 5, 6, 7)
        >>> torch.equal(max3x3(x), max_pool2d(x, 3, stride=1, padding=1))
        True
    """
    if x.device.type != "cpu":
        return max_pool2d(x, kernel_size=3, stride=1, padding=1)
    return _with_neighbours(_with_neighbours(x, dim=2), dim=3)


def max3x3_of_half(x: Tensor) -> Tensor:
    """Maximum over 3x3 neighbours of every second pixel, without padding, of ``x`` that a ReLU left: not negative.

    bfloat16 that is not negative is in the order of its bits as whole numbers, which a CPU compares twice as fast.

    Example:
        >>> x = torch.randn(2, 5, 9, 8).relu().bfloat16()
        >>> torch.equal(max3x3_of_half(x), max_pool2d(x, 3, stride=2))
        True
    """
    if x.device.type != "cpu" or x.dtype != torch.bfloat16:
        return max_pool2d(x, kernel_size=3, stride=2)
    return _of_half(_of_half(x.view(torch.int16), dim=2), dim=3).view(x.dtype)


def _with_neighbours(x: Tensor, dim: int) -> Tensor:
    """Return the maximum of each slice of a dimension and of those beside it."""
    most, inner = x.clone(memory_format=torch.preserve_format), x.shape[dim] - 1
    for to, of in ((1, 0), (0, 1)):
        part = most.narrow(dim, to, inner)
        torch.maximum(part, x.narrow(dim, of, inner), out=part)
    return most


def _of_half(x: Tensor, dim: int) -> Tensor:
    """Return the maximum of every second slice of a dimension and of the two that follow, while there are two."""
    count = (x.shape[dim] - 3) // 2 + 1
    first, second, third = (x.narrow(dim, start, x.shape[dim] - start) for start in range(3))
    every = (*[slice(None)] * dim, slice(None, 2 * count - 1, 2))
    most = torch.maximum(first[every], second[every])
    return torch.maximum(most, third[every], out=most)
