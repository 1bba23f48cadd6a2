"""Order of a study's trials: balanced over raters, shuffled for each, the same whenever it is asked for.

All trials of a task are one endless sequence, of which the rater of slot s gets the s-th stretch of ``per_rater``; so
a rater's order depends on nothing but the plan and the slot. Trial t of the sequence shows the images of index t
modulo K (K images a condition) and the pair t modulo P (P pairs of conditions, or conditions), moved on by one
whenever t has gone through the least common multiple of both. Then, in any stretch from the beginning, pairs are
shown equally often up to one, and so are indices, and so are the K·P combinations; any K trials in a row have K
different indices, and any K·P all combinations. Sides, or exposures, take turns over the trials of a pair, and from
one round of K·P trials to the next.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import lcm
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from streaming_metrics.study.feasible import checks_in, images_of, noise_origin, noise_source
from streaming_metrics.study.task import pairs_of
from streaming_metrics.study.trial import CATEGORISATION, NOISE, PREFERENCE, Trial

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streaming_metrics.study.plan import StudyPlan
    from streaming_metrics.study.task import Task

T = TypeVar("T")


class Cell(NamedTuple):
    """Cell of the balanced sequence: which pair, which image, which turn (of sides or exposures)."""

    pair: int
    image: int
    turn: int


def trials(plan: StudyPlan, slot: int) -> tuple[Trial, ...]:
    """Return all trials of a rater slot, numbered from 0.

    Tasks come in blocks, whose order rotates over slots; within a block trials are shuffled, and attention checks are
    spread: none comes first, no two are neighbours.

    Args:
        plan: with its images (:meth:`~streaming_metrics.study.plan.StudyPlan.with_items`).
        slot: of the rater, from 0.

    Raises:
        ValueError: where the plan has no images yet.
    """
    if not plan.counts:
        raise ValueError("trials: expected a plan with its images, got one without. Remedy: plan.with_items(…).")
    turn = slot % len(plan.tasks)
    rotated = (*plan.tasks[turn:], *plan.tasks[:turn])
    found = [trial for task in rotated for trial in _block(plan, task, slot)]
    return tuple(Trial(**{**vars(trial), "number": number}) for number, trial in enumerate(found))


def cell(t: int, pairs: int, indices: int, turns: int) -> Cell:
    """Return the cell of trial t of the balanced sequence.

    Example:
        >>> [cell(t, pairs=2, indices=2, turns=2)[:] for t in range(4)]
        [(0, 0, 0), (1, 1, 0), (1, 0, 1), (0, 1, 1)]
    """
    stretch = lcm(pairs, indices)
    cycle, within = divmod(t, pairs * indices)
    shift, at = divmod(within, stretch)
    pair = (at + shift) % pairs
    nth_of_pair = shift * (stretch // pairs) + at // pairs
    return Cell(pair, t % indices, (nth_of_pair + cycle) % turns)


@dataclass(frozen=True)
class _Sequence:
    """Sequence of all trials of a task, with what is shuffled in it."""

    plan: StudyPlan
    task: Task
    pairs: tuple[tuple[str, ...], ...]
    indices: tuple[int, ...]

    @classmethod
    def of(cls, plan: StudyPlan, task: Task) -> _Sequence:
        pairs = pairs_of(task)
        if task.kind != CATEGORISATION:  # there generated and real images take turns
            pairs = shuffled(pairs, plan.seed, task.name)
        return cls(plan, task, tuple(pairs), tuple(_indices(plan, task)))

    def trial(self, t: int) -> Trial:
        task, exposures = self.task, self.task.exposures_ms
        turns = 2 if task.kind == PREFERENCE else max(1, len(exposures))
        found = cell(t, len(self.pairs), len(self.indices), turns)
        shown, index = self.pairs[found.pair], self.indices[found.image]
        if task.kind == PREFERENCE and found.turn:
            shown = shown[::-1]
        exposure = exposures[(found.turn + found.pair // 2) % len(exposures)] if exposures else None
        truth = float(shown[0] == task.real) if task.kind == CATEGORISATION else None
        return _shown(self.plan, task, [(name, index) for name in shown], truth=truth, exposure_ms=exposure)


def _block(plan: StudyPlan, task: Task, slot: int) -> list[Trial]:
    sequence, first = _Sequence.of(plan, task), slot * task.per_rater
    made = [sequence.trial(t) for t in range(first, first + task.per_rater)]
    return _with_checks(plan, task, slot, shuffled(made, plan.seed, task.name, slot))


def _indices(plan: StudyPlan, task: Task) -> list[int]:
    """Return the indices of images, shuffled so that every prompt comes once before one comes again."""
    count = images_of(plan, task)
    prompts = len(plan.prompts) if plan.prompts and task.shows_prompts else count
    order = shuffled(range(prompts), plan.seed, task.name, "indices")
    return [start + one for start in range(0, count, prompts) for one in order]


def _with_checks(plan: StudyPlan, task: Task, slot: int, made: list[Trial]) -> list[Trial]:
    """Return a block with a check behind some trial of each of as many equal stretches as there are checks."""
    count = checks_in(plan, task)
    found = list(made)
    for check in reversed(range(count)):  # from the end, so that places before it stay
        start, end = check * len(made) // count, (check + 1) * len(made) // count
        behind = start + _number(plan.seed, task.name, slot, "place", check) % (end - start)
        found.insert(behind + 1, _check(plan, task, slot * count + check))
    return found


def _check(plan: StudyPlan, task: Task, nth: int) -> Trial:
    noise = nth % plan.counts[NOISE]
    image = (noise_source(plan), noise_origin(plan, noise))
    if task.kind == PREFERENCE:
        noise_first = _number(plan.seed, task.name, "side", nth) % 2
        shown = [(NOISE, noise), image] if noise_first else [image, (NOISE, noise)]
        return _shown(plan, task, shown, expected=0.0 if noise_first else 1.0, prompt_index=image[1])
    is_categorisation = task.kind == CATEGORISATION
    return _shown(
        plan,
        task,
        [(NOISE, noise)],
        expected=0.0 if is_categorisation else 1.0,
        truth=0.0 if is_categorisation else None,
        exposure_ms=max(task.exposures_ms, default=None),
        prompt_index=image[1],
    )


def _shown(
    plan: StudyPlan, task: Task, shown: list[tuple[str, int]], *, prompt_index: int | None = None, **more: Any
) -> Trial:
    prompt = plan.prompt_of(shown[0][1] if prompt_index is None else prompt_index) if task.shows_prompts else None
    words = (
        {} if prompt is None else {"prompt": prompt.text, "category": prompt.category, "challenge": prompt.challenge}
    )
    return Trial(
        number=-1,
        task=task.name,
        kind=task.kind,
        items=tuple(plan.number(condition, index) for condition, index in shown),
        ids=tuple(f"{condition}/{index}" for condition, index in shown),
        conditions=tuple(condition for condition, _ in shown),
        scale=task.scale,
        ties=task.ties,
        **words,
        **more,
    )


def shuffled(things: Iterable[T], *seed: object) -> list[T]:
    """Return things in an order that the seed decides, the same in every version of Python."""
    things = list(things)
    order = sorted(range(len(things)), key=lambda i: _number(*seed, i))
    return [things[i] for i in order]


def _number(*seed: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(seed).encode()).digest()[:8], "big")
