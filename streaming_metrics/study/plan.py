"""Plan of a study: what STUDY.toml says, checked; with its items, everything that decides what raters see.

Nothing here reads an image: :mod:`streaming_metrics.study.packing` does, once.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from streaming_metrics.study.prompts import digest_of
from streaming_metrics.study.trial import NOISE, ORDER_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streaming_metrics.study.prompts import Prompt
    from streaming_metrics.study.task import Task


class ItemLike(Protocol):
    """Facts of an item, as a store gives them."""

    @property
    def number(self) -> int: ...
    @property
    def condition(self) -> str: ...
    @property
    def index(self) -> int: ...
    @property
    def sha256(self) -> str: ...


@dataclass(frozen=True)
class StudyPlan:
    r"""Plan of a study.

    Args:
        name: of the study.
        seed: of its order.
        languages: of the page, the default first.
        raters: how many links are made; more may be made later, which changes no one's order.
        consent: text by language.
        conditions: source by name, as ``compare`` reads them, below ``folder``.
        tasks: in the file's order.
        check_every: an attention check is shown about every so many trials; 0 for none.
        prompts: image k of each condition belongs to prompt k modulo their number.
        images: at most so many are taken of each condition; None for all that the prompts need, or 100 without.
        folder: that sources are relative to.
        counts: images by condition, once they are packed (:meth:`with_items`); with those of attention checks.
        items_digest: sha256 of the images.

    Example:
        >>> from streaming_metrics.study.plan_file import parse
        >>> plan = parse('name = "a"\n[conditions]\nx = "x/"\ny = "y/"\n[[task]]\nkind = "preference"')
        >>> plan.tasks[0].name, plan.tasks[0].conditions, plan.check_every
        ('preference', ('x', 'y'), 10)
    """

    name: str
    seed: int
    languages: tuple[str, ...]
    raters: int
    consent: Mapping[str, str]
    conditions: Mapping[str, str]
    tasks: tuple[Task, ...]
    check_every: int = 10
    prompts: tuple[Prompt, ...] = ()
    images: int | None = None
    folder: Path = field(default_factory=Path)
    counts: Mapping[str, int] = field(default_factory=dict)
    items_digest: str = ""

    @classmethod
    def read(cls, path: str | Path) -> StudyPlan:
        """Return the plan that a STUDY.toml holds, and its list of prompts; no image is read.

        Raises:
            FileNotFoundError: where it or its prompts are not there.
            ValueError: where it does not read, naming the key, or the line of the prompts.
        """
        from streaming_metrics.study.plan_file import read

        return read(path)

    @cached_property
    def prompts_digest(self) -> str:
        """sha256 of the prompts in their order, ``""`` where there are none."""
        return digest_of(self.prompts)

    @cached_property
    def plan_digest(self) -> str:
        """sha256 of what the file and its prompts say, sources and number of raters apart; no images are needed."""
        return _sha256(
            {
                "order": ORDER_VERSION,
                "name": self.name,
                "seed": self.seed,
                "languages": self.languages,
                "consent": self.consent,
                "conditions": list(self.conditions),
                "tasks": [asdict(task) for task in self.tasks],
                "check_every": self.check_every,
                "prompts": self.prompts_digest,
                "images": self.images,
            }
        )

    @cached_property
    def digest(self) -> str:
        """sha256 of everything that decides what raters see: the plan, its prompts, and the images once packed."""
        return _sha256({"plan": self.plan_digest, "items": self.items_digest})

    @property
    def study(self) -> str:
        """Name and digest: what judgements say that they belong to."""
        return f"{self.name}-{self.digest[:8]}"

    def task(self, name: str) -> Task:
        """Return a task by name."""
        return next(task for task in self.tasks if task.name == name)

    def with_counts(self, counts: Mapping[str, int], items_digest: str = "") -> StudyPlan:
        """Return the plan with so many images of each condition; where checks need them, noise images come with it.

        Raises:
            ValueError: where they are too few, or do not match the prompts; it says which.
        """
        from streaming_metrics.study.feasible import check_counts, noise_count

        plan = replace(self, counts={name: counts.get(name, 0) for name in self.conditions}, items_digest=items_digest)
        check_counts(plan)
        return replace(plan, counts={**plan.counts, NOISE: noise_count(plan)})

    def with_items(self, items: Iterable[ItemLike]) -> StudyPlan:
        """Return the plan with its packed images, which must be numbered as :meth:`number` does.

        Raises:
            ValueError: where they are not those of this plan, are too few, or do not match the prompts.
        """
        items = sorted(items, key=lambda item: item.number)
        counts = dict.fromkeys((*self.conditions, NOISE), 0)
        for item in items:
            counts[item.condition] = counts.get(item.condition, 0) + 1
        plan = self.with_counts(counts, _sha256([(item.condition, item.index, item.sha256) for item in items]))
        if counts != plan.counts or any(item.number != plan.number(item.condition, item.index) for item in items):
            raise ValueError(
                f"items: expected images of {_listed(plan.counts)}, got {_listed(counts)}. Remedy: pack them anew."
            )
        return plan

    def number(self, condition: str, index: int) -> int:
        """Return the number in the store of an image: conditions lie one after another, noise images last."""
        names = list(self.counts)
        return sum(self.counts[name] for name in names[: names.index(condition)]) + index

    def prompt_of(self, index: int) -> Prompt | None:
        """Return the prompt that the image of this index in its condition belongs to."""
        return self.prompts[index % len(self.prompts)] if self.prompts else None

    def to_json(self) -> str:
        """Return the plan as a text for a store to keep, without the paths of its sources."""
        fields = {name: value for name, value in asdict(self).items() if name != "folder"}
        more = {"conditions": list(self.conditions), "study": self.study, "digest": self.digest}
        return json.dumps({**fields, **more}, ensure_ascii=False)


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in counts.items())
