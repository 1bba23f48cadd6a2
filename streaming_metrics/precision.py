"""Float32 that is float32: no autocast, no TF32, no bfloat16 products behind the caller's back; either if asked."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def full_precision(device: torch.device, tf32: bool = False) -> Iterator[None]:
    """Run float32 products and convolutions in float32: autocast and TF32 move a score in its second decimal.

    Args:
        device: where autocast is switched off.
        tf32: let GPUs round the factors to 10 bits; elsewhere nothing changes.

    Example:
        >>> torch.set_float32_matmul_precision("medium")  # bfloat16 products where the hardware has them
        >>> wide, exact = torch.full((1, 4096), 1 + 2**-12), torch.ones(4096, 1)
        >>> with full_precision(torch.device("cpu")):
        ...     (wide @ exact).item()
        4097.0
        >>> torch.set_float32_matmul_precision("highest")
    """
    switches = _switches(tf32)
    before = _read(switches)
    for place, name, exact in switches:
        setattr(place, name, exact)
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for (place, name, _), value in zip(switches, before):
            setattr(place, name, value)


@contextmanager
def default_float32() -> Iterator[None]:
    """Make networks as they are made where nobody has set another default dtype: tables that they compute when they are
    made, and that no file holds, would be rounded to it.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


PRECISIONS = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}
"""What a network may run in; the signature says which."""


def autocast_to(precision: str, device: torch.device) -> torch.autocast:
    """Return a context in which convolutions and products take bfloat16 where ``precision`` is ``"bf16"``.

    Sums stay in float32 inside a product; what leaves one is rounded to 8 bits.
    """
    return torch.autocast(device.type, PRECISIONS[precision], enabled=PRECISIONS[precision] != torch.float32)


def has_fast_bfloat16(device: torch.device) -> bool:
    """Return whether the device multiplies bfloat16 matrices in hardware, adding in float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    named = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device.type == "cpu" and any(getattr(torch.cpu, name, bool)() for name in named)


def _read(switches: list[tuple[Any, str, Any]]) -> list[Any]:
    """Return switches as they must be written to be as they were: one of them holds two, and is read as its first."""
    found = []
    for place, name, _ in switches:
        value, second = getattr(place, name), f"{name}_split_k"
        found.append((value, getattr(place, second)) if hasattr(place, second) else value)
    return found


def _switches(tf32: bool = False) -> list[tuple[Any, str, Any]]:
    """Return where torch keeps its float32 precision, and what is wanted: one place a backend since torch 2.9."""
    backends: Any = torch.backends
    exact: list[tuple[Any, str, Any]] = [(backends.cuda.matmul, "allow_bf16_reduced_precision_reduction", False)]
    if hasattr(backends.cudnn, "conv"):
        cuda = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)
        cpu = (backends.mkldnn.matmul, backends.mkldnn.conv, backends.mkldnn.rnn)
        wanted = [(place, "fp32_precision", "tf32" if tf32 else "ieee") for place in cuda]
        return exact + wanted + [(place, "fp32_precision", "ieee") for place in cpu]
    return [*exact, (backends.cuda.matmul, "allow_tf32", tf32), (backends.cudnn, "allow_tf32", tf32)]
