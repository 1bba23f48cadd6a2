"""What one monitor has measured, epoch by epoch: its values, a grid of the same samples, the latest gallery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from streaming_metrics.report.gallery import NO_FEATURES, SHOWN, Choice, Gallery
from streaming_metrics.report.pictures import data_uri, grid_of, is_small

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from streaming_metrics.generative import GenerativeMetrics
    from streaming_metrics.report.thumbnails import Thumbnails

    Finder = Callable[[Sequence[int]], dict[int, Tensor]]

MOST_GRIDS = 40


class Grid(NamedTuple):
    """The fixed samples of one epoch, as a picture, perhaps so small that its pixels are to be seen."""

    epoch: int
    picture: str
    is_small: bool


class Journal:
    """Notes measured epochs.

    Args:
        name: tells it from others in one report, e.g. ``"val"``.

    Attributes:
        epochs: their numbers.
        rows: their values by key.
        grids: at most 40 pictures, spread evenly over the epochs.
        gallery: of the latest epoch.
        signature: how the values came about.
        about: what else is to be known of the latest ones, by name: warnings, sources, what was left out, a date.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.epochs: list[int] = []
        self.rows: list[dict[str, float]] = []
        self.grids: list[Grid] = []
        self.gallery, self.signature = Gallery(""), ""
        self.about: list[tuple[str, str]] = []

    def note(self, epoch: int, values: Mapping[str, Tensor], metric: GenerativeMetrics) -> None:
        """Note the values of an epoch; what was noted of it, and of later ones, is forgotten."""
        self.forget(epoch)
        self.epochs.append(epoch)
        self.rows.append({key: float(value) for key, value in values.items()})
        self.signature = metric.signature()

    def look(self, metric: GenerativeMetrics, thumbnails: Thumbnails, find: Finder | str) -> Callable[[], None]:
        """Find the samples to look at; collective.

        Args:
            metric: after ``compute``.
            thumbnails: of the generated images on this rank.
            find: from ids to real images ``(3, H, W)`` uint8, or why there is no way back to them.

        Returns:
            What is left to do on the rank that shows them.
        """
        comm, around = metric._comm(), metric.neighbourhood()
        kept = thumbnails.common(comm)
        choice = None if around is None else Choice.of(around, among=kept)
        wanted = torch.cat([kept[:SHOWN], choice.fakes(around)]) if around and choice else kept[:SHOWN]
        pictures = thumbnails.gather(wanted, comm)

        def show() -> None:
            self._add_grid(pictures[:SHOWN])
            self.gallery = Gallery(NO_FEATURES)
            if around and choice:
                fakes = dict(zip(wanted.tolist(), pictures))
                reals, missing = (None, find) if isinstance(find, str) else (find(choice.reals(around).tolist()), "")
                self.gallery = Gallery.of(around, choice, fakes, reals, len(kept), missing)

        return show

    def forget(self, epoch: int) -> None:
        """Forget an epoch and what comes after it, as where a run goes on from an earlier checkpoint."""
        kept = sum(number < epoch for number in self.epochs)
        del self.epochs[kept:], self.rows[kept:]
        self.grids = [grid for grid in self.grids if grid.epoch < epoch]

    def state_dict(self) -> dict[str, Any]:
        """Return numbers and values, not pictures."""
        return {"epochs": list(self.epochs), "rows": [dict(row) for row in self.rows], "signature": self.signature}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what :meth:`state_dict` returned."""
        self.epochs, self.rows = list(state["epochs"]), [dict(row) for row in state["rows"]]
        self.signature = state["signature"]

    def _add_grid(self, images: Tensor) -> None:
        if len(images):
            self.grids.append(Grid(self.epochs[-1], data_uri(grid_of(images), is_small(images)), is_small(images)))
        if len(self.grids) > MOST_GRIDS:
            del self.grids[_most_crowded([grid.epoch for grid in self.grids])]


def _most_crowded(epochs: Sequence[int]) -> int:
    """Return the place, neither first nor last, whose neighbours are closest to each other.

    Example:
        >>> _most_crowded([0, 5, 6, 7, 20])
        2
    """
    return min(range(1, len(epochs) - 1), key=lambda i: epochs[i + 1] - epochs[i - 1])
