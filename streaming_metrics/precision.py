"""Float32 that is float32: no autocast, no TF32, no bfloat16 products behind the caller's back."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Run float32 products and convolutions in float32: autocast and TF32 move a score in its second decimal.

    Example:
        >>> torch.set_float32_matmul_precision("medium")  # bfloat16 products where the hardware has them
        >>> wide, exact = torch.full((1, 4096), 1 + 2**-12), torch.ones(4096, 1)
        >>> with full_precision(torch.device("cpu")):
        ...     (wide @ exact).item()
        4097.0
        >>> torch.set_float32_matmul_precision("highest")
    """
    switches = _switches()
    before = [getattr(place, name) for place, name, _ in switches]
    for place, name, exact in switches:
        setattr(place, name, exact)
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for (place, name, _), value in zip(switches, before):
            setattr(place, name, value)


def _switches() -> list[tuple[Any, str, Any]]:
    """Return where torch keeps its float32 precision, and the exact setting: one per backend since torch 2.9."""
    backends: Any = torch.backends
    if hasattr(backends.cudnn, "conv"):
        cuda = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)
        cpu = (backends.mkldnn.matmul, backends.mkldnn.conv, backends.mkldnn.rnn)
        return [(place, "fp32_precision", "ieee") for place in (*cuda, *cpu)]
    return [(backends.cuda.matmul, "allow_tf32", False), (backends.cudnn, "allow_tf32", False)]
