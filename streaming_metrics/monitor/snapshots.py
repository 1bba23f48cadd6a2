"""Snapshots of a network: copies of its state in the host's memory, spread over a training, and run beside it."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from torch import Tensor, nn
from torch.func import functional_call

from streaming_metrics.images.batches import name_of
from streaming_metrics.images.forms import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

State: TypeAlias = "dict[str, Tensor]"


class Snapshots:
    """Snapshots of one network by step, at most ``keep`` of them: the first, the latest, and others evenly between.

    Args:
        keep: at most; 2 or more.

    Example:
        >>> snapshots = Snapshots(keep=3)
        >>> for step in range(10, 70, 10):
        ...     snapshots.take(step, nn.Linear(2, 1))
        >>> snapshots.steps
        (10, 30, 60)
    """

    def __init__(self, keep: int) -> None:
        self.keep = keep
        self._states: dict[int, State] = {}

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps of the snapshots."""
        return tuple(self._states)

    def take(self, step: int, network: nn.Module) -> None:
        """Copy a network's parameters and buffers, and let go of the snapshot that is missed least."""
        self._states[step] = {name: tensor.detach().to("cpu", copy=True) for name, tensor in _tensors(network).items()}
        while len(self._states) > self.keep:
            del self._states[least_missed(self.steps)]

    def run(self, step: int, network: nn.Module, device: torch.device) -> Callable[[Any], Any]:
        """Return the network as it was at a step, as a function; the network itself is not changed."""
        state = {name: tensor.to(device) for name, tensor in self._states[step].items()}
        return lambda given: functional_call(network, state, (given,))


def least_missed(steps: Sequence[int]) -> int:
    """Return the step between two others that are nearest to each other; the earliest of several, never an end.

    Example:
        >>> least_missed([0, 10, 12, 25])
        10
    """
    gaps = {steps[place]: steps[place + 1] - steps[place - 1] for place in range(1, len(steps) - 1)}
    return min(gaps, key=gaps.__getitem__)


def part_of(model: Any, found: str | Callable[[Any], Any], argument: str) -> nn.Module:
    """Return a part of a model.

    Args:
        model: in training.
        found: the name of its part, ``"generator"`` or ``"gan.generator"``, or a callable from the model.
        argument: names what was asked for in errors.

    Raises:
        ValueError: where there is no such module.
    """
    try:
        part = attrgetter(found)(model) if isinstance(found, str) else found(model)
    except AttributeError:
        part = None
    if not isinstance(part, nn.Module):
        raise ValueError(
            f"{argument}={name_of(found)}: Expected a module, a part of {type(model).__name__}, got {describe(part)}. "
            "Remedy: its name, or a function from the module to it."
        )
    return getattr(part, "_orig_mod", part)  # of torch.compile, whose graph holds the weights


def _tensors(network: nn.Module) -> State:
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}
