"""From measurements to a report, on any number of ranks: what a monitor hands its images and values to."""

from __future__ import annotations

import warnings
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streaming_metrics.monitor.counting import stands_in_order
from streaming_metrics.monitor.lookup import IN_A_FILE, NO_WAY_BACK, look_up
from streaming_metrics.plots import new_figure
from streaming_metrics.report.history import History
from streaming_metrics.report.page import write_report
from streaming_metrics.report.thumbnails import Thumbnails

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from streaming_metrics.core.shell import GenerativeMetrics
    from streaming_metrics.images.batches import Key
    from streaming_metrics.report.history import Finder


class Reporter:
    """Keeps a few small copies of generated images, and notes measurements.

    Args:
        target: path of the report; True for ``report.html`` in the folder that :meth:`path` is given.
        name: of the journal.

    Attributes:
        story: the journal of the training, kept from one fit to the next.
        journal: what measurements are noted in: the story, or a journal of a validation or test by itself.

    Raises:
        ModuleNotFoundError: without matplotlib: now, rather than after an epoch.
    """

    def __init__(self, target: bool | str | Path, name: str) -> None:
        new_figure(1, 1)
        self.target, self.thumbnails = target, Thumbnails()
        self.story = self.journal = History(name)

    def begin(self, stage: str, name: str) -> None:
        """Note what follows in the story, or in a new journal where this is no training."""
        self.journal = self.story if stage == "fit" else History(name)

    def path(self, folder: str | Path, stage: str) -> Path:
        """Return where the report goes; what a fit wrote is not replaced by a test.

        Example:
            >>> Reporter(True, "val").path("runs", "fit").as_posix(), Reporter("a.html", "test").path("", "test").name
            ('runs/report.html', 'a-test.html')
        """
        path = Path(folder, "report.html") if isinstance(self.target, bool) else Path(self.target)
        return path if stage == "fit" else path.with_stem(f"{path.stem}-{stage}")

    def note(
        self,
        epoch: int,
        step: int,
        values: Mapping[str, Tensor],
        metric: GenerativeMetrics,
        find: Finder | str,
        is_writer: bool,
    ) -> None:
        """Note a measurement; collective.

        Args:
            epoch, step: when it was made, as loggers have it.
            values: of ``metric``.
            metric: after ``compute``.
            find: from ids to real images, or why there is no way back to them.
            is_writer: whether this rank writes.
        """
        self.journal.note(epoch, values, metric, step)
        show = self.journal.look(metric, self.thumbnails, find)
        if is_writer:
            _warn_of_errors(show, "The report shows no new images")

    def say(self, warned: Sequence[str]) -> None:
        """Say in the report what was warned of while the latest values were made, and when that was."""
        date = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self.journal.about = [*(("warning", warning) for warning in warned), ("date", date)]

    def write(self, path: Path, sharing: Sequence[Reporter], title: str) -> None:
        """Write the report of all that share one; a page is no reason to end a training: an error is a warning."""
        journals = [reporter.journal for reporter in sharing]
        _warn_of_errors(partial(write_report, path, journals, title), f"{path} is not written this time")


def finder(
    source: Any, image_key: Key, value_range: tuple[float, float], side: int, *, in_place: bool = True
) -> Finder | str:
    """Return how real images are found again by their ids, or why they are not.

    Args:
        source: the loader that they came from; a reference has none.
        image_key: where they are in a batch.
        value_range: of floats.
        side: the most pixels to return of either side.
        in_place: whether an image's id was the position of an item that holds it alone.
    """
    if not hasattr(source, "dataset"):
        return IN_A_FILE
    if not (in_place and stands_in_order(source) and hasattr(source.dataset, "__getitem__")):
        return NO_WAY_BACK
    return partial(look_up, source, image_key, value_range, side=side)


def _warn_of_errors(work: Any, what: str) -> None:
    try:
        work()
    except Exception as error:
        warnings.warn(f"{what}: {error!r}", stacklevel=2)
