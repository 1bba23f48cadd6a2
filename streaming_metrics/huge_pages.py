"""Memory in huge pages: on a CPU the first touch of each 4 KiB page costs more than writing it does."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

NUMPY = {torch.float32: np.float32, torch.float64: np.float64}


def fresh(like: Tensor, *shape: int) -> Tensor:
    """Return an uninitialised tensor of the dtype and on the device of ``like``, for what is large and written once.

    NumPy asks Linux for huge pages, which torch does not: filling a covariance of width 2048 takes a third of the time,
    a block of 896 rows a tenth.

    Example:
        >>> fresh(torch.zeros(1, dtype=torch.float64), 2, 3).shape
        torch.Size([2, 3])
    """
    if like.device.type != "cpu" or like.dtype not in NUMPY:
        return like.new_empty(shape)
    return torch.from_numpy(np.empty(shape, NUMPY[like.dtype]))
