"""Errors of measures: the standard errors that there are, asked for of all at once."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

from streaming_metrics.measures.jackknife import Jackknife

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streaming_metrics.measures.base import Measure


def with_errors(measures: Iterable[Measure]) -> list[Measure]:
    """Return measures with the standard errors that there are of them, in their order.

    ``se=True`` of those that have it; :class:`Jackknife` around those that add up and say so in ``jackknifed``; all
    others as they are. ``ParzenLikelihood`` has its error always. No error is known of: ``C2ST``, ``MMD``'s p-value,
    ``NNAA`` and ``BirthdayParadox``, which are tests, or have an interval of their own; ``WassersteinCritic``, whose
    training is most of its spread; ``SlicedWasserstein`` and ``GeometryScore``, whose directions and landmarks are; the
    mean of ``IntraFID``; and ``ModifiedIS``, of which twenty states are 320 MB. Measures of your own: declare
    ``jackknifed``, or give them ``se``.

    Example:
        >>> from streaming_metrics.measures import C2ST, KID, AMScore
        >>> [measure.describe() for measure in with_errors([KID(), AMScore(), C2ST()])]
        ['kid(se=True)', 'am_score(se=True)', 'c2st']
    """
    return [with_error(measure) for measure in measures]


def with_error(measure: Measure) -> Measure:
    """Return a measure with its standard error, or as it is where there is none."""
    if any(scalar.about for scalar in measure.scalars):  # it is there already
        return measure
    if has_error(type(measure)):
        told: Measure = replace(measure, se=True)  # pyright: ignore[reportCallIssue]
        return told if any(scalar.about for scalar in told.scalars) else measure  # a class of one's own may yield none
    return Jackknife(measure) if measure.jackknifed else measure


def has_error(cls: type[Measure]) -> bool:
    """Return whether a measure has a standard error of its own, by ``se=True``."""
    return any(f.name == "se" for f in fields(cls))
