"""Results so far, as the admin page shows them: a line a task and condition, with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streaming_metrics.ratings.judgements import Judgements


@dataclass(frozen=True)
class Line:
    """Line of the table: what a task says of a condition."""

    task: str
    condition: str
    measure: str
    value: float
    low: float
    high: float
    judgements: int


def results_so_far(judgements: Judgements) -> tuple[Line, ...]:
    """Return the lines of a table; none while too little was judged."""
    return ()
