"""Contrasts: by how much one condition is judged better than another, and whether that could be chance."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, nan, sqrt
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import t as student

from streaming_metrics.ratings.clusters import clustered, interval
from streaming_metrics.ratings.estimate import Estimate
from streaming_metrics.ratings.judgement import of_one_task
from streaming_metrics.ratings.preference import compared, effective_judgements, share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streaming_metrics.ratings.judgement import Judgement
    from streaming_metrics.ratings.judgements import Judgements

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Contrast:
    """Contrast of two conditions.

    Args:
        difference: first less second, with its interval.
        p: two-sided, of no difference; NaN where it cannot be told.
        pairs: how often one rater judged both, of one prompt where there are prompts.
    """

    difference: Estimate
    p: float
    pairs: int


def contrast(judgements: Judgements, a: str, b: str, confidence: float = 0.95) -> Contrast:
    """Return by how much ``a`` is judged better than ``b``, in judgements of one task.

    Opinions and alignments: the difference of mean scores. Categorisations: of the shares taken for real. Preferences:
    the share of ``a`` in comparisons with ``b``, less one half, by Wilson's interval and test as in :func:`share
    <streaming_metrics.ratings.preference.share>`. Variances are clustered by rater and by prompt, so that what a rater,
    or a prompt, adds to both conditions cancels; Student's t. No interval and no p where no answers differ.

    Args:
        judgements: of one task; attention checks do not count.
        a, b: conditions.
        confidence: of the interval.
    """
    rows = of_one_task("contrast", judgements)
    if any(row.kind == "preference" for row in rows):
        rows = [row for row in compared(judgements) if {a, b} == {*row.conditions}]
        return _preferred(rows, a, confidence)
    of = [[row for row in rows if row.conditions[0] == name] for name in (a, b)]
    if not all(of):
        return _tested([*of[0], *of[1]], nan, np.zeros(0), confidence, 0)
    answers = [np.array([row.answer for row in own], dtype=np.float64) for own in of]
    means = [float(own.mean()) for own in answers]
    influence = np.concatenate([sign * (x - mean) / len(x) for sign, x, mean in zip((1, -1), answers, means)])
    return _tested([*of[0], *of[1]], means[0] - means[1], influence, confidence, _pairs(*of))


def _preferred(rows: Sequence[Judgement], a: str, confidence: float) -> Contrast:
    """Return the share less one half; p is of the test whose interval Wilson's is."""
    parts = [row.side_of(a) for row in rows], [row.rater for row in rows], [row.units for row in rows]
    found = share(*parts, confidence)
    ends = found.value - 0.5, found.low - 0.5, found.high - 0.5
    p = nan
    if isfinite(found.low):
        effective, freedom = effective_judgements(*parts)
        p = 2 * float(student.sf(abs(found.value - 0.5) * 2 * sqrt(effective), freedom))
    return Contrast(Estimate(*ends, found.judgements, found.raters, confidence), p, len(rows))


def _tested(rows: Sequence[Judgement], value: float, influence: Floats, confidence: float, pairs: int) -> Contrast:
    raters, units = [row.rater for row in rows], [row.units for row in rows]
    counted = len(rows), len(set(raters))
    if not rows or len(influence) != len(rows):
        return Contrast(Estimate(float(value), nan, nan, *counted, confidence), nan, pairs)
    variance, freedom = (float(part.squeeze()) for part in clustered(influence[:, None], raters, units))
    if not variance > 0:
        return Contrast(Estimate(float(value), nan, nan, *counted, confidence), nan, pairs)
    low, high = interval(float(value), variance, freedom, confidence)
    p = 2 * float(student.sf(abs(value) / sqrt(variance), freedom))
    return Contrast(Estimate(float(value), low, high, *counted, confidence), p, pairs)


def _pairs(first: Sequence[Judgement], second: Sequence[Judgement]) -> int:
    of = [{(row.rater, row.prompt) for row in rows} for rows in (first, second)]
    return len(of[0] & of[1])
