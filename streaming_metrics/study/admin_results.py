"""Results so far, as the admin page shows them: a line a task and condition, with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming_metrics.ratings.estimate import Estimate
    from streaming_metrics.ratings.judgements import Judgements

    Found = Iterator[tuple[str, str, Estimate]]


@dataclass(frozen=True)
class Line:
    """Line of the table: what the judgements of a task say of a condition.

    Args:
        task: its name.
        condition: that was judged.
        what: the number is.
        estimate: with its interval.
    """

    task: str
    condition: str
    what: str
    estimate: Estimate

    @property
    def interval(self) -> str:
        """The interval as text; a dash where it cannot be told yet."""
        ends = (self.estimate.low, self.estimate.high)
        return " to ".join(f"{end:.3f}" for end in ends) if all(map(isfinite, ends)) else "–"


def results_so_far(judgements: Judgements) -> tuple[Line, ...]:
    """Return a line for each task and condition that was judged; attention checks do not count."""
    told = judgements.where(checks=False)
    tasks = dict.fromkeys((one.task, one.kind) for one in told)
    return tuple(Line(task, *found) for task, kind in tasks for found in KINDS[kind](told.where(task=task)))


def _preferences(judgements: Judgements) -> Found:
    from streaming_metrics.ratings.preference import preference_share

    for name in sorted({name for one in judgements for name in one.conditions}):
        yield name, "share preferred", preference_share(judgements, name)


def _opinions(judgements: Judgements) -> Found:
    from streaming_metrics.ratings.opinion import mean_opinions

    for name, estimate in sorted(mean_opinions(judgements).items()):
        yield name, "mean score", estimate


def _categories(judgements: Judgements) -> Found:
    from streaming_metrics.ratings.categorisation import categorise

    for one in categorise(judgements):
        shown = "" if one.exposure_ms is None else f" at {one.exposure_ms:g} ms"
        yield one.condition, f"called real{shown}", one.fooled


KINDS = {"preference": _preferences, "opinion": _opinions, "alignment": _opinions, "categorisation": _categories}
