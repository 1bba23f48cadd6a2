"""People: what a study says of the generated side of a comparison, beside its scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streaming_metrics.ratings.results_file import condition_named, conditions_of, told_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def people_of(results: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return what people say of the condition that a source names, to be kept beside its scores.

    Args:
        results: of a study.
        source: of the generated images, as the user named it.
    """
    known = {"signature": results["signature"], "raters_are": results["raters_are"]}
    if (condition := condition_named(results, source)) is None:
        names = ", ".join(conditions_of(results))
        return known | {
            "note": f"no condition of the study is named like {source}: it has {names}. Remedy: give the folder or "
            "archive a condition's name"
        }
    return known | {"condition": condition, "scores": [one._asdict() for one in told_of(results, condition)]}


def lines_of(people: Mapping[str, Any]) -> list[str]:
    """Return what people say, in lines."""
    if not people:
        return []
    if "note" in people:
        return [people["note"]]
    who = "simulated raters" if people["raters_are"] == "simulated" else "raters"
    lines = [
        f"{one['task']}: {one['score']} {value_of(one)}, {one['judgements']} judgements by {one['raters']} {who}"
        for one in people["scores"]
    ]
    return [*lines, f"{people['condition']} of {people['signature']}"]


def value_of(one: Mapping[str, Any]) -> str:
    """Return an estimate and its interval in digits.

    Example:
        >>> value_of({"value": 3.414, "low": 3.2, "high": 3.62})
        '3.41 (3.20 to 3.62)'
    """
    if one["value"] is None:
        return "cannot be told"
    known = one["low"] is not None and one["high"] is not None
    return f"{one['value']:.2f}" + (f" ({one['low']:.2f} to {one['high']:.2f})" if known else "")
