"""Isolation of a training: modes, buffers, gradients and generators, which drawing and reading images may change."""

from __future__ import annotations

import random
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from streaming_metrics.sampling import isolated_rng

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

LARGE = 64 * 2**20
"""Bytes of a buffer from which on its copy waits in the host's memory."""
GENERATORS = torch.Generator | np.random.Generator | np.random.BitGenerator | np.random.RandomState | random.Random
MANY = 64
"""Longer lists are data: no generators are looked for in them."""


@contextmanager
def isolated() -> Iterator[None]:
    """Leave no trace: no randomness used up, no gradients, no inference tensors, which training could not use."""
    with isolated_rng(), torch.inference_mode(False), torch.no_grad():
        yield


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Be in evaluation mode inside, and afterwards in whatever mode each part was."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


@contextmanager
def untouched(*owners: Any, seed: int | None = None) -> Iterator[None]:
    """Leave modules and generators as they were, whatever is done inside: sampling that trains nothing.

    Training flags, ``requires_grad``, gradients and buffers (batch statistics, counters of an EMA) of modules are put
    back, and the states of the generators (torch's, NumPy's, Python's) that they hold. A buffer that was given another
    shape stays: it is a cache that has grown.

    Args:
        owners: modules, callables, dataloaders, datasets, anything that may hold them.
        seed: of the generators inside; None lets them go on from where they are.

    Example:
        >>> norm = nn.BatchNorm2d(3).eval()
        >>> with untouched(norm):
        ...     _ = norm.train()(torch.rand(2, 3, 4, 4))
        >>> norm.training, norm.num_batches_tracked.item()
        (False, 0)
    """
    reached = list(_reachable(owners))
    modules = [owner for owner in reached if isinstance(owner, nn.Module)]
    flags = [(module, module.training) for module in modules]
    buffers = [_Kept(module, name, buffer) for module in modules for name, buffer in _buffers(module)]
    parameters = [(p, p.requires_grad, p.grad) for module in modules for p in module.parameters(recurse=False)]
    generators = _generators(reached)
    states = [generator.get() for generator in generators]
    try:
        for parameter, _, grad in parameters:
            if grad is not None:
                parameter.grad = None
        if seed is not None:
            for generator in generators:
                generator.seed(seed)
        yield
    finally:
        for generator, state in zip(generators, states):
            generator.set(state)
        for buffer in buffers:
            buffer.put_back()
        for parameter, requires_grad, grad in parameters:
            if parameter.requires_grad is not requires_grad:
                parameter.requires_grad_(requires_grad)
            if parameter.grad is not grad:
                parameter.grad = grad
        for module, flag in flags:
            if module.training is not flag:
                module.training = flag


class _Kept:
    """A buffer's tensor and its values."""

    def __init__(self, module: nn.Module, name: str, tensor: Tensor) -> None:
        self.module, self.name, self.tensor = module, name, tensor
        is_large = tensor.nbytes > LARGE
        self.values = tensor.detach().to("cpu", copy=True) if is_large else tensor.detach().clone()

    def put_back(self) -> None:
        now = self.module._buffers.get(self.name)
        if now is None or _kind(now) != _kind(self.tensor):
            return
        if self.tensor.is_inference():
            with torch.inference_mode():
                self.tensor.copy_(self.values)
        else:
            self.tensor.data.copy_(self.values)
        self.module._buffers[self.name] = self.tensor


class _Handle(NamedTuple):
    """Access to a generator: reads and writes its state, and seeds it."""

    get: Callable[[], Any]
    set: Callable[[Any], Any]
    seed: Callable[[int], Any]


def _generators(owners: Iterable[Any]) -> list[_Handle]:
    """Return the generators that objects are or hold, in their short lists and dicts too, each once."""
    found = {}
    for owner in owners:
        for value in [owner, *_attributes(owner).values()]:
            several = isinstance(value, list | tuple | dict) and len(value) <= MANY
            for one in (value.values() if isinstance(value, dict) else value) if several else [value]:
                if isinstance(one, GENERATORS):
                    found[id(one)] = _handle_of(one)
    return list(found.values())


def _handle_of(value: Any) -> _Handle:
    if isinstance(value, torch.Generator):
        return _Handle(value.get_state, value.set_state, value.manual_seed)
    if isinstance(value, np.random.Generator):
        return _handle_of(value.bit_generator)
    if isinstance(value, np.random.BitGenerator):
        return _Handle(lambda: value.state, partial(setattr, value, "state"), partial(_seed_bits, value))
    if isinstance(value, np.random.RandomState):
        return _Handle(value.get_state, value.set_state, lambda seed: value.seed(seed % 2**32))
    if isinstance(value, random.SystemRandom):  # has no state, and its draws are no part of a training's
        return _Handle(lambda: None, lambda state: None, lambda seed: None)  # noqa: ARG005
    return _Handle(value.getstate, value.setstate, value.seed)


def _seed_bits(bits: np.random.BitGenerator, seed: int) -> None:
    bits.state = type(bits)(seed).state


def _reachable(owners: Iterable[Any]) -> Iterator[Any]:
    """Yield objects and what they are made of: submodules, what a callable holds, a loader's samplers and datasets."""
    waiting, seen = list(owners), set()
    while waiting:
        owner = waiting.pop()
        if owner is not None and id(owner) not in seen:
            seen.add(id(owner))
            yield owner
            waiting.extend(_parts(owner))


def _parts(owner: Any) -> Iterator[Any]:
    if isinstance(owner, nn.Module):
        yield from owner.children()
    elif isinstance(owner, partial):
        yield from (owner.func, *owner.args, *owner.keywords.values())
    elif not isinstance(owner, Tensor):
        yield from (getattr(owner, name, None) for name in _PARTS)
        several = getattr(owner, "datasets", None)
        yield from several if isinstance(several, list | tuple) else ()
    for cell in getattr(owner, "__closure__", None) or ():
        with suppress(ValueError):  # a cell that is still empty
            if isinstance(cell.cell_contents, nn.Module | GENERATORS):
                yield cell.cell_contents


def _attributes(owner: Any) -> dict[str, Any]:
    """Return an object's own attributes, without those that every module has."""
    return {name: value for name, value in (getattr(owner, "__dict__", None) or {}).items() if name not in _OF_MODULES}


def _buffers(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, buffer in module._buffers.items():
        if buffer is not None and not buffer.is_meta and not nn.parameter.is_lazy(buffer):
            yield name, buffer


def _kind(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.shape, tensor.dtype, tensor.device


_PARTS = ("__self__", "sampler", "batch_sampler", "dataset", "transform")
_OF_MODULES = frozenset(vars(nn.Module()))
