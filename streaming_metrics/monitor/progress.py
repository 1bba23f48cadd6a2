"""Progress bar of sampling: one more line of the trainer's own progress bar, where there is one."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def sampling_bar(progress_bar: Any, total: int, description: str = "Sampling") -> Iterator[Callable[[int], Any]]:
    """Show a bar while inside, and yield the function that moves it on by n samples.

    Args:
        progress_bar: Lightning's ``TQDMProgressBar`` or ``RichProgressBar`` (known by what they have, so that neither
            is imported); anything else shows nothing.
        total: samples to come.
        description: what stands before the bar.

    Example:
        >>> with sampling_bar(None, total=10) as advance:
        ...     advance(10)
    """
    if getattr(progress_bar, "is_disabled", True):
        yield lambda n: None  # noqa: ARG005
    elif hasattr(progress_bar, "init_validation_tqdm"):
        yield from _tqdm_bar(progress_bar, total, description)
    elif getattr(progress_bar, "progress", None) is not None:
        yield from _rich_bar(progress_bar.progress, total, description)
    else:
        yield lambda n: None  # noqa: ARG005


def _tqdm_bar(progress_bar: Any, total: int, description: str) -> Iterator[Callable[[int], Any]]:
    bar = progress_bar.init_validation_tqdm()
    bar.leave = False
    bar.set_description(description, refresh=False)
    bar.reset(total)
    try:
        yield bar.update
    finally:
        bar.close()


def _rich_bar(progress: Any, total: int, description: str) -> Iterator[Callable[[int], Any]]:
    task = progress.add_task(description, total=total)
    try:
        yield partial(progress.advance, task)
    finally:
        # Hidden, not removed: RichProgressBar takes a task's id for its position in the list.
        progress.update(task, visible=False)
