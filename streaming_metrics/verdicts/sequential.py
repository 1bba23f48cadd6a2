"""Sequential comparison: one candidate after another against the best so far, at looks that are fixed beforehand.

A candidate is compared with what is stored of the best *at the same number of samples*, so that neither bias nor noise
of different numbers is compared. Its comparison ends with the best's looks, over which the error rate is alpha.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, nan
from typing import TYPE_CHECKING, Literal

from streaming_metrics.verdicts.looks import threshold
from streaming_metrics.verdicts.paired import paired

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streaming_metrics.verdicts.evidence import Evidence
    from streaming_metrics.verdicts.paired import Comparison, Verdict

AHEAD = 1
"""Looks that a new best goes on for after the one that decided.

It could stop, and later candidates would then be compared at its few samples for ever; or go on to the last look, and
no improvement would ever save a sample. One look more gives each next comparison twice the samples that the last
verdict needed: its resolution grows as improvements become small.
"""


@dataclass(frozen=True, eq=False)
class Best:
    """Best score so far.

    Args:
        name: of whom it is: an epoch.
        value: that is followed: the first one's, plus the differences of verdicts.
        evidence: at each of its looks, by number of samples, ascending: the first looks of all.
    """

    name: str
    value: float
    evidence: Mapping[int, Evidence]


@dataclass(frozen=True)
class Outcome:
    """Outcome of a candidate.

    Args:
        verdict: ``"first"`` where there was nothing to compare it with.
        num_samples: of its last look.
        decided: the value that is followed; NaN before there is one.
        comparison: that decided, or the last; its interval is a repeated one: it holds at all looks together.
        against: whom it was compared with.
    """

    verdict: Verdict | Literal["first"]
    num_samples: int
    decided: float
    comparison: Comparison | None = None
    against: str = ""


class Sequential:
    """Sequential comparison of candidates with the best so far.

    Args:
        looks: numbers of samples that double, as :func:`~streaming_metrics.verdicts.looks.looks` returns them.
        alpha: error rate of one candidate's comparison, better or worse, over all of its looks.

    Attributes:
        best: the best so far; None before the first.

    Example:
        >>> import numpy as np
        >>> from streaming_metrics.verdicts.evidence import Evidence, Influence
        >>> def evidence(mean: float, n: int) -> Evidence:
        ...     noise = np.sin(np.arange(n))
        ...     return Evidence("fid", mean + noise.mean(), Influence(np.arange(n), noise + 0.01 * np.cos(noise), n))
        >>> course = Sequential([100, 200, 400], alpha=0.05)
        >>> for epoch, mean in enumerate([5.0, 4.0, 4.0, 4.5]):
        ...     course.begin()
        ...     while (n := course.next_look) is not None:
        ...         seen = evidence(mean, n)
        ...         course.take(seen, course.compare(seen))
        ...     outcome = course.end(f"epoch {epoch}")
        ...     print(outcome.verdict, outcome.num_samples, round(outcome.decided, 2))
        first 400 5.0
        better 200 4.0
        undecided 200 4.0
        worse 100 4.0
    """

    def __init__(self, looks: Sequence[int], alpha: float) -> None:
        self.looks, self.alpha = tuple(looks), alpha
        self.best: Best | None = None
        self.begin()

    def begin(self) -> None:
        """Begin with a new candidate; one that was not ended is forgotten."""
        self._seen: dict[int, Evidence] = {}
        self._comparison: Comparison | None = None
        self._verdict: Verdict = "undecided"
        self._wanted = len(self.best.evidence) if self.best else len(self.looks)

    @property
    def next_look(self) -> int | None:
        """The number of samples at which the candidate is looked at next; None where it is done."""
        return self.looks[len(self._seen)] if len(self._seen) < self._wanted else None

    def compare(self, evidence: Evidence) -> Comparison | None:
        """Return the comparison at this look; None where there is no best, or all is decided.

        Raises:
            ValueError: where it is of other samples than the best.
        """
        if self.best is None or self._verdict != "undecided":
            return None
        return paired(evidence, self.best.evidence[self._now], self.alpha, self._threshold)

    def take(self, evidence: Evidence, comparison: Comparison | None) -> None:
        """Note what was found at this look, and go on to the next.

        Args:
            evidence: of the candidate.
            comparison: that :meth:`compare` returned, here or, where several decide together, on the first of them.
        """
        if comparison is not None:
            self._comparison, self._verdict = comparison, comparison.verdict(self._threshold)
        self._seen[self._now] = evidence
        if comparison is not None and self._verdict != "undecided":
            ahead = AHEAD if self._verdict == "better" else 0
            self._wanted = min(len(self._seen) + ahead, len(self.looks))

    def forget(self) -> None:
        """Forget the best: what cannot be compared with it is the first of others."""
        self.best, self._wanted = None, len(self.looks)

    def end(self, name: str) -> Outcome:
        """Return the candidate's outcome; if it is better, or the first, it is the best from now on.

        It is kept up to the last look at which its value is known; elsewhere its correction was refused.

        Args:
            name: of the candidate, by which later outcomes name it.
        """
        n, before, found = max(self._seen), self.best, self._comparison
        last = max((look for look, one in self._seen.items() if isfinite(one.value)), default=0)
        known = {look: one for look, one in self._seen.items() if look <= last}
        value = nan if before is None else before.value
        if before is None and known:
            value = known[last].value
        elif found is not None and self._verdict == "better":
            value += found.difference
        if known and (before is None or self._verdict == "better"):
            self.best = Best(name, value, known)
        told = "first" if before is None else self._verdict
        return Outcome(told, n, value, found, "" if before is None else before.name)

    @property
    def _now(self) -> int:
        return self.looks[len(self._seen)]

    @property
    def _threshold(self) -> float:
        """The standard errors that a verdict needs at this look, of as many as the best has."""
        assert self.best
        return threshold(self._now / max(self.best.evidence), len(self.best.evidence), self.alpha)
