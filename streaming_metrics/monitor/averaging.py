"""Averages of weights that have not begun: their score is that of the weights a training began with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.optim.swa_utils import AveragedModel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn


def idle_average_warning(callbacks: Iterable[Any], model: nn.Module) -> str | None:
    """Return what to say where a training's average of weights has not begun; None where it has, or there is none.

    Args:
        callbacks: the trainer's: Lightning's ``WeightAveraging`` and any other that holds an ``AveragedModel``.
        model: which may hold one itself.

    Example:
        >>> import torch
        >>> model = torch.nn.Module()
        >>> model.ema = AveragedModel(torch.nn.Linear(2, 2))
        >>> idle_average_warning([], model).split(":")[0]
        'Module.ema has averaged no weights yet'
        >>> model.ema.update_parameters(torch.nn.Linear(2, 2))
        >>> idle_average_warning([], model) is None
        True
    """
    kept = [(callback, value) for callback in callbacks for value in getattr(callback, "__dict__", {}).values()]
    held = [(type(callback).__name__, value) for callback, value in kept]
    held += [(f"{type(model).__name__}.{name}", module) for name, module in model.named_modules()]
    idle = sorted({name for name, value in held if isinstance(value, AveragedModel) and not int(value.n_averaged)})
    return _IDLE.format(", ".join(idle)) if idle else None


_IDLE = (
    "{} has averaged no weights yet: samples drawn with it are those of the weights that training began with. Remedy: "
    "begin averaging earlier, or measure later (every_n_epochs=); ignore this where nothing is drawn with it."
)
