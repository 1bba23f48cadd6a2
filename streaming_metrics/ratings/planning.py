"""Planning: how many judgements are still needed until an interval is as narrow as asked."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from streaming_metrics.arguments import check_real
from streaming_metrics.ratings.clusters import LEAST, clustered, clustered_covariance

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Needed:
    """Judgements still needed.

    Args:
        judgements: how many more; None where more raters alone cannot reach it, or it cannot be told.
        raters: by how many more raters, each with as many judgements as those so far have on average.
        half_width: of the interval now.
        note: why it cannot be reached; empty where it can.
        same_raters: how many more by these raters alone, of the same prompts or images, would do; None where that
            cannot reach it (what they differ by stays, or each has not so many left to judge), or cannot be told.
    """

    judgements: int | None
    raters: int | None
    half_width: float
    note: str = ""
    same_raters: int | None = None


def still_needed(
    values: Sequence[float], raters: Sequence[Any], units: Sequence[Any], half_width: float, confidence: float = 0.95
) -> Needed:
    """Return how many judgements more, by more raters like these, bring a mean's interval to a half-width.

    The clustered variance is taken apart into what more raters make smaller, ∝ 1 / raters, and what prompts (items)
    add whoever judges, ``max(0, V_unit − V_both)``. Where that alone is wider than asked, more raters cannot reach it.
    More judgements by the same raters make ``V_both`` alone smaller. Where all answers are alike, none of it is told.

    Args:
        values: ``(n,)``: scores, or shares' zeros and ones.
        raters, units: who judged, and what, ``(n,)``.
        half_width: of the interval that is wanted.
        confidence: of the interval.

    Raises:
        ValueError: unless ``half_width`` is above 0.

    Example:
        >>> still_needed([1.0, 5.0] * 8, [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4, list(range(16)), 0.5).raters
        16
    """
    check_real("half_width", half_width, above=0)
    x = np.asarray(values, dtype=np.float64)
    if min(len(set(raters)), len(set(units))) < LEAST:
        return Needed(None, None, float("nan"), "two raters and two prompts or items at least are needed to tell")
    influence = ((x - x.mean()) / len(x))[:, None]
    both = list(zip(raters, units))
    of_units, of_both = (float(clustered_covariance(influence, labels)[0, 0]) for labels in (units, both))
    total, freedom = (float(part.squeeze()) for part in clustered(influence, raters, units))
    now = float(student.ppf((1 + confidence) / 2, freedom)) * total**0.5
    if not total > 0:
        return Needed(None, None, float("nan"), "all answers are the same so far: what raters differ by cannot be told")
    if now <= half_width:
        return Needed(0, 0, now, same_raters=0)
    same = _of_the_same(total, min(of_both, total), len(x), (len(set(raters)), len(set(units))), half_width, confidence)
    fixed = min(max(0.0, of_units - of_both), total) if isfinite(of_both) else 0.0
    count, each = len(set(raters)), len(x) / len(set(raters))
    more = _raters(total - fixed, fixed, count, half_width, confidence, len(set(units)))
    if more is None:
        return Needed(None, None, now, "more raters cannot reach it: more prompts or images are needed", same)
    return Needed(ceil(more * each), more, now, same_raters=same)


def _of_the_same(
    total: float, shared: float, count: int, clusters: tuple[int, int], half_width: float, confidence: float
) -> int | None:
    """Return how many more judgements by the same raters of the same units; each judges each once at most."""
    quantile = float(student.ppf((1 + confidence) / 2, max(1, min(clusters) - 1)))
    left = (half_width / quantile) ** 2 - (total - shared)
    if not left > 0:
        return None
    more = max(1, ceil(count * (shared / left - 1)))
    return more if count + more <= clusters[0] * clusters[1] else None


def _raters(varies: float, fixed: float, count: int, half_width: float, confidence: float, units: int) -> int | None:
    """Return how many raters more; Student's quantile falls with them, so that it is found step by step."""
    if float(norm.ppf((1 + confidence) / 2)) ** 2 * fixed >= half_width**2:
        return None
    total = count
    for _ in range(200):
        quantile = float(student.ppf((1 + confidence) / 2, max(1, min(total, units) - 1)))
        left = (half_width / quantile) ** 2 - fixed
        wanted = ceil(varies * count / left) if left > 0 else 2 * total
        if wanted <= total:
            return total - count
        total = min(wanted, 2 * total)
        if total > 10**7:
            return None
    return None
