"""Results of a study: every statistic of its judgements as plain values, ready for JSON, terminal and page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streaming_metrics.ratings.categorisation import lasted_wrong
from streaming_metrics.ratings.judgements import Judgements
from streaming_metrics.ratings.raters import Thresholds, rater_quality, without
from streaming_metrics.ratings.results_file import FORMAT, VERSION
from streaming_metrics.ratings.study_signature import StudySignature
from streaming_metrics.ratings.task_results import plain, task_results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming_metrics.ratings.raters import RaterQuality


@dataclass(frozen=True)
class StudyFacts:
    """Facts of a study that its judgements do not hold.

    Args:
        conditions: in the order in which they are shown; those that were judged alone where empty.
        tasks: names in the order in which they are shown.
        prompts: first 8 hex digits of the prompts' sha256, ``"none"`` without prompts.
        items: the same of the images.
        simulated: whether no person judged.
    """

    conditions: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    prompts: str = "none"
    items: str = "none"
    simulated: bool = False


def results(
    judgements: Judgements,
    facts: StudyFacts = StudyFacts(),
    *,
    half_width: float | None = None,
    without_flagged: bool = False,
    without_mistimed: bool = False,
    thresholds: Thresholds | None = None,
) -> dict[str, Any]:
    """Return all that judgements say, as plain values: what cannot be told is None, and why is among the notes.

    Attention checks count in the raters' quality alone.

    Args:
        judgements: of one study, attention checks among them.
        facts: what they do not hold.
        half_width: until which judgements still needed are planned; None plans none.
        without_flagged: leave out raters whose quality is flagged, and say how many.
        without_mistimed: leave out answers to images that were on the screen a frame longer or shorter than asked, and
            say how many.
        thresholds: of the flags; the usual ones where None.

    Raises:
        ValueError: where there is no judgement.
    """
    if not any(one.expected is None for one in judgements):
        but = f" but {len(judgements)} attention checks" if len(judgements) else ""
        raise ValueError(
            f"results: expected judgements, got none{but}. Remedy: let raters answer (`study serve`), or give "
            "their files with --answers."
        )
    quality = rater_quality(judgements, thresholds or Thresholds())
    flagged = [one.rater for one in quality if one.flags] if without_flagged else []
    kept, left_out = without(judgements, flagged) if flagged else (judgements, 0)
    told = kept.where(checks=False)
    if not len(told):
        raise ValueError(_ALL_FLAGGED.format(len(flagged)))
    told, wrong = _timed(told) if without_mistimed else (told, 0)
    names = _ordered({one.task for one in told}, facts.tasks)
    tasks = [task_results(told.where(task=name), facts.conditions, half_width) for name in names]
    raters = len({one.rater for one in told})
    study = next(iter(told)).study
    signature = StudySignature(
        study, tuple(names), facts.prompts, facts.items, raters, len(told), simulated=facts.simulated
    )
    return {
        "format": FORMAT,
        "version": VERSION,
        "signature": str(signature),
        "study": study,
        "raters_are": "simulated" if facts.simulated else "people",
        "confidence": 0.95,
        "judgements": len(told),
        "checks": len(kept.where(checks=True)),
        "raters_counted": raters,
        "left_out": {"raters": flagged, "judgements": left_out},
        "notes": _notes(flagged, left_out, wrong),
        "tasks": tasks,
        "raters": [_rater(one) for one in quality],
        "beside": [],
    }


def _timed(told: Judgements) -> tuple[Judgements, int]:
    """Return the judgements whose images were on the screen as long as asked, and how many were not."""
    wrong = {one.key for one in lasted_wrong(told)}
    kept = Judgements(one for one in told if one.key not in wrong)
    if not len(kept):
        raise ValueError(_ALL_MISTIMED.format(len(wrong)))
    return kept, len(wrong)


_ALL_FLAGGED = (
    "results: expected judgements by raters without flags, got none: all {} are flagged. Remedy: leave "
    "--without-flagged out, and read the raters' table."
)


def _ordered(names: set[str], order: Sequence[str]) -> list[str]:
    return [name for name in order if name in names] + sorted(names - {*order})


def _notes(flagged: Sequence[str], left_out: int, wrong: int) -> list[str]:
    who = "flagged rater was" if len(flagged) == 1 else "flagged raters were"
    raters = f"{len(flagged)} {who} left out, with {left_out} judgements."
    what = "judgement was left out, whose image was" if wrong == 1 else "judgements were left out, whose images were"
    times = f"{wrong} {what} on the screen a frame longer or shorter than asked."
    return [note for note, holds in ((raters, flagged), (times, wrong)) if holds]


def _rater(one: RaterQuality) -> dict[str, Any]:
    return {
        "rater": one.rater,
        "judgements": one.judgements,
        "checks": one.checks,
        "passed": one.passed,
        "median_reaction_ms": plain(one.median_reaction_ms),
        "agreement": plain(one.agreement),
        "flags": list(one.flags),
    }


_ALL_MISTIMED = (
    "results: expected judgements of images that were on the screen for as long as asked, got none: all {} were not. "
    "Remedy: leave --without-mistimed out, and read how long they were there in the judgements."
)
