"""Submitted answers: what a rater's page posts, checked before anything is kept of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from streaming_metrics.study.judging import Submitted
from streaming_metrics.study.replies import Refusal, shown

if TYPE_CHECKING:
    from streaming_metrics.study.trial import Trial

KEYS = {"number", "answer", "reaction_ms", "shown_ms"}
LONGEST_MS = 24 * 3600 * 1000.0
EXAMPLE = '{"number": 12, "answer": 1, "reaction_ms": 812.3, "shown_ms": 100.1}'


def submitted(body: bytes) -> Submitted:
    """Return the answer that a body holds.

    Raises:
        Refusal: 400, where it is no such JSON.

    Example:
        >>> submitted(b'{"number": 3, "answer": 1}')
        Submitted(number=3, answer=1.0, reaction_ms=None, shown_ms=None)
    """
    fields = _object(body)
    if not {"number", "answer"} <= fields.keys() <= KEYS:
        raise _refused(
            "the keys number and answer, and reaction_ms and shown_ms where measured", ", ".join(sorted(fields))
        )
    number = fields["number"]
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 10**9:
        raise _refused("number: an integer from 0", number)
    times = (None if fields.get(key) is None else _real(key, fields[key]) for key in ("reaction_ms", "shown_ms"))
    return Submitted(number, _real("answer", fields["answer"]), *times)


def check_allowed(given: Submitted, trial: Trial) -> None:
    """Raise Refusal (422) unless a trial has this answer among those that it allows."""
    if given.answer not in trial.allowed:
        text = ", ".join(f"{answer:g}" for answer in trial.allowed)
        raise Refusal(422, f"answer: one of {text}", f"{given.answer:g}", "send one of these.")


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body.decode("utf-8"), parse_constant=_no_number, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:  # RecursionError: brackets within brackets
        raise _refused("JSON in UTF-8", body[:200]) from error
    if not isinstance(found, dict):
        raise _refused("a JSON object", found)
    return found


def _no_number(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity, which Python reads and JSON has not


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key twice")
    return dict(pairs)


def _real(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST_MS:
        raise _refused(f"{name}: a number from 0 to {LONGEST_MS:g}", value)
    return float(value)


def _refused(expected: str, got: object) -> Refusal:
    return Refusal(400, expected, shown(got), f"send {EXAMPLE}.")
