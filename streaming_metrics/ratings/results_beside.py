"""Results beside computed measures: which of them put the conditions of a study in the order that people do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from streaming_metrics.ratings.correlation import Correlated, beside
from streaming_metrics.ratings.task_results import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    Row = Mapping[str, Any]
    ByCondition = Mapping[str, Mapping[str, float]]


def beside_results(
    results: Row, values: ByCondition, better: Mapping[str, str], errors: ByCondition | None = None
) -> list[dict[str, Any]]:
    """Return the rank correlation of each task's scores with each measure, with the points that it is of.

    Scores are mean opinions, strengths, and the share of generated images taken for real (the mean of all exposures),
    each with the covariance that the task's results hold, or else with the variances that their intervals tell.

    Args:
        results: of the study.
        values: computed, by measure and condition.
        better: ``"↓"`` where lower is better, by measure; others are taken as they are.
        errors: standard errors, by measure and condition.
    """
    upward = {
        key: {name: -value if better.get(key) == "↓" else value for name, value in of.items()}
        for key, of in values.items()
    }
    made = []
    for task in results["tasks"]:
        name, people, covariance = _scores(task)
        known = {condition: one["value"] for condition, one in people.items()}
        found = beside(known, upward, covariance, errors)
        measures = [
            {
                "measure": key,
                "better": better.get(key, ""),
                "checkpoints": one.checkpoints,
                "spearman": _told(one.spearman),
                "kendall": _told(one.kendall),
                "note": one.note,
                "points": [
                    {"condition": condition, "people": people[condition], "measured": plain(values[key].get(condition))}
                    for condition in known
                ],
            }
            for key, one in found.items()
        ]
        made.append({"task": task["name"], "score": name, "measures": measures})
    return made


def _scores(task: Row) -> tuple[str, dict[str, Row], Any]:
    """Return what a task's scores are called, each condition's, and their covariance."""
    if task["kind"] == "preference" and task["strengths"]:
        of = {one["condition"]: one["strength"] for one in task["strengths"]["conditions"] if one["strength"]}
        return "strength", of, task["strengths"]["covariance"]
    if task["kind"] == "categorisation":
        return "share taken for real", *_independent(_over_exposures(task))
    key, name = ("share", "share won") if task["kind"] == "preference" else ("mean", "mean score")
    of = {one["condition"]: one[key] for one in task["scores"] if one[key]}
    covariance = task.get("covariance")
    return (name, of, covariance) if covariance and len(covariance) == len(of) else (name, *_independent(of))


def _independent(of: dict[str, Row]) -> tuple[dict[str, Row], Any]:
    """Return scores, and their variances as their intervals tell them: what raters add to all of them is in it too."""
    halves = [0.0 if one["half_width"] is None else one["half_width"] for one in of.values()]
    return of, np.diag([(half / 1.96) ** 2 for half in halves])


def _over_exposures(task: Row) -> dict[str, Row]:
    """Return the mean over exposures of each condition's share, its interval as if exposures were independent."""
    made: dict[str, Row] = {}
    for name in task["conditions"]:
        of = [one["fooled"] for one in task["scores"] if one["condition"] == name and one["fooled"]]
        if of:
            value = sum(one["value"] for one in of) / len(of)
            halves = [one["half_width"] for one in of if one["half_width"] is not None]
            half = sum(one**2 for one in halves) ** 0.5 / len(of) if len(halves) == len(of) else None
            ends = {"low": None if half is None else value - half, "high": None if half is None else value + half}
            made[name] = {"value": value, **ends, "half_width": half}
    return made


def _told(one: Correlated) -> dict[str, float | None]:
    return {"value": plain(one.value), "low": plain(one.low), "high": plain(one.high)}
