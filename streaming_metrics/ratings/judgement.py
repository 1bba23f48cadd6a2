"""Judgement: one answer of one rater to one trial."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

KINDS = ("preference", "opinion", "alignment", "categorisation")
NUMBERS = ("truth", "expected", "reaction_ms", "shown_ms", "exposure_ms")


@dataclass(frozen=True)
class Judgement:
    """Judgement: one answer of one rater to one trial; (study, rater, trial) is unique.

    Args:
        study: ``<name>-<digest>``.
        task: name of the task in the study.
        kind: ``"preference"``, ``"opinion"``, ``"alignment"`` or ``"categorisation"``.
        rater: pseudonym, never a name.
        trial: number of the trial in that rater's order.
        items: ``condition/number`` of what was shown, from left to right: two of a preference, else one.
        conditions: of the items.
        answer: of a preference 1 where the left one wins, 0 where the right one does, 0.5 for a tie; of an opinion or
            alignment 1 to ``scale``; of a categorisation 1 for "real", 0 for "fake".
        when: ISO 8601, UTC.
        prompt, category, challenge: of the prompt; empty where there is none.
        truth: of a categorisation 1 where the item is real, 0 where it is generated.
        expected: what an attentive rater answers; such a row is an attention check, and no judgement of a condition.
        reaction_ms: from what was shown to the answer.
        shown_ms, exposure_ms: how long it was shown, measured, and how long it should have been.
        scale: the highest score of an opinion or alignment.

    Raises:
        TypeError: where a field is of another type.
        ValueError: where an answer is out of range, a number is not finite, or the items do not fit the kind.

    Example:
        >>> shown = {"items": ("a/0", "b/0"), "conditions": ("a", "b")}
        >>> one = Judgement("digits-1a2b3c4d", "preference", "preference", "9f", 0, answer=1.0, when="", **shown)
        >>> one.unit, one.is_check, one.side_of("b")
        ('0', False, 0.0)
    """

    study: str
    task: str
    kind: str
    rater: str
    trial: int
    items: tuple[str, ...]
    conditions: tuple[str, ...]
    answer: float
    when: str
    prompt: str = ""
    category: str = ""
    challenge: str = ""
    truth: float | None = None
    expected: float | None = None
    reaction_ms: float | None = None
    shown_ms: float | None = None
    exposure_ms: float | None = None
    scale: int = 5

    def __post_init__(self) -> None:
        self._check_types()
        expected = 2 if self.kind == "preference" else 1
        if self.kind not in KINDS:
            raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {self.kind!r}.")
        if not len(self.items) == len(self.conditions) == expected:
            raise ValueError(
                f"items, conditions: expected {expected} of each for {self.kind}, got {self.items} and "
                f"{self.conditions}. Remedy: one of each image that was shown."
            )
        if self.trial < 0 or self.scale < 2:
            raise ValueError(f"trial, scale: expected at least 0 and 2, got {self.trial} and {self.scale}.")
        if not self._is_answer(self.answer):
            raise ValueError(f"answer: expected {self._answers}, got {self.answer!r}.")
        for name in NUMBERS:
            value = getattr(self, name)
            if value is not None and not isfinite(value):
                raise ValueError(f"{name}: expected a finite number or None, got {value!r}.")

    def _check_types(self) -> None:
        for name in ("study", "task", "kind", "rater", "when", "prompt", "category", "challenge"):
            _check(name, getattr(self, name), str)
        for name in ("items", "conditions"):
            for one in _check(name, getattr(self, name), tuple):
                _check(name, one, str)
        for name in ("trial", "scale"):
            _check(name, getattr(self, name), int)
        _check("answer", self.answer, (int, float))
        for name in NUMBERS:
            if getattr(self, name) is not None:
                _check(name, getattr(self, name), (int, float))

    def _is_answer(self, answer: float) -> bool:
        if self.kind in ("opinion", "alignment"):
            return 1 <= answer <= self.scale
        return answer in ((0, 0.5, 1) if self.kind == "preference" else (0, 1))

    @property
    def _answers(self) -> str:
        if self.kind in ("opinion", "alignment"):
            return f"1 to {self.scale}"
        return "1, 0.5 or 0" if self.kind == "preference" else "1 (real) or 0 (fake)"

    @property
    def is_check(self) -> bool:
        """Whether it is an attention check."""
        return self.expected is not None

    @property
    def unit(self) -> str:
        """What it is of, whichever the condition: the prompt; without one the items' number, which conditions share.

        Images of one number are of one prompt, or of the same noise; items of different numbers are a unit together.
        """
        numbers = {item.rpartition("/")[2] for item in self.items}
        return self.prompt or (numbers.pop() if len(numbers) == 1 else " ".join(sorted(self.items)))

    @property
    def units(self) -> frozenset[str]:
        """What it is of, each of which others may be of too: :attr:`unit`, but either item where numbers differ."""
        is_mixed = not self.prompt and len({item.rpartition("/")[2] for item in self.items}) > 1
        return frozenset(self.items if is_mixed else [self.unit])

    @property
    def key(self) -> tuple[str, str, int]:
        """What no other judgement shares."""
        return self.study, self.rater, self.trial

    def side_of(self, condition: str) -> float:
        """Return the answer of a preference as a condition sees it: 1 where it won, 0 where it lost, 0.5 for a tie."""
        return float(self.answer if self.conditions[0] == condition else 1 - self.answer)


def of_one_task(who: str, rows: Iterable[Judgement]) -> list[Judgement]:
    """Return judgements that count, of one task: those of several questions, or scales, are not one number.

    Args:
        who: names the caller in the error.
        rows: attention checks among them are left out.

    Raises:
        ValueError: where they are of several tasks.
    """
    found = [row for row in rows if not row.is_check]
    tasks = sorted({row.task for row in found})
    if len(tasks) > 1:
        named = ", ".join(tasks)
        raise ValueError(
            f"{who}: expected judgements of one task, got {named}. Remedy: judgements.where(task={tasks[0]!r})."
        )
    return found


FIELDS = tuple(field.name for field in fields(Judgement))


def _check(name: str, value: Any, kind: Any) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        raise TypeError(f"{name}: expected {' or '.join(one.__name__ for one in kinds)}, got {value!r}.")
    return value
