"""Mean opinion scores, as given and with each rater brought to the same mean and spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streaming_metrics.ratings.clusters import clustered_covariance, clustered_mean, estimated
from streaming_metrics.ratings.judgement import of_one_task

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streaming_metrics.ratings.estimate import Estimate
    from streaming_metrics.ratings.judgement import Judgement
    from streaming_metrics.ratings.judgements import Judgements

    Floats = NDArray[np.float64]

SCORED = ("opinion", "alignment")
SAME = 1e-12
"""Spread, as a share of the scores, that rounding may leave where all answers are one."""


def mean_opinions(judgements: Judgements, normalised: bool = False, confidence: float = 0.95) -> dict[str, Estimate]:
    """Return each condition's mean opinion score, with an interval over raters and prompts (items without prompts).

    Range 1 to the scale, of the interval too. Attention checks do not count.

    Args:
        judgements: those of opinions and alignments are read.
        normalised: with ``z = (x − mean_r) / sd_r`` of each rater r over all conditions, put back on the scale by the
            mean of all scores and the mean of the raters' sd: how a rater uses the scale does not count. Who gives one
            answer always is at the mean. The interval is that of how far a condition is from the mean of all scores,
            which is taken as it is: normalised scores compare conditions of one study, never two studies. Raters must
            have seen the conditions about equally often, as studies here see to it.
        confidence: of the intervals.

    Example:
        >>> from streaming_metrics.ratings.judgement import Judgement
        >>> from streaming_metrics.ratings.judgements import Judgements
        >>> shown = ("a/0",), ("a",)
        >>> rows = (Judgement("s-1a2b3c4d", "o", "opinion", r, 0, *shown, x, "") for r, x in (("p", 3.0), ("q", 4.0)))
        >>> mean_opinions(Judgements(rows))["a"].value
        3.5
    """
    rows, scores = scored(judgements)
    shown = np.array([row.conditions[0] for row in rows])
    raters, units = ([getattr(row, field) for row in rows] for field in ("rater", "unit"))
    if normalised:
        return _normalised_means(scores, shown, raters, units, confidence)
    found = {}
    for name in dict.fromkeys(shown.tolist()):
        places = np.flatnonzero(shown == name).tolist()
        own, of = ([labels[place] for place in places] for labels in (raters, units))
        found[name] = clustered_mean(scores[places], own, of, confidence).within(1, rows[places[0]].scale)
    return found


def _normalised_means(
    scores: Floats, shown: NDArray[np.str_], raters: list[str], units: list[str], confidence: float
) -> dict[str, Estimate]:
    """Return the means of the conditions' normalised scores: each moves with its own scores, and with the means of the
    raters that these are taken from.
    """
    made, (_, rater) = _normalised(scores, raters), np.unique(raters, return_inverse=True)
    judged, apart, found = np.bincount(rater), made - scores.mean(), {}
    for name in dict.fromkeys(shown.tolist()):
        own = shown == name
        value, count = float(made[own].mean()), int(own.sum())
        of_rater = np.bincount(rater, own) / judged / count
        influence = np.where(own, (made - value) / count, 0.0) - of_rater[rater] * apart
        found[name] = estimated(value, influence, raters, units, confidence, count)
    return found


def opinion_covariance(judgements: Judgements, names: list[str]) -> Floats:
    """Return the covariance of the conditions' mean opinion scores, ``(n, n)`` in the order of names."""
    rows, scores = scored(judgements)
    influence = np.zeros((len(rows), len(names)))
    for column, name in enumerate(names):
        own = np.array([row.conditions[0] == name for row in rows])
        if own.any():
            influence[own, column] = (scores[own] - scores[own].mean()) / own.sum()
    return clustered_covariance(influence, [row.rater for row in rows], [row.unit for row in rows])


def scored(judgements: Judgements) -> tuple[list[Judgement], Floats]:
    """Return the judgements that are scores, and their scores."""
    rows = of_one_task("mean_opinions", (row for row in judgements if row.kind in SCORED))
    return rows, np.array([row.answer for row in rows], dtype=np.float64)


def _normalised(scores: Floats, raters: list[str]) -> Floats:
    """Return scores of which each rater has the same mean and spread; who gives one answer always is at the mean."""
    _, rater = np.unique(raters, return_inverse=True)
    judged = np.bincount(rater)
    apart = scores - (np.bincount(rater, scores) / judged)[rater]
    spreads = np.sqrt(np.bincount(rater, apart**2) / judged)
    varies = spreads > SAME * np.abs(scores).max()
    usual = float(spreads[varies].mean()) if varies.any() else 0.0
    scale = np.where(varies, usual / np.where(varies, spreads, 1.0), 0.0)
    return scores.mean() + apart * scale[rater]
