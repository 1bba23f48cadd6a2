"""Waterfall: the difference between two protocols, attributed to one factor after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streaming_metrics.doctor.settings import WORDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming_metrics.doctor.protocols import Protocol
    from streaming_metrics.doctor.settings import Setting


@dataclass(frozen=True)
class Step:
    """Step from one setting to the next.

    Args:
        factor: what it changes, in words.
        before, after: of the factor, in words.
        value: the score after it.
        change: what it adds to the score before it.
        share: of the whole difference; None where that is 0.
    """

    factor: str
    before: str
    after: str
    value: float
    change: float
    share: float | None


@dataclass(frozen=True)
class Waterfall:
    """Waterfall from one protocol to another; steps add up to the difference by construction.

    Another order of factors gives other steps where factors act together, so the order is fixed: see
    :data:`streaming_metrics.doctor.settings.FACTORS`.

    Args:
        first, last: names of the protocols.
        start, end: their values.
        steps: between them; none where both are one setting here.
    """

    first: str
    last: str
    start: float
    end: float
    steps: tuple[Step, ...]

    @classmethod
    def between(cls, first: Protocol, last: Protocol, value_of: Callable[[Setting], float]) -> Waterfall:
        """Return the steps from one protocol to another, each value by ``value_of``.

        Example:
            >>> from streaming_metrics.doctor.protocols import Protocol
            >>> from streaming_metrics.doctor.settings import Setting
            >>> ours, theirs = Protocol("ours", Setting(), ""), Protocol("theirs", Setting("clean", ddof=0), "")
            >>> found = Waterfall.between(ours, theirs, lambda s: 2.0 + (s.resize == "clean") - 0.5 * (s.ddof == 0))
            >>> [(step.factor, step.change, step.share) for step in found.steps]
            [('resize', 1.0, 2.0), ('covariance divisor', -0.5, -1.0)]
        """
        start, end = value_of(first.setting), value_of(last.setting)
        steps, setting, value = [], first.setting, start
        for factor, after in first.setting.path(last.setting):
            reached = value_of(after)
            change = reached - value
            share = change / (end - start) if end != start else None
            steps.append(Step(WORDS[factor], setting.told(factor), after.told(factor), reached, change, share))
            setting, value = after, reached
        return cls(first.name, last.name, start, end, tuple(steps))
