"""Run of a Lightning trainer: all that a monitor reads of one, and how it takes a value; nothing is imported."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streaming_metrics.monitor.progress import sampling_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    import torch
    from torch import Tensor, nn


@dataclass(frozen=True)
class Run:
    """Run of a trainer: one fit, validation or test.

    Args:
        trainer: Lightning's.
        module: what it runs.
    """

    trainer: Any
    module: nn.Module

    @property
    def stage(self) -> str:
        """The run's kind: ``"fit"``, ``"validate"`` or ``"test"``, of the fit for its validations; else ``""``."""
        kind = self.trainer.state.fn
        return "" if kind is None else kind.value

    @property
    def rank(self) -> int:
        """This process."""
        return self.trainer.global_rank

    @property
    def is_writer(self) -> bool:
        """Whether this rank writes files and logs."""
        return self.trainer.is_global_zero

    @property
    def world_size(self) -> int:
        """The number of processes."""
        return self.trainer.world_size

    @property
    def device(self) -> torch.device:
        """The device that this rank computes on."""
        return self.trainer.strategy.root_device

    @property
    def epoch(self) -> int:
        """The current epoch."""
        return self.trainer.current_epoch

    @property
    def step(self) -> int:
        """The optimizer steps so far; of every optimizer."""
        return self.trainer.global_step

    @property
    def batches_that_stepped(self) -> int:
        """The step that Lightning gives its scalars; ``global_step`` counts every optimizer of a GAN."""
        return self.trainer.fit_loop.epoch_loop._batches_that_stepped

    @property
    def dev_batches(self) -> int:
        """The batches that ``fast_dev_run`` takes; 0 in a run in earnest."""
        return int(self.trainer.fast_dev_run)

    @property
    def is_sanity_check(self) -> bool:
        """Whether this is Lightning's sanity check."""
        return self.trainer.sanity_checking

    @property
    def has_validation(self) -> bool:
        """Whether a training has a validation loop, as far as is known by now."""
        loop = self.trainer.fit_loop.epoch_loop.val_loop
        is_empty = loop._combined_loader is not None and sum(loop._max_batches) == 0
        return self.trainer.enable_validation and not is_empty

    @property
    def loader(self) -> Any:
        """The first dataloader of the evaluation that runs."""
        # trainer.val_dataloaders would be those of an earlier fit, in a validate that follows it.
        return self.trainer._evaluation_loop._combined_loader.flattened[0]

    @property
    def source(self) -> Any:
        """The giver of a batch: the first dataloader, or all of them where a batch is of several."""
        combined = self.trainer._evaluation_loop._combined_loader
        alone = combined._mode == "sequential" or len(combined.flattened) == 1
        return self.loader if alone else combined

    @property
    def most_batches(self) -> float:
        """The batches of that dataloader that are read on each rank."""
        return self.trainer._evaluation_loop._max_batches[0]

    @property
    def callbacks(self) -> list[Any]:
        """The trainer's callbacks."""
        return self.trainer.callbacks

    @property
    def deciding(self) -> list[Any]:
        """The callbacks and configurations of schedulers: whatever may decide by a value."""
        return [*self.callbacks, *self.trainer.lr_scheduler_configs]

    @property
    def folder(self) -> str | Path:
        """The folder of the first logger, or else of the run."""
        return self.trainer.log_dir or self.trainer.default_root_dir

    @property
    def agree(self) -> Callable[[bool], bool]:
        """The collective that says whether something holds on all ranks."""
        return self.trainer.strategy.reduce_boolean_decision

    def precision(self) -> AbstractContextManager[Any]:
        """Return the context of the trainer's precision."""
        return self.trainer.precision_plugin.forward_context()

    def bar(self, total: int, description: str = "Sampling") -> AbstractContextManager[Callable[[int], Any]]:
        """Return a bar beside the trainer's own; see :func:`~streaming_metrics.monitor.progress.sampling_bar`."""
        return sampling_bar(self.trainer.progress_bar_callback, total, description)

    def warn(self, message: str | None) -> None:
        """Warn on the first rank, where there is something to say."""
        if message and self.is_writer:
            warnings.warn(message, stacklevel=3)

    def log(self, values: Mapping[str, Tensor], shown: str | None, step: int) -> None:
        """Log at this step and no other.

        Args:
            values: by key.
            shown: the key in the progress bar.
            step: of all loggers.
        """
        if self.trainer.training:
            self._log_in_training(values, shown, step)
        else:
            for key, value in values.items():
                self.trainer.lightning_module.log(key, value, prog_bar=key == shown, sync_dist=True)

    def _log_in_training(self, values: Mapping[str, Tensor], shown: str | None, step: int) -> None:
        """Log for callbacks to see at once.

        What ``log`` is given in a hook of training is logged again at later steps, and not at all between multiples of
        ``log_every_n_steps``.
        """
        scalars = {key: float(value) for key, value in values.items()}
        self.trainer.callback_metrics.update(values)
        self.trainer.progress_bar_metrics.update({key: value for key, value in scalars.items() if key == shown})
        for logger in self.trainer.loggers:
            logger.log_metrics({**scalars, "epoch": self.epoch}, step=step)
            logger.save()
