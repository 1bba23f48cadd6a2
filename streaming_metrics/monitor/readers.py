"""Readers of logged values: the callbacks and schedulers that decide by one, and what each may act on.

A value belongs to one step. A reader that acts at another step would save, stop or slow down by a value of other
weights; here that is found before the training, by going through its timeline.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from math import lcm
from typing import TYPE_CHECKING, Any, Literal

from streaming_metrics.monitor.clock import MOST_MOMENTS, At, Clock, Moment, Timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping


@dataclass(frozen=True)
class Reader:
    """Reader of a logged value: a callback or scheduler that acts on it.

    Args:
        name: what it is, for errors.
        key: of the value.
        acts: whether it does so at a moment.
        remedy: by clock, how it would act on values of its own step.
        if_missing: what it does while there is no value: it ``"acts"``, that is fails, or names a file by a zero;
            ``"skips"``; or ``"defers"`` to the next validation.
        steps, batches: the period of its acts, if it is one of optimizer steps or of batches.
    """

    name: str
    key: str
    acts: Callable[[Moment], bool]
    remedy: Mapping[At, str]
    if_missing: Literal["acts", "skips", "defers"] = "acts"
    steps: int = 0
    batches: int = 0


def refuse_old_values(readers: Iterable[Reader], clock: Clock, timeline: Timeline) -> None:
    """Raise ValueError where a reader would act on a value of another step.

    Args:
        readers: of what a monitor logs.
        clock: when it does.
        timeline: of the training.
    """
    for reader in readers:
        found = first_old_value(reader, clock, timeline)
        if found:
            moment, measured = found
            latest = "there is none yet" if measured is None else f"the latest is of step {measured}"
            raise ValueError(
                f"{reader.name} acts on {reader.key!r} in epoch {moment.epoch} at step {moment.step}, when {latest}: "
                f"GenerationMonitor measures {clock}, and it would act on an old value. Remedy: "
                f"{reader.remedy[clock.at]}."
            )


def first_old_value(reader: Reader, clock: Clock, timeline: Timeline) -> tuple[Moment, int | None] | None:
    """Return when a reader first acts on a value of another step, and the step of that; None where it never does.

    One that does not act at all in a training is followed beyond its end.
    """
    measured, is_deferred, has_acted = None, False, False
    for moment in _moments(clock, timeline, reader):
        if clock.is_due(moment):
            measured = moment.step
        acts = reader.acts(moment)
        if acts and measured is None and reader.if_missing != "acts":
            acts, is_deferred = False, reader.if_missing == "defers"
        elif is_deferred and moment.at is At.VALIDATION:
            acts = True
        if acts and measured != moment.step:
            return moment, measured
        is_deferred, has_acted = is_deferred and not acts, has_acted or acts
    return None if has_acted or timeline.is_endless else first_old_value(reader, clock, timeline.continued())


def is_ever_due(clock: Clock, timeline: Timeline) -> bool:
    """Return whether a training measures at all, as far as can be known before it."""
    seen = 0
    for seen, moment in enumerate(_moments(clock, timeline), 1):  # noqa: B007
        if clock.is_due(moment):
            return True
    goes_by_steps = clock.at is At.BATCH or timeline.max_steps >= 0
    is_certain = timeline.is_certain and (timeline.are_steps_certain or not goes_by_steps)
    return seen == MOST_MOMENTS or not is_certain


def readers_of(trainer: Any, keys: Collection[str], clock: Clock, timeline: Timeline) -> list[Reader]:
    """Return which of a trainer's callbacks and schedulers act on one of the keys.

    Args:
        trainer: Lightning's, at the start of training; what it holds is known by its attributes.
        keys: of logged values.
        clock: of the monitor.
        timeline: of the training.
    """
    found = [_reader(callback, keys, clock, timeline, trainer) for callback in trainer.callbacks]
    if trainer.lightning_module.automatic_optimization:  # else no scheduler is stepped but by the module itself
        plateaus = [config for config in trainer.lr_scheduler_configs if config.reduce_on_plateau]
        found += [_plateau(config, clock, timeline) for config in plateaus if config.monitor in keys]
    return [reader for reader in found if reader]


def refuse_test_keys(deciding: Iterable[Any], keys: Mapping[str, str]) -> None:
    """Raise ValueError where something is to decide in a training by what tests alone log.

    Args:
        deciding: callbacks and configurations of schedulers.
        keys: of values of a test, each with that of a validation.
    """
    for one in deciding:
        for key, meant in keys.items():
            if getattr(one, "monitor", None) == key != meant:
                name = type(getattr(one, "scheduler", one)).__name__
                raise ValueError(f"{name} monitors {key!r}, which trainer.test() alone logs. Remedy: {meant!r}.")


def _reader(callback: Any, keys: Collection[str], clock: Clock, timeline: Timeline, trainer: Any) -> Reader | None:
    monitored = getattr(callback, "monitor", None)
    if hasattr(callback, "_should_save_on_train_epoch_end"):
        named = [key for key in keys if f"{{{key}" in (callback.filename or "")]
        key = monitored if monitored in keys else next(iter(named), None)
        return _checkpoint(callback, key, clock, timeline, trainer) if key and callback.save_top_k else None
    if monitored not in keys:
        return None
    return _stopping(callback, clock) if hasattr(callback, "_check_on_train_epoch_end") else _other(callback, clock)


def _checkpoint(callback: Any, key: str, clock: Clock, timeline: Timeline, trainer: Any) -> Reader:
    """Return what a ``ModelCheckpoint`` does, by its value or in the name of its file."""
    at_epoch = callback._should_save_on_train_epoch_end(trainer)
    epochs, steps = callback._every_n_epochs, callback._every_n_train_steps
    is_automatic = trainer.lightning_module.automatic_optimization
    by_time = callback._train_time_interval is not None and is_automatic
    can_defer = hasattr(callback, "_defer_save_until_validation")  # since Lightning 2.5.6
    # At the last batch of an epoch with validations it leaves the saving to the next of them.
    is_valued = callback.monitor is not None and is_automatic
    defers = can_defer and is_valued and not at_epoch and timeline.validate_batches > 0

    def acts_in_epoch(moment: Moment) -> bool:
        is_hit = by_time or (steps > 0 and moment.step % steps == 0)
        is_deferred = defers and moment.is_last and (moment.epoch + 1) % (timeline.validate_epochs or 1) == 0
        return is_hit and moment.at is (At.VALIDATION if is_deferred else At.BATCH)

    def acts_at_end(moment: Moment) -> bool:
        if moment.at is At.EPOCH and not moment.is_last and epochs == callback.save_top_k == 1:
            return False  # all values have been seen, and none is better than itself
        return moment.at is (At.EPOCH if at_epoch else At.VALIDATION) and (moment.epoch + 1) % epochs == 0

    name, n = type(callback).__name__, _epochs_between(clock, timeline)
    return Reader(
        name,
        key,
        acts_at_end if epochs else acts_in_epoch,
        {
            At.BATCH: f"{name}(every_n_train_steps={n})",
            At.VALIDATION: f"{name}(every_n_epochs={n}), with save_on_train_epoch_end=False where validations come "
            "inside an epoch",
            At.EPOCH: f"{name}(every_n_epochs={n})"
            + (f", or GenerationMonitor(every_n_train_steps={steps})" if steps else ""),
        },
        if_missing="acts" if callback.monitor is None or epochs else "defers" if can_defer else "skips",
        steps=steps,
        batches=int(by_time),
    )


def _stopping(callback: Any, clock: Clock) -> Reader:
    """Return what an ``EarlyStopping`` does."""
    at = At.EPOCH if callback._check_on_train_epoch_end else At.VALIDATION
    name, n = type(callback).__name__, clock.every
    return Reader(
        name,
        callback.monitor,
        lambda moment: moment.at is at and (at is At.VALIDATION or moment.is_last),  # a cut epoch ends it all the same
        {
            At.BATCH: _NOT_BY_STEPS.format(name),
            At.VALIDATION: f"{name}(check_on_train_epoch_end=False) with Trainer(check_val_every_n_epoch={n}), or "
            "GenerationMonitor(every_n_epochs=1)",
            At.EPOCH: "GenerationMonitor(every_n_epochs=1)",
        },
    )


def _other(callback: Any, clock: Clock) -> Reader:
    """Return what any other callback with a ``monitor`` is taken to do: act at the end of every n-th epoch."""
    at = At.VALIDATION if clock.at is At.VALIDATION else At.EPOCH
    epochs, name, n = getattr(callback, "every_n_epochs", None) or 1, type(callback).__name__, clock.every
    own = f"{name}(every_n_epochs={n}), or " if hasattr(callback, "every_n_epochs") else ""
    return Reader(
        name,
        callback.monitor,
        lambda moment: moment.at is at and (moment.epoch + 1) % epochs == 0,
        {
            At.BATCH: _NOT_BY_STEPS.format(name),
            At.VALIDATION: f"{own}Trainer(check_val_every_n_epoch={n}), or GenerationMonitor(every_n_epochs={epochs})",
            At.EPOCH: f"{own}GenerationMonitor(every_n_epochs={epochs})",
        },
    )


def _plateau(config: Any, clock: Clock, timeline: Timeline) -> Reader:
    """Return what Lightning does with a ``ReduceLROnPlateau``."""
    every, by_steps = config.frequency, config.interval == "step"

    def acts(moment: Moment) -> bool:
        if by_steps:
            return moment.at is At.BATCH_DONE and moment.batch % every == 0 and moment.step > moment.before
        return moment.at is At.EPOCH_DONE and (moment.epoch + 1) % every == 0

    name = type(config.scheduler).__name__
    by_epoch = f'"interval": "epoch", "frequency": {_epochs_between(clock, timeline)} in the configuration of {name}'
    return Reader(
        name,
        config.monitor,
        acts,
        {
            At.BATCH: _NOT_BY_STEPS.format(name),
            At.VALIDATION: f'{by_epoch} where validation ends an epoch; else "interval": "step" with "frequency": '
            "Trainer(val_check_interval=…)",
            At.EPOCH: by_epoch,
        },
        if_missing="acts" if config.strict else "skips",
        batches=every if by_steps else 0,
    )


def _epochs_between(clock: Clock, timeline: Timeline) -> int:
    """Return the epochs from one measurement to the next, some of which may have no validation; steps by steps."""
    return lcm(clock.every, timeline.validate_epochs or 1) if clock.at is At.VALIDATION else clock.every


def _moments(clock: Clock, timeline: Timeline, reader: Reader | None = None) -> Iterator[Moment]:
    steps = {clock.every if clock.at is At.BATCH else 0, reader.steps if reader else 0} - {0}
    batches = {reader.batches if reader else 0} - {0}
    return islice(timeline.moments(steps, batches), MOST_MOMENTS)


_NOT_BY_STEPS = (
    "{} cannot act by steps: measure at validation instead, with Trainer(val_check_interval=…) and without "
    "every_n_train_steps="
)
