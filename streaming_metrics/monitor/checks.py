"""Checks of what can be seen to go wrong before it does: nothing measured, logged twice, sharded weights."""

from __future__ import annotations

from math import inf, isfinite
from numbers import Integral
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

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


def refuse_train_steps(every_n_train_steps: int | None, every_n_epochs: int, takes_batches: bool) -> None:
    """Raise ValueError where training steps can be no clock.

    Args:
        every_n_train_steps: steps from one measurement to the next; None for another clock.
        every_n_epochs: the other clock, left at 1 if at all.
        takes_batches: whether images come from validation batches.
    """
    if every_n_train_steps is None:
        return
    refuse(every_n_train_steps < 1, "every_n_train_steps must be ≥ 1.")
    refuse(every_n_epochs != 1, "every_n_epochs= and every_n_train_steps=: expected one of them, got both.")
    refuse(
        takes_batches,
        "every_n_train_steps= measures inside training, where there are no validation batches: expected real= a "
        'reference file or a DataLoader, and sample= a function of n, got real="val", fake_key= or a sample with a '
        "parameter `batch`. Remedy: give those, or measure at validation, with Trainer(val_check_interval=n) and "
        "without every_n_train_steps=.",
    )


def refuse_unvalidated(real_is_val: bool, is_paired: bool, trainer: Any) -> None:
    """Raise ValueError where there is no validation loop and the images can come from nowhere else.

    Args:
        real_is_val: whether the real images are the validation images.
        is_paired: whether generated images come batch by batch.
        trainer: what trains without validation.
    """
    given = 'real="val"' if real_is_val else "fake_key=, or a sample with a parameter `batch`,"
    refuse(
        real_is_val or is_paired,
        f"Nothing would ever be measured: {given} takes images from validation batches, and this training has no "
        f"validation: {_why_unvalidated(trainer)}. Remedy: give what is missing; or real= a reference file or a "
        "DataLoader, and sample= a function of n, to measure at the end of every epoch, or every_n_train_steps, "
        "without a validation.",
    )


def refuse_never(clock: Any, trainer: Any) -> None:
    """Raise ValueError, as a training would end before it is first measured."""
    ends = {"max_epochs": trainer.max_epochs, "max_steps": trainer.max_steps}
    given = ", ".join(f"{name}={value}" for name, value in ends.items() if value not in (None, -1))
    raise ValueError(
        f"Nothing would ever be measured: GenerationMonitor measures {clock}, and Trainer({given}) ends before. "
        "Remedy: a smaller every_n_epochs, every_n_train_steps or val_check_interval, or a longer training."
    )


def refuse_non_finite(key: str, callbacks: Iterable[Any]) -> None:
    """Raise RuntimeError where a value that is not finite would decide over a checkpoint, a stop, a learning rate."""
    for callback in callbacks:
        if getattr(callback, "monitor", None) == key:
            raise RuntimeError(
                f"{key} is not finite, and {type(callback).__name__} decides by it. Remedy: see the generated images."
            )


def refuse_undecided(deciding: Iterable[Any], keys: Container[str], decided: str) -> None:
    """Raise ValueError where something is to decide by values that an early stop leaves of fewer samples.

    Args:
        deciding: callbacks and configurations of schedulers.
        keys: of values of as many samples as a verdict took, and of what a verdict was.
        decided: the key of the value that changes on a verdict alone.
    """
    for one in deciding:
        if (key := str(getattr(one, "monitor", ""))) in keys:
            raise ValueError(
                f"{type(getattr(one, 'scheduler', one)).__name__} monitors {key!r}, which with decide= is of "
                "one verdict or of as many samples as it took, and does not compare from epoch to epoch. "
                f"Remedy: {decided!r}."
            )


def sharding_warning(strategy: Any) -> str | None:
    """Return what to say where ``sample`` would go around the wrapper that gathers a module's shards."""
    if SHARDED.isdisjoint(base.__name__ for base in type(strategy).__mro__):
        return None
    return (
        f"{type(strategy).__name__} shards the weights, and sample= goes around the wrapper that gathers them: it may "
        "fail or hang. Remedy: generate in validation_step, return the images, and give fake_key= their key."
    )


def shortfall_warning(num_samples: int, measured: int) -> str | None:
    """Return what to say where validation batches gave fewer generated images than were asked for."""
    if measured >= num_samples:
        return None
    return (
        f"num_samples={num_samples}, and the validation batches gave {measured} generated images: scores are of "
        f"{measured}. Remedy: num_samples={measured}, or more validation images."
    )


def averaging_warning(callbacks: Iterable[Any]) -> str | None:
    """Return what to say where averaged weights, which Lightning swaps in for validations, are not what is measured."""
    if not any(base.__name__ == "WeightAveraging" for one in callbacks for base in type(one).__mro__):
        return None
    return (
        "WeightAveraging swaps its weights in for validations alone, and GenerationMonitor measures outside of them: "
        "the raw weights. Remedy: a validation loop without every_n_train_steps=, or weights_context=."
    )


def endless_warning(trainer: Any) -> str | None:
    """Return what to say where validation waits for the end of a stream, and steps alone end the training."""
    if isfinite(trainer.num_training_batches) or trainer.val_check_batch != inf or trainer.max_epochs not in (None, -1):
        return None
    return (
        f"GenerationMonitor measures at validation, which comes when the training data end: if they do not within "
        f"Trainer(max_steps={trainer.max_steps}), nothing is measured. Remedy: Trainer(val_check_interval=n)."
    )


def unmeasured_warning() -> str:
    """Return what to say where a training ended without a measurement, which could not be known before."""
    return (
        "GenerationMonitor measured nothing in this training: no validation came, or none in an epoch that was due. "
        "Remedy: Trainer(val_check_interval=n) where an epoch never ends, or every_n_train_steps= with real= a "
        "reference file or a DataLoader."
    )


def _why_unvalidated(trainer: Any) -> str:
    if trainer.limit_val_batches == 0:
        return "limit_val_batches=0"
    if trainer.enable_validation:
        return "its dataloader has no batch"
    return f"{type(trainer.lightning_module).__name__} has no validation_step, or there is no validation dataloader"
