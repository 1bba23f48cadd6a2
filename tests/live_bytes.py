"""How many bytes of tensors are alive at once."""

from __future__ import annotations

import weakref
from typing import Any
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts the storage of every tensor made inside; ``peak`` is the most that was alive at once."""

    def __init__(self) -> None:
        super().__init__()
        self._numpys = mock.patch.object(torch, "from_numpy", self._from_numpy)
        self.alive, self.peak, self._known = 0, 0, weakref.WeakKeyDictionary()

    def __enter__(self) -> LiveBytes:
        self._numpys.start()
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._numpys.stop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = {id(leaf.untyped_storage()) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)}
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, torch.Tensor) and leaf.device.type != "meta":
                self._see(leaf.untyped_storage(), before)
        return made

    def _from_numpy(self, array: Any, original: Any = torch.from_numpy) -> torch.Tensor:
        """Count what NumPy allocated: no operator makes it."""
        made = original(array)
        self._see(made.untyped_storage(), set())
        return made

    def _see(self, storage: Any, before: set[int]) -> None:
        if storage in self._known or id(storage) in before:
            return
        size = storage.nbytes()
        self._known[storage] = size
        self.alive += size
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self._forget, size)

    def _forget(self, size: int) -> None:
        self.alive -= size
