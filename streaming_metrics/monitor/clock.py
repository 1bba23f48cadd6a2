"""Clock and timeline: when a monitor measures, and what a training does from its first batch to its last."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from itertools import count, islice
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

UNKNOWN_LENGTH = 9973  # batches of a stream's epoch: a prime, so that no period of steps is taken to end with it
UNKNOWN_INTERVAL = 7  # batches between validations that go by the hour
MOST_MOMENTS, MOST_BATCHES = 20_000, 500


class At(Enum):
    """Events at a batch, in the order in which they happen."""

    BATCH = "the end of a training batch"
    VALIDATION = "the end of a validation"
    BATCH_DONE = "a step of a scheduler"
    EPOCH = "the end of a training epoch"
    EPOCH_DONE = "an epoch's step of a scheduler"


class Moment(NamedTuple):
    """Point of a training at which something happens.

    Args:
        at: what happens.
        epoch: from 0.
        step: optimizer steps so far; of every optimizer, as Lightning counts.
        before: optimizer steps before this batch.
        batch: of the epoch, from 1.
        is_last: whether that batch is the epoch's last; an epoch that ``max_steps`` cuts off has none.
    """

    at: At
    epoch: int
    step: int
    before: int
    batch: int = 0
    is_last: bool = False


@dataclass(frozen=True)
class Clock:
    """Clock of a monitor: says when it measures; one of three rules a training.

    Every n training steps if those are given; else every n epochs, at their validations, or where there are none at the
    end of the training epoch.

    Args:
        at: ``At.BATCH``, ``At.VALIDATION`` or ``At.EPOCH``.
        every: steps or epochs from one measurement to the next.

    Example:
        >>> clock = Clock.of(every_n_epochs=2, every_n_train_steps=None, has_validation=False)
        >>> clock.is_due(Moment(At.EPOCH, epoch=1, step=10, before=9)), str(clock)
        (True, 'every 2 epochs, at the end of a training epoch')
    """

    at: At = At.VALIDATION
    every: int = 1

    @classmethod
    def of(cls, every_n_epochs: int, every_n_train_steps: int | None, has_validation: bool) -> Clock:
        """Return the clock that rules."""
        if every_n_train_steps is not None:
            return cls(At.BATCH, every_n_train_steps)
        return cls(At.VALIDATION if has_validation else At.EPOCH, every_n_epochs)

    def is_due(self, moment: Moment) -> bool:
        """Return whether to measure."""
        if moment.at is not self.at:
            return False
        if self.at is At.BATCH:  # several optimizers may step over a multiple
            return moment.step // self.every > moment.before // self.every
        return (moment.epoch + 1) % self.every == 0

    def __str__(self) -> str:
        unit = "training step" if self.at is At.BATCH else "epoch"
        often = f"every {unit}" if self.every == 1 else f"every {self.every} {unit}s"
        return f"{often}, at {self.at.value}"


@dataclass(frozen=True)
class Timeline:
    """Timeline of a training: what it does, batch by batch, as Lightning's loops do it.

    Args:
        batches: of an epoch.
        accumulate: batches for an optimizer step.
        steps_per_batch: optimizers that step.
        max_epochs, max_steps: where it ends; -1 for never.
        validate_batches: batches from one validation to the next; 0 for none.
        validate_epochs: epochs from one with validations to the next; None where batches are counted across epochs.
        is_certain: whether the length of an epoch and the moments of validation are known.
        are_steps_certain: whether the optimizer steps of a batch are known: not where the module steps by itself.

    Example:
        >>> two = Timeline(batches=2, max_epochs=1, validate_batches=2)
        >>> [(moment.at.name, moment.step) for moment in two.moments()]
        [('BATCH', 2), ('VALIDATION', 2), ('BATCH_DONE', 2), ('EPOCH', 2), ('EPOCH_DONE', 2)]
    """

    batches: int
    accumulate: int = 1
    steps_per_batch: int = 1
    max_epochs: int = -1
    max_steps: int = -1
    validate_batches: int = 0
    validate_epochs: int | None = 1
    is_certain: bool = True
    are_steps_certain: bool = True

    @classmethod
    def of(cls, trainer: Any, has_validation: bool) -> Timeline:
        """Return that of a Lightning trainer, at the start of training."""
        is_sized, by_time = isfinite(trainer.num_training_batches), trainer.val_check_batch is None
        batches = int(trainer.num_training_batches) if is_sized else UNKNOWN_LENGTH
        interval = UNKNOWN_INTERVAL if by_time else int(min(trainer.val_check_batch, batches))
        if not by_time and trainer.check_val_every_n_epoch is None:
            interval = int(trainer.val_check_batch)
        is_automatic = trainer.lightning_module.automatic_optimization
        return cls(
            batches,
            trainer.accumulate_grad_batches if is_automatic else 1,
            1 if is_automatic else max(1, len(trainer.optimizers)),
            -1 if trainer.max_epochs is None else trainer.max_epochs,
            trainer.max_steps if is_sized else -1,
            interval if has_validation else 0,
            None if by_time else trainer.check_val_every_n_epoch,
            is_sized and not by_time,
            is_automatic,
        )

    @property
    def is_endless(self) -> bool:
        """Whether nothing ends it."""
        return self.max_epochs == self.max_steps == -1

    def continued(self) -> Timeline:
        """Return it without an end."""
        return replace(self, max_epochs=-1, max_steps=-1)

    def validates(self, epoch: int, batch: int) -> bool:
        """Return whether there is a validation after a batch, counted from 1, of an epoch."""
        if not self.validate_batches:
            return False
        if self.validate_epochs is None:
            return (epoch * self.batches + batch) % self.validate_batches == 0
        return (epoch + 1) % self.validate_epochs == 0 and batch % self.validate_batches == 0

    def moments(self, steps: Collection[int] = (), batches: Collection[int] = ()) -> Iterator[Moment]:
        """Yield what happens, in order, at validations, ends of epochs, and at multiples of the given periods.

        Args:
            steps: periods in optimizer steps.
            batches: periods in batches of an epoch.
        """
        start = 0
        for epoch in count() if self.max_epochs < 0 else range(self.max_epochs):
            if 0 <= self.max_steps <= start:
                return
            end = moment = None
            for batch in self._eventful(epoch, start, steps, batches):
                step, before = start + self._steps(batch), start + self._steps(batch - 1)
                end, moment = batch == self.batches, (epoch, step, before, batch, batch == self.batches)
                yield Moment(At.BATCH, *moment)
                if self.validates(epoch, batch):
                    yield Moment(At.VALIDATION, *moment)
                yield Moment(At.BATCH_DONE, *moment)
            assert moment is not None
            yield Moment(At.EPOCH, *moment)
            if end:
                yield Moment(At.EPOCH_DONE, *moment)
            start = moment[1]

    def _steps(self, batch: int) -> int:
        """Return the optimizer steps of an epoch up to a batch; the last batch always steps."""
        full = -(-batch // self.accumulate) if batch == self.batches else batch // self.accumulate
        return self.steps_per_batch * full

    def _eventful(self, epoch: int, start: int, steps: Collection[int], batches: Collection[int]) -> list[int]:
        """Return the batches of an epoch at which something may happen, the last of them included."""
        end = self.batches
        if self.max_steps >= 0:
            end = min(end, self.accumulate * -(-(self.max_steps - start) // self.steps_per_batch))
        found = {end}
        for period in batches:
            found.update(range(period, end, period)[:MOST_BATCHES])
        if self.validate_batches:
            seen = epoch * self.batches if self.validate_epochs is None else 0
            first = self.validate_batches - seen % self.validate_batches
            found.update(range(first, end, self.validate_batches)[:MOST_BATCHES])
        for period in steps:
            due = range((start // period + 1) * period, start + self._steps(end) + 1, period)[:MOST_BATCHES]
            found.update(self.accumulate * -(-(step - start) // self.steps_per_batch) for step in due)
        return sorted(batch for batch in found if batch <= end)


def num_due(clock: Clock, timeline: Timeline) -> int | None:
    """Return how many measurements a training makes; None for more than are counted.

    Example:
        >>> num_due(Clock(At.VALIDATION, every=2), Timeline(batches=10, max_epochs=6, validate_batches=5))
        6
    """
    moments = list(islice(timeline.moments({clock.every} if clock.at is At.BATCH else ()), MOST_MOMENTS))
    return None if len(moments) == MOST_MOMENTS else sum(map(clock.is_due, moments))
