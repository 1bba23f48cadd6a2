"""File of a study's plan, STUDY.toml: read, and checked key by key."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streaming_metrics.study.plan import StudyPlan
from streaming_metrics.study.prompts import read_prompts
from streaming_metrics.study.table import REQUIRED, Table
from streaming_metrics.study.task import Task
from streaming_metrics.study.texts import CONSENT, LANGUAGES, QUESTIONS
from streaming_metrics.study.trial import ALIGNMENT, CATEGORISATION, KINDS, NOISE, OPINION, PREFERENCE

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
CONDITION = re.compile(r"[^\s/\"'\\|,:][^/\"'\\|,:]{0,79}")
EXPOSURES_MS = (50.0, 100.0, 250.0)
OF_KIND = {
    "ties": (PREFERENCE,),
    "against_real": (PREFERENCE,),
    "scale": (OPINION, ALIGNMENT),
    "exposures_ms": (CATEGORISATION,),
}
"""Keys of a task that only some kinds have."""


def read(path: str | Path) -> StudyPlan:
    """Return the plan of a file; see :meth:`~streaming_metrics.study.plan.StudyPlan.read`."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"expected a study's plan, found no file {path}. Remedy: streaming-metrics study new {path}"
        )
    try:
        return parse(path.read_text("utf-8-sig"), path.parent)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def parse(text: str, folder: Path = Path()) -> StudyPlan:
    """Return the plan that a text in TOML holds; files that it names are relative to the folder.

    Raises:
        ValueError: for what does not read, is missing, or is no key, by its name.
    """
    table = Table(_toml().loads(text))
    languages = table.list_of("languages", str, ("en",), f"a list of {' and '.join(LANGUAGES)}")
    if strange := set(languages) - set(LANGUAGES):
        raise ValueError(f"languages: expected {' and '.join(LANGUAGES)}, got {', '.join(sorted(strange))}.")
    conditions = _conditions(table.table("conditions"))
    checks = table.table("checks", {})
    every = checks.integer("every", 10, least=0)
    checks.finish()
    if every == 1:
        raise ValueError("checks.every: expected at least 2, or 0 for no attention checks, got 1.")
    plan = StudyPlan(
        name=_name(table),
        seed=table.integer("seed", 0, least=0),
        languages=languages,
        raters=table.integer("raters", 20, least=1, most=100_000),
        consent=table.by_language("consent", languages, CONSENT),
        conditions=conditions,
        tasks=_tasks(table, conditions, languages),
        check_every=every,
        prompts=read_prompts(folder / table.text("prompts")) if "prompts" in table.names else (),
        images=table.integer("images", 100) if "images" in table.names else None,
        folder=folder,
    )
    table.text("prompts", "")
    table.integer("images", 0)
    table.finish()
    _refuse_promptless(plan)
    return plan


def _name(table: Table) -> str:
    name = table.text("name")
    if not NAME.fullmatch(name):
        raise ValueError(f"name: expected small letters, digits and -, at most 40, got {name!r}.")
    return name


def _conditions(table: Table) -> dict[str, str]:
    found = {}
    for name in table.names:
        if not CONDITION.fullmatch(name) or name == NOISE:
            raise ValueError(
                f"{table.path(name)}: expected a name without / \\ : | , and quotes, at most 80 characters long, other "
                f"than {NOISE!r}, got {name!r}."
            )
        found[name] = table.text(name)
    if not found:
        raise ValueError('conditions: expected a source of images by name, got none. Remedy: real = "images/"')
    return found


def _tasks(table: Table, conditions: Mapping[str, str], languages: tuple[str, ...]) -> tuple[Task, ...]:
    given = table.list_of_tables("task")
    tasks = [_task(one, conditions, languages) for one in given]
    names = [task.name for task in tasks]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"task.name: expected each once, got {', '.join(sorted(twice))} again. Remedy: name = …")
    return tuple(tasks)


def _task(table: Table, conditions: Mapping[str, str], languages: tuple[str, ...]) -> Task:
    kind = table.text("kind")
    if kind not in KINDS:
        raise ValueError(f"{table.path('kind')}: expected one of {', '.join(KINDS)}, got {kind!r}.")
    _refuse_keys_of_others(table, kind)
    against_real = table.flag("against_real", False)
    real = _real(table, conditions, required=against_real or kind == CATEGORISATION)
    task = Task(
        name=table.text("name", kind),
        kind=kind,
        per_rater=table.integer("per_rater", 20, least=1, most=2000),
        conditions=_judged(table, conditions, real, least=2 if kind == PREFERENCE and not against_real else 1),
        question=table.by_language("question", languages, QUESTIONS["against_real" if against_real else kind]),
        real=real,
        ties=table.flag("ties", kind == PREFERENCE),
        against_real=against_real,
        scale=table.integer("scale", 5, least=2, most=9),
        exposures_ms=_exposures(table) if kind == CATEGORISATION else (),
    )
    table.take("exposures_ms", list, (), "")
    table.finish()
    return task


def _refuse_keys_of_others(table: Table, kind: str) -> None:
    for key, kinds in OF_KIND.items():
        if key in table.names and kind not in kinds:
            raise ValueError(f"{table.path(key)}: expected only with kind {' or '.join(kinds)}, got it with {kind}.")


def _real(table: Table, conditions: Mapping[str, str], *, required: bool) -> str | None:
    """Return the condition that is real: the one that is named, else the one of this name."""
    default = "real" if "real" in conditions else REQUIRED if required else None
    real = table.take("real", str, default, f"the condition that is real, one of {', '.join(conditions)}")
    if real is not None and real not in conditions:
        raise ValueError(f"{table.path('real')}: expected one of {', '.join(conditions)}, got {real!r}.")
    return real


def _judged(table: Table, conditions: Mapping[str, str], real: str | None, least: int) -> tuple[str, ...]:
    others = tuple(name for name in conditions if name != real)
    judged = table.list_of("conditions", str, others, "a list of conditions")
    needs_real = table.values("kind") == CATEGORISATION or table.values("against_real")
    for name in judged:
        if name not in conditions or (needs_real and name == real):
            raise ValueError(f"{table.path('conditions')}: expected some of {', '.join(others)}, got {name!r}.")
    if len(judged) < least:
        raise ValueError(
            f"{table.path('conditions')}: expected at least {least} conditions to judge, got {len(judged)}. "
            "Remedy: add a source under [conditions]."
        )
    return judged


def _exposures(table: Table) -> tuple[float, ...]:
    given = table.list_of("exposures_ms", (int, float), EXPOSURES_MS, "a list of milliseconds")
    if not all(10 <= value <= 10_000 for value in given):
        raise ValueError(f"{table.path('exposures_ms')}: expected 10 to 10000 milliseconds, got {list(given)}.")
    return tuple(map(float, given))


def _refuse_promptless(plan: StudyPlan) -> None:
    for task in plan.tasks:
        if task.kind == ALIGNMENT and not plan.prompts:
            raise ValueError(
                f'task {task.name}: expected prompts to align with, got none. Remedy: prompts = "prompts.tsv"'
            )


def _toml() -> Any:
    """Return the reader of TOML: Python's own from 3.11 on."""
    if sys.version_info >= (3, 11):
        import tomllib

        return tomllib
    try:
        import tomli  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise ImportError("expected the package tomli. Remedy: pip install 'streaming-metrics[study]'") from error
    return tomli
