"""Reporter: keeps what a monitor measures for a report, on any number of ranks, and has it written."""

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
from streaming_metrics.untouched import isolated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from streaming_metrics.images.batches import Key
    from streaming_metrics.images.conversion import Takes
    from streaming_metrics.monitor.measurement import Measurement
    from streaming_metrics.monitor.trainer import Run
    from streaming_metrics.report.history import Finder
    from streaming_metrics.report.sides import SidesTable

NO_IMAGES = "The report shows no new images"


class Reporter:
    """Keeper of measurements, and of a few small copies of generated images, for a report.

    Args:
        target: path of the report; True for ``report.html`` in the folder that :meth:`path` is given.
        name: of the history.

    Attributes:
        training: the history of the training, kept from one fit to the next.
        history: where measurements are noted: that of the training, or one of a validation or test by itself.
        sides: several samplers of the last measurement beside each other; None for none.

    Raises:
        ModuleNotFoundError: without matplotlib: now, rather than after an epoch.
    """

    def __init__(self, target: bool | str | Path, name: str) -> None:
        new_figure(1, 1)
        self.target, self.thumbnails = target, Thumbnails()
        self.training = self.history = History(name)
        self.sides: SidesTable | None = None

    def begin(self, stage: str, name: str) -> None:
        """Note what follows in the training's history, or in a new one where this is no training."""
        self.history, self.sides = self.training if stage == "fit" else History(name), None

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
        run: Run,
        values: Mapping[str, Tensor],
        step: int,
        measurement: Measurement,
        warned: Sequence[str],
        ways: Tensor | None = None,
        verdicts: str = "",
    ) -> None:
        """Note a measurement; collective.

        A look at the samples is no reason to end a training: in one process, an error is a warning. Of several, others
        may wait for the one that has it.

        Args:
            run: in which it was made.
            values: what came of it.
            step: when it was made, as loggers have it.
            measurement: what made it.
            warned: what was warned of meanwhile.
            ways: between samples.
            verdicts: of all epochs so far, in words.
        """
        date, metric = datetime.now(timezone.utc).isoformat(timespec="seconds"), measurement.metric
        told = [("verdicts", verdicts)] if verdicts else []
        self.history.about = [*(("warning", warning) for warning in warned), *told, ("date", date)]
        with isolated():
            self.history.note(run.epoch, values, metric, step)
            finders = self._finder(run, measurement), self._train_finder(measurement)

            def look() -> None:
                show = self.history.look(metric, self.thumbnails, finders[0], ways, finders[1])
                if run.is_writer:
                    _warn_of_errors(show, NO_IMAGES)

            if run.world_size > 1:
                look()
            else:
                _warn_of_errors(look, NO_IMAGES)

    def write(
        self, run: Run, reporters: Sequence[Reporter], sides: Callable[[], SidesTable | None] = lambda: None
    ) -> None:
        """Write the report of all that share this one, on the rank that writes.

        A page is no reason to end a training: an error is a warning.

        Args:
            run: in which it was measured.
            reporters: of all monitors.
            sides: returns several samplers beside each other; None for those that were before.
        """
        path, title = self.path(run.folder, run.stage), f"What {type(run.module).__name__} generates"
        shared = [one for one in reporters if one.path(run.folder, run.stage) == path]

        def write() -> None:
            self.sides = sides() or self.sides
            tables = [one.sides for one in shared if one.sides is not None]
            write_report(path, [one.history for one in shared], title, tables=tables)

        if run.is_writer:
            with isolated():
                _warn_of_errors(write, f"{path} is not written this time")

    def _finder(self, run: Run, measurement: Measurement) -> Finder | str:
        settings, side = measurement.settings, self.thumbnails.side
        source = run.loader if settings.real_is_validation else settings.real
        in_place = measurement.collector.in_place["real"]
        takes = measurement.metric.takes
        return finder(source, settings.image_key, settings.value_range, side, in_place=in_place, takes=takes)

    def _train_finder(self, measurement: Measurement) -> Finder | str:
        settings = measurement.settings
        source = settings.loaders.get("train")
        in_place = measurement.collector.in_place["train"]
        side, takes = self.thumbnails.side, measurement.metric.takes
        return finder(source, settings.image_key, settings.value_range, side, in_place=in_place, takes=takes)


def finder(
    source: Any,
    image_key: Key,
    value_range: tuple[float, float],
    side: int,
    *,
    in_place: bool = True,
    takes: Takes = "images",
) -> Finder | str:
    """Return how real images are found again by their ids, or why they are not.

    Args:
        source: the loader that they came from; a reference has none.
        image_key: where they are in a batch.
        value_range: of floats.
        side: the most pixels to return of either side.
        in_place: whether an image's id was the position of an item that holds it alone.
        takes: ``"images"``, or ``"clips"``, of which stills are found.
    """
    if not hasattr(source, "dataset"):
        return IN_A_FILE
    if not (in_place and stands_in_order(source) and hasattr(source.dataset, "__getitem__")):
        return NO_WAY_BACK
    return partial(look_up, source, image_key, value_range, side=side, takes=takes)


def _warn_of_errors(work: Any, what: str) -> None:
    try:
        work()
    except Exception as error:
        warnings.warn(f"{what}: {error!r}", stacklevel=2)
