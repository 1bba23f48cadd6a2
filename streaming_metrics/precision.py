"""Float32 that is float32: no autocast, no TF32, no bfloat16 products behind the caller's back."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Run float32 products in float32: autocast and TF32 move a score in its second decimal.

    Example:
        >>> import torch
        >>> torch.set_float32_matmul_precision("medium")
        >>> with full_precision(torch.device("cpu")):
        ...     torch.get_float32_matmul_precision()
        'highest'
        >>> torch.set_float32_matmul_precision("highest")
    """
    matmul, convolution = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.allow_tf32 = convolution
