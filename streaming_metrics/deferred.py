"""Deferred checks of a batch: what a device has yet to say is asked once it has said it, so that nothing waits for it.

Work for a GPU is queued, and a host that asks for a value waits until the queue is empty. Within :func:`collecting`, a
check whose outcome is on a GPU is noted, and :class:`Answer` brings all outcomes over in one message; anywhere else,
and on the CPU, a check is made at once.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    Why: TypeAlias = Callable[[], Exception]


class Check(NamedTuple):
    """What must hold of a batch, bool ``()`` on a device, and what to raise where it does not."""

    holds: Tensor
    why: Why


_noted: ContextVar[list[Check] | None] = ContextVar("noted", default=None)


def is_away(tensor: Tensor) -> bool:
    """Return whether the host would wait for a tensor's values."""
    return tensor.device.type == "cuda"


@contextmanager
def collecting(checks: list[Check] | None) -> Iterator[None]:
    """Note the checks of a block in a list, those whose outcome is on a device; None makes all of them at once."""
    before = _noted.set(checks)
    try:
        yield
    finally:
        _noted.reset(before)


def is_deferred(tensor: Tensor) -> bool:
    """Return whether a check of a tensor would be noted, and not made here."""
    return _noted.get() is not None and is_away(tensor)


def require(holds: Tensor, why: Why) -> bool:
    """Raise what ``why`` returns unless a tensor ``()`` is true; return whether that is left for later.

    What is left for later keeps ``why``, and all that it holds, for as long: it must not hold what a caller may change.

    Example:
        >>> require(torch.tensor(True), lambda: ValueError("expected finite features"))
        False
    """
    noted = _noted.get()
    if noted is not None and is_away(holds):
        noted.append(Check(holds, why))
        return True
    if not holds:
        raise why()
    return False


@contextmanager
def retold(tell: Callable[[Exception], Exception]) -> Iterator[None]:
    """Tell the TypeErrors and ValueErrors of a block in other words, those of the checks that it leaves for later too.

    Args:
        tell: from an error to the one to raise.
    """
    noted, own = _noted.get(), []
    try:
        with collecting(None if noted is None else own):
            yield
    except (TypeError, ValueError) as error:
        told = tell(error)
        if told is error:
            raise
        raise told from error
    if noted is not None:
        noted += [Check(check.holds, lambda why=check.why: tell(why())) for check in own]


class Answer:
    """Answer of a device to the checks of a batch, on its way to the host.

    Args:
        checks: at least one.
    """

    def __init__(self, checks: Sequence[Check]) -> None:
        device = checks[0].holds.device
        held = torch.stack([check.holds.to(device, non_blocking=True) for check in checks])
        self._whys = [check.why for check in checks]
        self._stream = torch.cuda.current_stream(device)
        self._told = torch.empty(len(checks), dtype=torch.bool, device="cpu", pin_memory=True)
        self._told.copy_(held, non_blocking=True)
        self._came = self._stream.record_event()

    def refuse(self) -> None:
        """Wait for the device, and raise what is wrong with the batch."""
        self._came.synchronize()
        for held, why in zip(self._told.tolist(), self._whys):
            if not held:
                raise why()

    @contextmanager
    def in_order(self) -> Iterator[None]:
        """Queue the work of a block behind that of the batch, and what follows behind the block."""
        current = torch.cuda.current_stream(self._stream.device)
        with torch.cuda.stream(self._stream):
            yield
        if current != self._stream:
            current.wait_stream(self._stream)
