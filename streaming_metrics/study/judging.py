"""Judgement of an answered trial: what was shown joined to what was answered, as the statistics read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streaming_metrics.ratings.judgement import Judgement

if TYPE_CHECKING:
    from streaming_metrics.study.trial import Trial


@dataclass(frozen=True)
class Submitted:
    """Answer to a trial as it came, of the right types: whether it is one that the trial allows is still to be seen."""

    number: int
    answer: float
    reaction_ms: float | None = None
    shown_ms: float | None = None


def judgement_of(trial: Trial, given: Submitted, *, study: str, rater: str, when: str) -> Judgement:
    """Return the judgement that an answer to a trial is.

    Args:
        trial: as the rater saw it.
        given: what was answered and measured.
        study: ``<name>-<digest>``.
        rater: pseudonym.
        when: ISO 8601, UTC.
    """
    return Judgement(
        study=study,
        task=trial.task,
        kind=trial.kind,
        rater=rater,
        trial=trial.number,
        items=trial.ids,
        conditions=trial.conditions,
        answer=given.answer,
        when=when,
        prompt=trial.prompt,
        category=trial.category,
        challenge=trial.challenge,
        truth=trial.truth,
        expected=trial.expected,
        reaction_ms=given.reaction_ms,
        shown_ms=given.shown_ms,
        exposure_ms=trial.exposure_ms,
        scale=trial.scale,
    )
