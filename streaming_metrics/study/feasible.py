"""Feasibility of a plan: whether its images suffice for what it asks, and match its prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming_metrics.study.task import pairs_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.study.plan import StudyPlan
    from streaming_metrics.study.task import Task

MOST_NOISE = 16
"""Noise images that are made for attention checks, at most."""


def check_counts(plan: StudyPlan) -> None:
    """Raise ValueError where the images of a plan are too few, or not a whole number for each prompt."""
    if checks_of_any(plan):
        _refuse_none(plan.counts, noise_source(plan))
    for task in plan.tasks:
        for condition in task.all_conditions:
            _refuse_none(plan.counts, condition)
            if plan.prompts and task.shows_prompts:
                _refuse_other_number(plan, condition)
        possible = len(pairs_of(task)) * images_of(plan, task)
        if task.per_rater > possible:
            raise ValueError(
                f"task {task.name}: expected at most {possible} trials a rater, which is all that its images make, "
                f"got per_rater = {task.per_rater}. Remedy: more images, or fewer trials."
            )


def images_of(plan: StudyPlan, task: Task) -> int:
    """Return how many images of each condition a task shows: as many as the condition with the fewest has."""
    return min(plan.counts[condition] for condition in task.all_conditions)


def notes(plan: StudyPlan) -> list[str]:
    """Return what whoever plans a study should know before anyone answers, a line each."""
    texts = [prompt.text for prompt in plan.prompts]
    said = [
        f"prompts {texts.index(text) + 1} and {number} are one text, and their images count as of one prompt: {text!r}"
        for number, text in enumerate(texts, 1)
        if texts.index(text) + 1 != number
    ]
    for task in plan.tasks:
        used = images_of(plan, task)
        if left := [f"{name} {plan.counts[name]}" for name in task.all_conditions if plan.counts[name] > used]:
            said.append(f"task {task.name}: the first {used} images of each condition are shown, of {', '.join(left)}")
        if task.per_rater > used:
            what = "prompt" if plan.prompts else "index"
            said.append(
                f"task {task.name}: a rater sees {task.per_rater} trials of {used} images a condition, so "
                f"images of one {what} come more than once, in another condition"
            )
        cells = len(pairs_of(task)) * max(1, len(task.exposures_ms))
        if (total := plan.raters * task.per_rater) < 30 * cells:
            said.append(
                f"task {task.name}: {total} trials of {plan.raters} raters are {total / cells:.3g} for each of {cells} "
                "combinations, too few for small differences"
            )
    return said


def noise_count(plan: StudyPlan) -> int:
    """Return how many noise images the attention checks of a plan show."""
    return min(MOST_NOISE, plan.counts[noise_source(plan)]) if checks_of_any(plan) else 0


def noise_source(plan: StudyPlan) -> str:
    """Return the condition whose images noise images are made of, and shown beside: one that looks least like noise.

    That is the real one, or without it the last that is judged, of a training the latest. Of images with prompts it is
    one that has them.
    """
    real = next((task.real for task in plan.tasks if task.real), None)
    if real and not plan.prompts:
        return real
    return next((task for task in plan.tasks if task.shows_prompts), plan.tasks[0]).conditions[-1]


def noise_origin(plan: StudyPlan, index: int) -> int:
    """Return which image of :func:`noise_source` a noise image is made of; they are spread over all."""
    count = noise_count(plan)
    return index * plan.counts[noise_source(plan)] // count


def checks_in(plan: StudyPlan, task: Task) -> int:
    """Return how many attention checks a rater's block of a task has."""
    return task.per_rater // plan.check_every if plan.check_every else 0


def checks_of_any(plan: StudyPlan) -> bool:
    """Return whether any task has attention checks."""
    return any(checks_in(plan, task) for task in plan.tasks)


def _refuse_none(counts: Mapping[str, int], condition: str) -> None:
    if counts[condition] < 1:
        raise ValueError(f"conditions.{condition}: expected images, got none.")


def _refuse_other_number(plan: StudyPlan, condition: str) -> None:
    count, prompts = plan.counts[condition], len(plan.prompts)
    if count % prompts:
        raise ValueError(
            f"conditions.{condition}: expected as many images as there are prompts, {prompts}, or a multiple of that, "
            f"since image k belongs to prompt k modulo {prompts}; got {count}. Remedy: the images that are missing, or "
            "prompts that match."
        )
