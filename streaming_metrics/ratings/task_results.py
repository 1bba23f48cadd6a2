"""Results of one task: scores, contrasts, agreement, groups of prompts and what is still needed, as plain values."""

from __future__ import annotations

from itertools import combinations
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from streaming_metrics.ratings.agreement import agreement
from streaming_metrics.ratings.bradley_terry import bradley_terry
from streaming_metrics.ratings.categorisation import categorise, exposure_needed, lasted_wrong
from streaming_metrics.ratings.clusters import clustered_mean
from streaming_metrics.ratings.contrasts import contrast
from streaming_metrics.ratings.online import online_ratings
from streaming_metrics.ratings.opinion import mean_opinions, opinion_covariance
from streaming_metrics.ratings.planning import still_needed
from streaming_metrics.ratings.preference import preference_share, share, win_matrix
from streaming_metrics.verdicts.holm import holm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streaming_metrics.ratings.bradley_terry import Strengths
    from streaming_metrics.ratings.categorisation import Categorisation
    from streaming_metrics.ratings.estimate import Estimate
    from streaming_metrics.ratings.judgements import Judgements

    Row = dict[str, Any]

Made = TypeVar("Made")
PRIOR = 3.0
PRIOR_NOTE = (
    "A condition won or lost all of its comparisons, or some never met: a Gaussian prior of {:g} log-odds keeps the "
    "strengths finite."
)
COUNTS = ("hits", "misses", "false_alarms", "correct_rejections")
GROUPED_BY = ("category", "challenge")


def task_results(judgements: Judgements, order: Sequence[str] = (), half_width: float | None = None) -> Row:
    """Return what the judgements of one task say.

    Args:
        judgements: of one task, without attention checks.
        order: of the conditions; those that it lacks come last.
        half_width: until which judgements still needed are planned; None plans none.
    """
    first = next(iter(judgements))
    task = _Task(judgements, first.kind, _conditions(judgements, order))
    return {
        "name": first.task,
        "kind": first.kind,
        "judgements": len(judgements),
        "raters": len({one.rater for one in judgements}),
        "scale": first.scale if first.kind in ("opinion", "alignment") else None,
        "conditions": task.conditions,
        "scores": task.scores(judgements),
        **task.of_kind(),
        "agreement": task.agreed(),
        "contrasts": task.contrasts(),
        "groups": task.groups(),
        "needed": None if half_width is None else task.needed(half_width),
        "notes": task.notes,
    }


class _Task:
    """One task's judgements, and notes of what cannot be told of them."""

    def __init__(self, rows: Judgements, kind: str, conditions: list[str]) -> None:
        self.rows, self.kind, self.conditions = rows, kind, conditions
        self.notes: list[str] = []

    def scores(self, rows: Judgements) -> list[Row]:
        """Return each condition's scores."""
        if self.kind == "preference":
            return [{"condition": name, "share": told(preference_share(rows, name))} for name in self.conditions]
        if self.kind == "categorisation":
            return [_detected(one) for one in self._in_order(categorise(rows))]
        raw, normalised = mean_opinions(rows), mean_opinions(rows, normalised=True)
        names = [name for name in self.conditions if name in raw]
        return [{"condition": n, "mean": told(raw[n]), "normalised": told(normalised[n])} for n in names]

    def _in_order(self, found: Sequence[Categorisation]) -> list[Categorisation]:
        return sorted(found, key=lambda one: (self.conditions.index(one.condition), one.exposure_ms or 0))

    def of_kind(self) -> Row:
        """Return what only this kind of task has."""
        if self.kind == "preference":
            return {"wins": self._wins(), "strengths": self._strengths(), "online": self._online()}
        if self.kind == "categorisation":
            if wrong := len(lasted_wrong(self.rows)):
                self.notes.append(
                    f"{wrong} of {len(self.rows)} images were on the screen a frame longer or shorter than asked."
                )
            return {"needed_exposures": self._exposures(), "lasted_wrong": wrong}
        covariance = opinion_covariance(self.rows, self.conditions)
        return {"covariance": [[plain(value) for value in row] for row in covariance.tolist()]}

    def _wins(self) -> Row:
        matrix = win_matrix(self.rows, self.conditions)
        return {"conditions": list(matrix.names), "wins": matrix.wins.tolist(), "ties": matrix.ties.tolist()}

    def _strengths(self) -> Row | None:
        found, prior = self._attempt("strengths", bradley_terry, self.rows, is_told=False), None
        if found is None:
            prior = PRIOR
            found = self._attempt("strengths", bradley_terry, self.rows, prior=prior)
        if found is None:
            return None
        estimates = found.estimates()
        return {
            "model": "Davidson" if found.has_ties else "Bradley–Terry",
            "conditions": [{"condition": n, "strength": told(estimates[n])} for n in self.conditions if n in estimates],
            "side": None if found.side is None else told(found.side),
            "left_share": None if found.left_share is None else told(found.left_share),
            "tie": plain(found.tie),
            "prior": prior,
            "covariance": [[plain(value) for value in row] for row in _ordered(found, self.conditions)],
            "notes": [] if prior is None else [PRIOR_NOTE.format(prior)],
        }

    def _online(self) -> list[Row] | None:
        ratings = self._attempt("online ratings", online_ratings, self.rows)
        if ratings is None:
            return None
        return [
            {"condition": name, "mu": plain(one.mu), "sigma": plain(one.sigma), "ordinal": plain(one.ordinal)}
            for name, one in ratings.items()
        ]

    def _exposures(self) -> list[Row]:
        found = categorise(self.rows)
        of = {name: [one for one in found if one.condition == name] for name in self.conditions}
        return [
            {"condition": name, "dprime": 1.0, "exposure_ms": plain(exposure_needed(own, 1.0))}
            for name, own in of.items()
            if own
        ]

    def agreed(self) -> Row | None:
        """Return how far raters agree."""
        found = self._attempt("agreement", agreement, self.rows)
        if found is None:
            return None
        if found.note:
            self.notes.append(f"Agreement cannot be told: {found.note}.")
        return {"alpha": told(found.alpha), "level": found.level, "units": found.units, "alone": found.alone}

    def contrasts(self) -> list[Row]:
        """Return all pairs of conditions, p also adjusted by Holm; of a categorisation, the generated ones."""
        names = [name for name in self.conditions if name not in self._real()]
        pairs = list(combinations(names, 2))
        found = [contrast(self.rows, *pair) for pair in pairs]
        adjusted = holm([one.p for one in found])
        most = {"preference": 0.5, "categorisation": 1}.get(self.kind, next(iter(self.rows)).scale - 1)
        return [
            {
                "first": first,
                "second": second,
                "difference": told(one.difference.within(-most, most)),
                "p": plain(one.p),
                "p_holm": plain(p),
                "pairs": one.pairs,
            }
            for (first, second), one, p in zip(pairs, found, adjusted)
        ]

    def groups(self) -> Row:
        """Return what each category and challenge of prompts says, where there are several."""
        found = {}
        for by in GROUPED_BY:
            names = sorted({value for row in self.rows if (value := getattr(row, by))})
            if len(names) > 1:
                found[by] = [self._group(name, self.rows.where(**{by: name})) for name in names]
        return found

    def _group(self, name: str, rows: Judgements) -> Row:
        scores = {one: values_of(rows, one) for one in self.conditions}
        told_of = [{"condition": one, "score": told(self._mean(*values))} for one, values in scores.items()]
        return {"name": name, "judgements": len(rows), "scores": told_of}

    def _mean(self, values: Sequence[float], raters: Sequence[str], units: Sequence[Any]) -> Estimate:
        if self.kind in ("opinion", "alignment"):
            return clustered_mean(values, raters, units).within(1, next(iter(self.rows)).scale)
        return share(values, raters, units)

    def needed(self, half_width: float) -> Row:
        """Return how many judgements each condition's score still needs."""
        rows = []
        for name in (one for one in self.conditions if one not in self._real()):
            found = still_needed(*values_of(self.rows, name), half_width)
            rows.append(
                {
                    "condition": name,
                    "half_width": plain(found.half_width),
                    "judgements": found.judgements,
                    "raters": found.raters,
                    "same_raters": found.same_raters,
                    "note": found.note,
                }
            )
        return {"half_width": half_width, "conditions": rows}

    def _real(self) -> set[str]:
        return {row.conditions[0] for row in self.rows if row.kind == "categorisation" and row.truth == 1}

    def _attempt(
        self, what: str, make: Callable[..., Made], *args: Any, is_told: bool = True, **options: Any
    ) -> Made | None:
        """Return what a function makes; None, and a note, where it refuses or lacks a package."""
        try:
            return make(*args, **options)
        except (ValueError, ImportError) as error:
            if is_told:
                self.notes.append(f"{what[0].upper()}{what[1:]} cannot be told: {error}")
            return None


def values_of(rows: Judgements, condition: str) -> tuple[list[float], list[str], list[frozenset[str]]]:
    """Return a condition's answers as it sees them, who gave them, and of what: a share's or a score's parts."""
    own = rows.where(condition=condition, checks=False)
    values = [row.side_of(condition) if row.kind == "preference" else float(row.answer) for row in own]
    return values, [row.rater for row in own], [row.units for row in own]


def _detected(one: Categorisation) -> Row:
    names = ("accuracy", "fooled", "dprime", "bias")
    estimates = {name: told(getattr(one, name)) for name in names}
    counts = dict(zip(COUNTS, one.detections.counts))
    return {"condition": one.condition, "exposure_ms": plain(one.exposure_ms), **estimates, **counts}


def _ordered(found: Strengths, conditions: Sequence[str]) -> Any:
    """Return the covariance of strengths in the order of conditions."""
    places = [found.names.index(name) for name in conditions if name in found.names]
    return found.covariance[np.ix_(places, places)].tolist()


def _conditions(rows: Judgements, order: Sequence[str]) -> list[str]:
    seen = {name for row in rows for name in row.conditions}
    return [name for name in order if name in seen] + sorted(seen - {*order})


def told(estimate: Estimate) -> Row | None:
    """Return an estimate as plain values; None where there is none."""
    if not isfinite(estimate.value):
        return None
    ends = {end: plain(getattr(estimate, end)) for end in ("value", "low", "high", "half_width")}
    return {**ends, "judgements": estimate.judgements, "raters": estimate.raters}


def plain(value: float | None) -> float | None:
    """Return a number; None where it is none, or not finite."""
    return None if value is None or not isfinite(value) else float(value)
