"""Host reads: what would make the host wait for a GPU, counted on the CPU; and a device that answers late."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from streaming_metrics import deferred

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    import pytest

ASKS = torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape
SELECTIONS = torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default


class HostReads(TorchDispatchMode):
    """Counts how often a tensor's value, or a shape that depends on values, is asked for on the host.

    Args:
        spare_counts: whether a number of samples, or an id, which live on the CPU, may be read.
    """

    def __init__(self, spare_counts: bool = True) -> None:
        super().__init__()
        self.spare_counts, self.asked = spare_counts, []

    @property
    def count(self) -> int:
        return len(self.asked)

    def __enter__(self) -> Any:
        self._lists = Lists(self)
        self._lists.__enter__()
        return super().__enter__()

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        self._lists.__exit__(*raised)

    def note(self, func: Any, tensor: Tensor) -> None:
        if tensor.numel() > 0 and not (self.spare_counts and is_count(tensor)):
            self.asked.append(getattr(func, "__name__", str(func)))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        asks = selects(args) if func in SELECTIONS else any(tag in func.tags for tag in ASKS)
        if asks:
            self.note(func, args[0])
        return func(*args, **(kwargs or {}))


class Lists(TorchFunctionMode):
    """Notes what leaves a tensor, or becomes one on a device, by no operation that :class:`HostReads` would see."""

    def __init__(self, reads: HostReads) -> None:
        super().__init__()
        self.reads = reads

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (Tensor.tolist, Tensor.numpy, Tensor.cpu):
            self.reads.note(func, args[0])
        elif func in (torch.tensor, Tensor.new_tensor) and (kwargs or {}).get("device") != "cpu":
            self.reads.asked.append(func.__name__)
        return func(*args, **(kwargs or {}))


def selects(args: Any) -> bool:
    """Return whether rows are selected by a mask: how many there are is then read off it."""
    return any(isinstance(one, Tensor) and one.dtype in (torch.bool, torch.uint8) for one in args[1])


def is_count(tensor: Tensor) -> bool:
    """Return whether a tensor is a number of samples, or an id: those live on the CPU."""
    return tensor.dtype == torch.int64 and tensor.device.type == "cpu" and tensor.ndim == 0


class LateAnswer:
    """Answer of a device that has said nothing until it is waited for."""

    given: ClassVar[list[LateAnswer]] = []

    def __init__(self, checks: Sequence[deferred.Check]) -> None:
        self.checks, self.waits = list(checks), 0
        self.given.append(self)

    def refuse(self) -> None:
        self.waits += 1
        for check in self.checks:
            if not check.holds:
                raise check.why()

    def in_order(self) -> AbstractContextManager[None]:
        return nullcontext()


def answer_late(patch: pytest.MonkeyPatch) -> list[LateAnswer]:
    """Let all tensors be of a device that answers late; return its answers, the last one last."""
    patch.setattr(LateAnswer, "given", [])
    patch.setattr(deferred, "is_away", lambda _: True)
    patch.setattr(deferred, "Answer", LateAnswer)
    return LateAnswer.given
