"""History of one monitor's measurements: values, a grid of the same samples at each, the latest gallery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from streaming_metrics.report.findings import Findings
from streaming_metrics.report.gallery import NO_FEATURES, SHOWN, Gallery
from streaming_metrics.report.looks import looks_of
from streaming_metrics.report.pictures import data_uri, grid_of, is_small

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from streaming_metrics.core.shell import GenerativeMetrics
    from streaming_metrics.report.look import Look
    from streaming_metrics.report.thumbnails import Thumbnails

    Finder = Callable[[Sequence[int]], dict[int, Tensor]]

MOST_GRIDS = 40


class Grid(NamedTuple):
    """The fixed samples of one measurement, as a picture, perhaps so small that its pixels are to be seen."""

    epoch: int
    picture: str
    is_small: bool
    step: int | None = None

    @property
    def when(self) -> str:
        """What names the measurement."""
        return moment_name(self.epoch, self.step)


class History:
    """History of measurements, by step: an epoch may have several.

    Args:
        name: tells it from others in one report, e.g. ``"val"``.

    Attributes:
        epochs: of the measurements.
        steps: of the measurements, as loggers have them; None where it is not known.
        rows: their values by key.
        grids: at most 40 pictures, spread evenly over the epochs.
        gallery: of the latest measurement.
        looks: further sections of it.
        signature: how the values came about.
        about: what else is to be known of the latest ones, by name: warnings, sources, what was left out, a date.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.epochs: list[int] = []
        self.steps: list[int | None] = []
        self.rows: list[dict[str, float]] = []
        self.grids: list[Grid] = []
        self.gallery, self.signature = Gallery(""), ""
        self.looks: tuple[Look, ...] = ()
        self.about: list[tuple[str, str]] = []

    def note(
        self, epoch: int, values: Mapping[str, Tensor], metric: GenerativeMetrics, step: int | None = None
    ) -> None:
        """Note the values of a step, or of an epoch; what was noted of it, and of later ones, is forgotten."""
        self.forget(epoch, step)
        self.add(epoch, values, metric.signature(), step)

    def add(self, epoch: int, values: Mapping[str, Tensor | float], signature: str, step: int | None = None) -> None:
        """Add values behind those that are there, and how they came about."""
        self.epochs.append(epoch)
        self.steps.append(step)
        self.rows.append({key: float(value) for key, value in values.items()})
        self.signature = signature

    def look(
        self,
        metric: GenerativeMetrics,
        thumbnails: Thumbnails,
        find: Finder | str,
        ways: Tensor | None = None,
        find_train: Finder | str = "",
    ) -> Callable[[], None]:
        """Find the samples to look at; collective.

        Args:
            metric: after ``compute``.
            thumbnails: of the generated images on this rank.
            find: from ids to real images ``(3, H, W)`` uint8, or why there is no way back to them.
            ways: ``(ways, steps, 3, H, W)`` uint8 between samples, where the model interpolates.
            find_train: as ``find``, of training images.

        Returns:
            What is left to do on the rank that shows them.
        """
        self.gallery, self.looks = Gallery(""), ()  # those of another measurement are not this one's, should it fail
        comm = metric.ranks()
        kept = thumbnails.common(comm)
        found = Findings.of(metric, kept)
        wanted = torch.cat([kept[:SHOWN], found.fakes()])
        pictures = thumbnails.gather(wanted, comm)

        def show() -> None:
            self._add_grid(pictures[:SHOWN])
            fakes = dict(zip(wanted.tolist(), pictures))
            reals, missing = (None, find) if isinstance(find, str) else (find(found.reals().tolist()), "")
            self.gallery = Gallery(NO_FEATURES)
            if found.around and found.selection:
                self.gallery = Gallery.of(
                    found.around, found.selection, fakes, reals, len(kept), missing, found.closest
                )
            trains = {} if isinstance(find_train, str) else find_train(found.causes.trains().tolist())
            self.looks = looks_of(found, fakes, reals or {}, ways, trains)

        return show

    def forget(self, epoch: int, step: int | None = None) -> None:
        """Forget a step and what comes after it, as where a run goes on from an earlier checkpoint; else an epoch."""

        def is_before(noted: int, at: int | None) -> bool:
            return noted < epoch if at is None or step is None else at < step

        kept = sum(map(is_before, self.epochs, self.steps))
        del self.epochs[kept:], self.steps[kept:], self.rows[kept:]
        self.grids = [grid for grid in self.grids if is_before(grid.epoch, grid.step)]

    @property
    def moments(self) -> list[str]:
        """What names each measurement."""
        return list(map(moment_name, self.epochs, self.steps))

    @property
    def has_steps(self) -> bool:
        """Whether the step of a measurement is known."""
        return any(step is not None for step in self.steps)

    @property
    def shares_epochs(self) -> bool:
        """Whether an epoch has several measurements."""
        return len(set(self.epochs)) < len(self.epochs)

    def state_dict(self) -> dict[str, Any]:
        """Return numbers and values, not pictures."""
        rows = [dict(row) for row in self.rows]
        return {"epochs": [*self.epochs], "steps": [*self.steps], "rows": rows, "signature": self.signature}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what :meth:`state_dict` returned; earlier versions had no steps."""
        self.epochs, self.rows = list(state["epochs"]), [dict(row) for row in state["rows"]]
        self.steps = list(state.get("steps", [None] * len(self.epochs)))
        self.signature = state["signature"]

    def _add_grid(self, images: Tensor) -> None:
        if len(images):
            picture = data_uri(grid_of(images), is_small(images))
            self.grids.append(Grid(self.epochs[-1], picture, is_small(images), self.steps[-1]))
        if len(self.grids) > MOST_GRIDS:
            places = [grid.epoch if grid.step is None else grid.step for grid in self.grids]
            del self.grids[_most_crowded(places)]


def moment_name(epoch: int, step: int | None) -> str:
    """Return an epoch, and its step beside it where that is known.

    Example:
        >>> moment_name(3, None), moment_name(3, 1200)
        ('3', '3, step 1200')
    """
    return f"{epoch}" if step is None else f"{epoch}, step {step}"


def _most_crowded(places: Sequence[int]) -> int:
    """Return the place, neither first nor last, whose neighbours are closest to each other.

    Example:
        >>> _most_crowded([0, 5, 6, 7, 20])
        2
    """
    return min(range(1, len(places) - 1), key=lambda i: places[i + 1] - places[i - 1])
