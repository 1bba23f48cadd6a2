"""Access to Lightning's trainer: what it says of a run, and how it takes a value in training; nothing is imported."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn


def has_validation(trainer: Any) -> bool:
    """Return whether a training has a validation loop, as far as is known by now."""
    loop = trainer.fit_loop.epoch_loop.val_loop
    is_empty = loop._combined_loader is not None and sum(loop._max_batches) == 0
    return trainer.enable_validation and not is_empty


def loader_of(trainer: Any) -> Any:
    """Return the first dataloader of the evaluation that runs."""
    # trainer.val_dataloaders would be those of an earlier fit, in a validate that follows it.
    return trainer._evaluation_loop._combined_loader.flattened[0]


def source_of(trainer: Any) -> Any:
    """Return what yields a batch: the first dataloader, or all of them where a batch is of several."""
    combined = trainer._evaluation_loop._combined_loader
    alone = combined._mode == "sequential" or len(combined.flattened) == 1
    return loader_of(trainer) if alone else combined


def most_batches(trainer: Any) -> float:
    """Return how many batches of that dataloader are read on each rank."""
    return trainer._evaluation_loop._max_batches[0]


def batches_that_stepped(trainer: Any) -> int:
    """Return the step that Lightning gives its scalars; ``global_step`` counts every optimizer of a GAN."""
    return trainer.fit_loop.epoch_loop._batches_that_stepped


def log_in_training(trainer: Any, values: Mapping[str, Tensor], shown: str | None, step: int) -> None:
    """Log at this step and no other, for callbacks to see at once.

    What ``log`` is given in a hook of training is logged again at later steps, and not at all between multiples of
    ``log_every_n_steps``.

    Args:
        trainer: that of the run.
        values: by key.
        shown: the key in the progress bar.
        step: of all loggers.
    """
    scalars = {key: float(value) for key, value in values.items()}
    trainer.callback_metrics.update(values)
    trainer.progress_bar_metrics.update({key: value for key, value in scalars.items() if key == shown})
    for logger in trainer.loggers:
        logger.log_metrics({**scalars, "epoch": trainer.current_epoch}, step=step)
        logger.save()


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Be in evaluation mode inside, and afterwards in whatever mode each part was."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
