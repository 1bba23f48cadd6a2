"""Rater quality: time, attention checks, agreement with the rest; flags name what is odd, and leave nobody out."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from math import nan, sqrt, tanh
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binom, binomtest

from streaming_metrics.ratings.judgements import Judgements

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from streaming_metrics.ratings.judgement import Judgement

NEAR = 1.0
"""How far from what is expected an attentive rater's score may be, in an opinion or alignment."""


@dataclass(frozen=True)
class Thresholds:
    """Thresholds of flags; name them before you look at results.

    Args:
        fastest_ms: a median time below it is ``"too fast"``: nobody looks and decides in less.
        checks: a share of passed attention checks below it is ``"checks failed"``, where there are two at least.
        same: a share of one answer from which it is ``"one answer"``, among ten judgements at least of one task, and
            where the rest gives that answer so seldom that this is no chance: good images are called real by all.
        side: p below which a preference for one side is ``"one side"``, and one answer is no chance, by binomial tests.
        agreement: where even the upper end (97.5 %) of the agreement with the rest is below it, ``"disagrees"``.
    """

    fastest_ms: float = 250.0
    checks: float = 0.6
    same: float = 0.95
    side: float = 1e-4
    agreement: float = 0.15


@dataclass(frozen=True)
class RaterQuality:
    """Quality of one rater's judgements.

    Args:
        rater: pseudonym.
        judgements: without attention checks.
        checks, passed: attention checks, and how many were answered as expected.
        median_reaction_ms: NaN where no time was measured.
        agreement: correlation of the answers with what the rest says of the same condition (or pair of them) in the
            same task, in [−1, 1]; NaN where it cannot be told.
        flags: what is odd.
    """

    rater: str
    judgements: int
    checks: int
    passed: int
    median_reaction_ms: float
    agreement: float
    flags: tuple[str, ...]


def rater_quality(judgements: Judgements, thresholds: Thresholds = Thresholds()) -> list[RaterQuality]:
    """Return each rater's quality, in the order in which they came.

    Flags are for a person to decide on: say before the study which raters you will leave out, and report how many were.

    Args:
        judgements: with their attention checks.
        thresholds: of the flags.
    """
    by_rater: dict[str, list[Judgement]] = defaultdict(list)
    for row in judgements:
        by_rater[row.rater].append(row)
    usual = _Usual(row for row in judgements if not row.is_check)
    return [_quality(rater, rows, usual, thresholds) for rater, rows in by_rater.items()]


def without(judgements: Judgements, raters: Collection[str]) -> tuple[Judgements, int]:
    """Return the judgements without those of some raters, and how many were left out, attention checks not counted."""
    gone = sum(row.rater in raters and not row.is_check for row in judgements)
    return Judgements(row for row in judgements if row.rater not in raters), gone


def passed(row: Judgement) -> bool:
    """Return whether an attention check was answered as an attentive rater does."""
    near = NEAR if row.kind in ("opinion", "alignment") else 0.0
    return row.expected is not None and abs(row.answer - row.expected) <= near


def _quality(rater: str, rows: Sequence[Judgement], usual: _Usual, thresholds: Thresholds) -> RaterQuality:
    told, checks = [row for row in rows if not row.is_check], [row for row in rows if row.is_check]
    times = [row.reaction_ms for row in rows if row.reaction_ms is not None]
    median, right = float(np.median(times)) if times else nan, sum(map(passed, checks))
    agreed = usual.agreement(told)
    flags = {
        "too fast": median < thresholds.fastest_ms,
        "checks failed": len(checks) >= 2 and right < thresholds.checks * len(checks),
        "one answer": _gives_one_answer(told, usual, thresholds),
        "one side": _side_p(told) < thresholds.side,
        "disagrees": _upper(agreed, len(told)) < thresholds.agreement,
    }
    named = tuple(flag for flag, holds in flags.items() if holds)
    return RaterQuality(rater, len(told), len(checks), right, median, agreed, named)


def _gives_one_answer(rows: Sequence[Judgement], usual: _Usual, thresholds: Thresholds) -> bool:
    for task, own in _answers(rows).items():
        (answer, given), total = own.most_common(1)[0], own.total()
        rest = usual.answers[task] - own
        expected = (rest[answer] + 0.5) / (rest.total() + 1)
        is_odd = binom.sf(given - 1, total, expected) < thresholds.side
        if total >= 10 and given >= thresholds.same * total and is_odd:
            return True
    return False


def _answers(rows: Iterable[Judgement]) -> dict[str, Counter[float]]:
    """Return how often each answer was given, by task."""
    by_task: dict[str, Counter[float]] = defaultdict(Counter)
    for row in rows:
        by_task[row.task][row.answer] += 1
    return by_task


def _side_p(rows: Sequence[Judgement]) -> float:
    decided = [row.answer for row in rows if row.kind == "preference" and row.answer != 0.5]
    return float(binomtest(int(sum(decided)), len(decided)).pvalue) if decided else 1.0


def _upper(r: float, n: int) -> float:
    """Return the upper end of a correlation by Fisher's z; NaN, below which nothing is, where it cannot be told."""
    return tanh(np.arctanh(np.clip(r, -0.999, 0.999)) + 1.96 / sqrt(n - 3)) if n > 3 else nan


class _Usual:
    """What all raters say of a condition, or of a pair of them, in a task: sums, from which one rater is taken out."""

    def __init__(self, rows: Iterable[Judgement]) -> None:
        self.sums: dict[tuple[object, ...], list[float]] = defaultdict(lambda: [0.0, 0])
        known = list(rows)
        self.answers = _answers(known)
        for row in known:
            key, answer = _seen(row)
            self.sums[key][0] += answer
            self.sums[key][1] += 1

    def agreement(self, rows: Sequence[Judgement]) -> float:
        own: dict[tuple[object, ...], list[float]] = defaultdict(lambda: [0.0, 0])
        for key, answer in map(_seen, rows):
            own[key][0] += answer
            own[key][1] += 1
        pairs: dict[object, list[tuple[float, float]]] = defaultdict(list)
        for key, answer in map(_seen, rows):
            total, count = (all_ - mine for all_, mine in zip(self.sums[key], own[key]))
            if count > 0:
                pairs[key[0]].append((answer, total / count))
        centred = [_centred(of) for of in pairs.values()]
        x, y = np.concatenate(centred).T if centred else np.zeros((2, 0))
        scale = sqrt(float((x**2).sum() * (y**2).sum()))
        return float((x * y).sum() / scale) if scale > 0 else nan


def _centred(pairs: Sequence[tuple[float, float]]) -> np.ndarray:
    """Return answers and what the rest says, ``(n, 2)``, around the task's mean and in units of its spread."""
    rows = np.array(pairs, dtype=np.float64)
    rows = rows - rows.mean(0)
    return rows / np.where(rows.std(0) > 0, rows.std(0), 1.0)


def _seen(row: Judgement) -> tuple[tuple[object, ...], float]:
    """Return what was judged and the answer; of a pair, as its condition that comes first by name sees it."""
    if row.kind == "preference":
        names = sorted(row.conditions)
        return (row.task, *names), row.side_of(names[0])
    return (row.task, row.conditions[0], row.exposure_ms), row.answer
