"""What can be seen to go wrong before it does: values out of date, logged twice, counted twice, sharded weights."""

from __future__ import annotations

from math import lcm
from numbers import Integral
from typing import TYPE_CHECKING, Any

from streaming_metrics.sampling import is_dealt

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

SHARDED = {"FSDPStrategy", "DeepSpeedStrategy", "ModelParallelStrategy"}


def refuse(condition: bool, message: str) -> None:
    """Raise ValueError where the condition holds."""
    if condition:
        raise ValueError(message)


def whole(**numbers: Any) -> list[int]:
    """Return integers, also what a configuration has as ``1e4``; raise ValueError, naming it, for any other number.

    Example:
        >>> whole(num_samples=1e4, batch_size="64")
        [10000, 64]
    """
    return [_whole(name, number) for name, number in numbers.items()]


def _whole(name: str, number: Any) -> int:
    if isinstance(number, Integral):
        return int(number)
    try:
        if (value := float(number)).is_integer():
            return int(value)
    except (TypeError, ValueError):
        pass
    raise ValueError(f"{name}: expected an integer, got {number!r}. Remedy: write it in digits alone.")


def refuse_twice(monitors: Iterable[Any]) -> None:
    """Raise ValueError where two monitors log under one key."""
    keys = [key for monitor in monitors for key in monitor.keys]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    refuse(bool(twice), f"Two monitors log {', '.join(twice)}. Remedy: give one of them another prefix=.")


def refuse_stale(
    callbacks: Iterable[Any], keys: Collection[str], every_n_epochs: int, check_val_every_n_epoch: int
) -> None:
    """Raise ValueError where a callback would act on a value of an earlier epoch.

    Args:
        callbacks: the trainer's.
        keys: what the monitor logs, once every ``every_n_epochs``.
        every_n_epochs: the monitor's period.
        check_val_every_n_epoch: the trainer's period of validation.
    """
    for callback in callbacks:
        period = lcm(getattr(callback, "every_n_epochs", 1) or 1, check_val_every_n_epoch)
        if getattr(callback, "monitor", None) in keys and period % every_n_epochs:
            raise ValueError(_stale(callback, every_n_epochs, period))


def refuse_non_finite(key: str, callbacks: Iterable[Any]) -> None:
    """Raise RuntimeError where a value that is not finite would decide over a checkpoint, a stop, a learning rate."""
    for callback in callbacks:
        if getattr(callback, "monitor", None) == key:
            raise RuntimeError(
                f"{key} is not finite, and {type(callback).__name__} decides by it. Remedy: see the generated images."
            )


def sharding_warning(strategy: Any) -> str | None:
    """Return what to say where ``sample`` would go around the wrapper that gathers a module's shards."""
    if SHARDED.isdisjoint(base.__name__ for base in type(strategy).__mro__):
        return None
    return (
        f"{type(strategy).__name__} shards the weights, and sample= goes around the wrapper that gathers them: it may "
        "fail or hang. Remedy: generate in validation_step, return the images, and give fake_key= their key."
    )


def repeats_warning(sampler: Any, world_size: int) -> str | None:
    """Return what to say where every rank reads the whole dataset."""
    if is_dealt(sampler, world_size):
        return None
    return (
        f"Every rank reads the whole dataset, so its images count {world_size} times. Remedy: leave "
        "Trainer(use_distributed_sampler=True), or use a DistributedSampler; ignore this where each rank has images of "
        "its own."
    )


def _stale(callback: Any, every_n_epochs: int, period: int) -> str:
    name = type(callback).__name__
    own = f"{name}(every_n_epochs={every_n_epochs}), or " if hasattr(callback, "every_n_epochs") else ""
    return (
        f"{name} acts on {callback.monitor!r} every {period} epoch(s), and GenerationMonitor computes it every "
        f"{every_n_epochs}: in between it would act on an old value. Remedy: {own}"
        f"Trainer(check_val_every_n_epoch={every_n_epochs}), or GenerationMonitor(every_n_epochs={period})."
    )
