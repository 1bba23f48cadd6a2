"""Schedule of a fit: when it measures, whether it has, and that nobody acts on the value of another step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming_metrics.monitor.checks import (
    averaging_warning,
    endless_warning,
    refuse_never,
    refuse_train_steps,
    refuse_unvalidated,
    unmeasured_warning,
)
from streaming_metrics.monitor.clock import At, Clock, Moment, Timeline, num_due
from streaming_metrics.monitor.readers import is_ever_due, readers_of, refuse_old_values, refuse_test_keys

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from streaming_metrics.monitor.settings import Settings
    from streaming_metrics.monitor.trainer import Run


class Schedule:
    """Schedule of a run: says of every point whether it is measured there.

    Args:
        settings: of the monitor.

    Attributes:
        clock: the one that rules.
        has_measured: whether this run has, or began with a model that was trained before.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings, self.clock = settings, Clock()
        self.has_measured, self._steps_seen = False, 0

    def set(self, run: Run, is_paired: bool) -> None:
        """Set the clock of a fit; raise ValueError where it could measure nothing.

        Args:
            run: the fit, before it begins.
            is_paired: whether generated images come batch by batch.
        """
        every_n_epochs, every_n_train_steps = self.settings.every_n_epochs, self.settings.every_n_train_steps
        refuse_train_steps(every_n_train_steps, every_n_epochs, is_paired)
        if not run.has_validation:
            refuse_unvalidated(self.settings.real_is_validation, is_paired, run.trainer)
        clock = Clock.of(every_n_epochs, every_n_train_steps, run.has_validation)
        self.clock = Clock(clock.at) if run.dev_batches else clock

    def begin(self, run: Run, keys: Collection[str], test_keys: Mapping[str, str], has_own_weights: bool) -> None:
        """Check, at the start of training, who will act on the values.

        Args:
            run: the fit.
            keys: what a measurement logs.
            test_keys: what a test logs, each with that of a validation.
            has_own_weights: whether samples are drawn with weights that the user chose.
        """
        if run.dev_batches:
            _excuse_schedulers(run, keys)
        else:
            self._check_readers(run, keys, test_keys)
        if self.clock.at is not At.VALIDATION and not has_own_weights:
            run.warn(averaging_warning(run.callbacks))
        self._steps_seen, self.has_measured = run.step, run.step > 0

    def is_due(self, run: Run, at: At = At.VALIDATION) -> bool:
        """Return whether to measure at this point of a run; a validation or test by itself is always measured."""
        if run.is_sanity_check or run.stage != "fit":
            return at is At.VALIDATION and not run.is_sanity_check
        return self.clock.is_due(Moment(at, run.epoch, run.step, self._steps_seen))

    def step(self, run: Run) -> int:
        """Return the step that Lightning gives the values of a measurement at this point of a run."""
        return run.batches_that_stepped - (run.stage == "fit" and self.clock.at is At.EPOCH)

    def measurements(self, run: Run) -> int | None:
        """Return how many measurements a whole training makes; None where that is not known before it."""
        timeline = Timeline.of(run.trainer, run.has_validation)
        return None if timeline.is_endless or not timeline.is_certain else num_due(self.clock, timeline)

    def pass_batch(self, run: Run) -> None:
        """Note that a training batch is over."""
        self._steps_seen = run.step

    def end(self, run: Run) -> None:
        """Say so where nothing was measured."""
        if not self.has_measured:
            run.warn(unmeasured_warning())

    def _check_readers(self, run: Run, keys: Collection[str], test_keys: Mapping[str, str]) -> None:
        timeline = Timeline.of(run.trainer, run.has_validation)
        refuse_test_keys(run.deciding, test_keys)
        if not is_ever_due(self.clock, timeline):
            refuse_never(self.clock, run.trainer)
        if self.clock.at is At.VALIDATION:
            run.warn(endless_warning(run.trainer))
        refuse_old_values(readers_of(run.trainer, keys, self.clock, timeline), self.clock, timeline)


def _excuse_schedulers(run: Run, keys: Collection[str]) -> None:
    """Let schedulers do without what a few images cannot give: it is not logged in ``fast_dev_run``."""
    for config in run.trainer.lr_scheduler_configs:
        if config.monitor in keys:
            config.strict = False
