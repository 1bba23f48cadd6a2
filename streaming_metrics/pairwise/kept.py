"""Kept results: what is made of an object on a device once, and lives no longer than the object does."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

K = TypeVar("K")
V = TypeVar("V")


def kept_by_device(make: Callable[[K, torch.device], V]) -> Callable[[K, torch.device], V]:
    """Return ``make``, called once an object and device. Its results must not hold the object itself: they would keep
    it, and gigabytes of features with it.
    """
    kept: WeakKeyDictionary[K, dict[torch.device, V]] = WeakKeyDictionary()

    @wraps(make)
    def made(owner: K, device: torch.device) -> V:
        by_device = kept.setdefault(owner, {})
        if device not in by_device:
            by_device[device] = make(owner, device)
        return by_device[device]

    return made
