"""Answers of an exported study: files that raters send back, joined to the trials that their slot was shown."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streaming_metrics.ratings.judgements import Judgements
from streaming_metrics.study.judging import Submitted, judgement_of
from streaming_metrics.study.order import trials
from streaming_metrics.study.submitted import LONGEST_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming_metrics.ratings.judgement import Judgement
    from streaming_metrics.study.plan import StudyPlan
    from streaming_metrics.study.trial import Trial

FORMAT, VERSION = "streaming-metrics-answers", 1
LARGEST = 1 << 24
"""Bytes of a file of answers, at most: those of ten thousand trials take a tenth of it."""
MOST_SLOTS = 100_000
TIMES = ("reaction_ms", "shown_ms")


def judgements_of(path: str | Path, plan: StudyPlan) -> Judgements:
    """Return the judgements that a rater's file of answers holds.

    Args:
        path: a file that the page of an export saved, or posted.
        plan: of the study, with its images: it says what each trial showed.

    Raises:
        OSError: where there is no such file.
        ValueError: where it is damaged, of another study, or answers what was not asked; it names the file.

    Example:
        A rater who has not finished may send what there is: ``answers`` are those of trials 0, 1, 2, ….
    """
    path = Path(path)
    try:
        found = _read(path)
        if found["study"] != plan.study:
            raise _unexpected(f"answers of {plan.study}", f"those of {found['study']}", "the plan that was exported")
        return Judgements(_judged(found, plan))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _judged(found: dict[str, Any], plan: StudyPlan) -> list[Judgement]:
    order = trials(plan, found["slot"])
    judged = []
    for number, answer in enumerate(found["answers"]):
        given, when = _answer(answer, number, order)
        judged.append(judgement_of(order[number], given, study=plan.study, rater=found["rater"], when=when))
    return judged


def _read(path: Path) -> dict[str, Any]:
    if path.stat().st_size > LARGEST:
        raise _unexpected(f"at most {LARGEST} bytes", f"{path.stat().st_size}", "a file that the study's page saved")
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _unexpected("JSON", f"something else ({error})") from error
    if not isinstance(found, dict) or (found.get("format"), found.get("version")) != (FORMAT, VERSION):
        raise _unexpected(f"answers of format {FORMAT} {VERSION}", "something else")
    slot, rater, answers = found.get("slot"), found.get("rater"), found.get("answers")
    if not isinstance(slot, int) or isinstance(slot, bool) or not 0 <= slot < MOST_SLOTS:
        raise _unexpected("slot: a number from 0", repr(slot))
    if not isinstance(rater, str) or not rater.isalnum() or len(rater) > 64:
        raise _unexpected("rater: a random code", repr(rater)[:80])
    if not isinstance(found.get("study"), str) or not isinstance(answers, list):
        raise _unexpected("study and answers", f"{sorted(found)}")
    return found


def _answer(answer: Any, number: int, order: Sequence[Trial]) -> tuple[Submitted, str]:
    """Return an answer, checked, and when it was given."""
    if number >= len(order):
        raise _unexpected(f"{len(order)} answers at most", "more")
    if not isinstance(answer, dict) or answer.get("number") != number or isinstance(answer.get("number"), bool):
        raise _unexpected(f"the answer to trial {number}", f"{answer!r}"[:80])
    given, when = answer.get("answer"), answer.get("when")
    if isinstance(given, bool) or given not in order[number].allowed:
        allowed = ", ".join(f"{one:g}" for one in order[number].allowed)
        raise _unexpected(f"the answer to trial {number} among {allowed}", f"{given!r}"[:80])
    if not isinstance(when, str) or not _is_time(when):
        raise _unexpected(f"when trial {number} was answered", f"{when!r}"[:80])
    return Submitted(number, float(given), *(_time(answer.get(name), name, number) for name in TIMES)), when


def _is_time(when: str) -> bool:
    try:
        datetime.fromisoformat(when.replace("Z", "+00:00"))
    except ValueError:
        return False
    return len(when) <= 40


def _time(value: Any, name: str, number: int) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST_MS:
        raise _unexpected(f"{name} of trial {number}: milliseconds from 0 to {LONGEST_MS:g}", f"{value!r}"[:80])
    return float(value)


def _unexpected(expected: str, got: str, remedy: str = "the file as the study's page saved it") -> ValueError:
    return ValueError(f"expected {expected}, got {got}. Remedy: {remedy}.")
