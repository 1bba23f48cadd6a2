"""Arrival of a batch on its device: the copy of images that are in host memory runs beside the work that is queued."""

from __future__ import annotations

from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


@contextmanager
def arriving(pixels: Tensor, device: torch.device) -> Iterator[Tensor]:
    """Yield pixels on a device; at the end, the host's are no longer read, and may be written over.

    To a GPU they go on a stream of their own, so that the copy of one batch runs while the GPU is at the one before:
    on the stream of the work, it would wait for that.

    Args:
        pixels: on any device.
        device: where they are wanted.
    """
    if pixels.device.type != "cpu" or device.type != "cuda":
        yield pixels.to(device)
        return
    copies, work = _stream_of_copies(device), torch.cuda.current_stream(device)
    with torch.cuda.stream(copies):
        there = pixels.to(device, non_blocking=True)
    copied = copies.record_event()
    work.wait_event(copied)
    there.record_stream(work)
    yield there
    if pixels.is_pinned():  # others were read before the call returned
        copied.synchronize()


@lru_cache(maxsize=16)
def _stream_of_copies(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)
