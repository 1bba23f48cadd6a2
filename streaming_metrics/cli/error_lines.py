"""Error lines: the standard errors among scores, each with its interval and of what that is one, as JSON has them."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def errors_in(scores: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """Return the error of each score that has one: ``{"error", "low", "high", "about"}``, by the score's key.

    Example:
        >>> errors_in({"kid": 0.01, "kid_std": 0.02, "kid_se": 0.001})["kid"]["about"]
        'the distance, both sides random'
    """
    from streaming_metrics.report.side_rows import error_of

    found = {key: of for key in scores if (of := error_of(key, scores))}
    return {key: _line(key, scores[key], of, scores[of]) for key, of in found.items() if isfinite(scores[of])}


def _line(key: str, value: float, of: str, error: float) -> dict[str, Any]:
    from streaming_metrics.measures.keys import scalar_of

    low, high = scalar_of(key).interval(value, error)
    ends = {"low": low, "high": high} if isfinite(low) and isfinite(high) else {}
    return {"error": error, **ends, "about": scalar_of(of).about}
