"""Task of a study: one kind of question, and what its trials may show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streaming_metrics.study.trial import CATEGORISATION, PREFERENCE

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Task:
    """Task of a study: one kind of question, asked ``per_rater`` times of each rater, in a block of its own.

    Args:
        name: by default its kind.
        kind: preference, opinion, categorisation or alignment.
        per_rater: trials of a rater, attention checks apart.
        conditions: that are judged; of categorisation and ``against_real`` the generated ones.
        question: by language.
        real: the condition that is real, where the task has one.
        ties: whether a preference may be a tie.
        against_real: whether a preference is of each condition against the real one alone.
        scale: the highest opinion or alignment, from 1.
        exposures_ms: how long categorisation shows an image.
    """

    name: str
    kind: str
    per_rater: int
    conditions: tuple[str, ...]
    question: Mapping[str, str]
    real: str | None = None
    ties: bool = False
    against_real: bool = False
    scale: int = 5
    exposures_ms: tuple[float, ...] = ()

    @property
    def all_conditions(self) -> tuple[str, ...]:
        """The conditions whose images are shown, the real one last."""
        shows_real = self.kind == CATEGORISATION or self.against_real
        return (*self.conditions, self.real) if shows_real and self.real else self.conditions

    @property
    def shows_prompts(self) -> bool:
        """Whether prompts are shown. Not in categorisation: whether there is one would tell what is real."""
        return self.kind != CATEGORISATION


def pairs_of(task: Task) -> tuple[tuple[str, ...], ...]:
    """Return what a trial of a task may show: pairs of conditions, or conditions; real ones as often as all others.

    Each condition comes first in about half of its pairs.

    Example:
        >>> pairs_of(Task("preference", "preference", 1, ("a", "b", "c"), {}))
        (('a', 'b'), ('c', 'a'), ('b', 'c'))
    """
    names = task.conditions
    if task.against_real:
        return tuple((name, str(task.real)) for name in names)
    if task.kind == CATEGORISATION:
        return tuple((shown,) for name in names for shown in (name, str(task.real)))
    if task.kind != PREFERENCE:
        return tuple((name,) for name in names)
    ordered = ((i, j) for i in range(len(names)) for j in range(i + 1, len(names)))
    return tuple((names[i], names[j]) if (j - i) % 2 else (names[j], names[i]) for i, j in ordered)
