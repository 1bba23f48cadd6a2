"""Finalists: the best few measured epochs of a training, whose weights are kept to be measured again at its end."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from streaming_metrics.plots.result_keys import number
from streaming_metrics.verdicts.paired import paired

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor, nn

    from streaming_metrics.verdicts.evidence import Evidence

    State = dict[str, Tensor]


class Finalist(NamedTuple):
    """Finalist: an epoch, its score of as many samples as it took, bias-corrected, and its weights on the CPU."""

    epoch: int
    value: float
    weights: State


class Finalists:
    """Finalists of a training.

    Args:
        most: how many are kept; 0 keeps no weights.

    Example:
        >>> import torch
        >>> finalists = Finalists(most=2)
        >>> for epoch, score in enumerate([3.0, 1.0, 2.0]):
        ...     finalists.take(torch.nn.Linear(2, 1))
        ...     finalists.keep(epoch, score, better="lower")
        >>> [finalist.epoch for finalist in finalists.kept]
        [1, 2]
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.kept: list[Finalist] = []
        self._latest: State = {}

    def take(self, module: nn.Module) -> None:
        """Copy the weights that an epoch is sampled with."""
        if self.most:
            self._latest = {name: tensor.detach().to("cpu", copy=True) for name, tensor in _tensors(module).items()}

    def keep(self, epoch: int, value: float, better: str) -> None:
        """Keep the weights that were taken last if their score, which must be a number, is among the best."""
        if self.most and isfinite(value):
            self.kept.append(Finalist(epoch, value, self._latest))
            self.kept.sort(key=lambda one: one.value, reverse=better == "higher")
            del self.kept[self.most :]
        self._latest = {}


@contextmanager
def weights_of(module: nn.Module, weights: State) -> Iterator[None]:
    """Have a module hold other weights and buffers inside, and bit by bit its own afterwards.

    A buffer that cannot take its old values, since it has grown or is an inference tensor, is stood in for.
    """
    with ExitStack() as put_back:
        for name, tensor in _tensors(module).items():
            if name in weights:
                put_back.callback(_put(module, name, tensor, weights[name]))
        yield


def table(key: str, num_samples: int, found: Sequence[tuple[int, Evidence]], alpha: float) -> str:
    """Return a line for each finalist that was measured again, the best first, each compared with the best.

    Args:
        key: of the score.
        num_samples: of each.
        found: epochs and the evidence of their scores, of the same new seeds.
        alpha: of the intervals.
    """
    sign = -1 if found[0][1].better == "higher" else 1
    ranked = sorted(found, key=lambda one: sign * one[1].value)
    best = ranked[0][1]
    lines = [f"{key} of {num_samples:,} other images each, of the same new seeds, bias-corrected:"]
    for epoch, evidence in ranked:
        line = f"epoch {epoch}: {number(evidence.value)}"
        if evidence is not best:
            apart = paired(evidence, best, alpha)
            ends = f"from {number(apart.low)} to {number(apart.high)}"
            line += f" ({number(apart.difference)} to the first, {ends}: {apart.verdict()})"
        lines.append(line)
    return "\n".join(lines)


def _put(module: nn.Module, name: str, tensor: Tensor, values: Tensor) -> Callable[[], object]:
    """Put values in a tensor's place, and return what puts its own back."""
    path, _, last = name.rpartition(".")
    buffers = module.get_submodule(path)._buffers
    if last in buffers and (tensor.is_inference() or tensor.shape != values.shape):
        buffers[last] = values.to(tensor.device, copy=True)
        return lambda: buffers.update({last: tensor})
    own = tensor.detach().to("cpu", copy=True)
    tensor.data.copy_(values)
    return lambda: tensor.data.copy_(own)


def _tensors(module: nn.Module) -> State:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}
