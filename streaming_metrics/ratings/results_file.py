"""Results file: what a study found, as JSON of a stated format and version, read back and asked for one condition."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from streaming_metrics.files.atomic import atomic_write

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT, VERSION = "streaming-metrics-study", 1
NEEDED = ("signature", "study", "tasks", "raters", "raters_are", "raters_counted", "judgements", "left_out", "notes")
SCORES = {
    "preference": ("share", "share of comparisons won"),
    "opinion": ("mean", "mean opinion"),
    "alignment": ("mean", "mean alignment"),
    "categorisation": ("fooled", "share taken for real"),
}
"""Under which key a task's score of a condition stands, and what it is called."""


class Told(NamedTuple):
    """What people say of one condition: task, score and its interval, None where it cannot be told."""

    task: str
    score: str
    value: float | None
    low: float | None
    high: float | None
    judgements: int
    raters: int


def write_results(path: str | Path, results: Mapping[str, Any]) -> None:
    """Write results as JSON, whole or not at all."""
    with atomic_write(path) as partial:
        partial.write_text(as_json(results) + "\n", encoding="utf-8")


def as_json(results: Mapping[str, Any]) -> str:
    """Return results as JSON; what cannot be told is null."""
    return json.dumps(results, indent=2, ensure_ascii=False, allow_nan=False)


def read_results(path: str | Path) -> dict[str, Any]:
    """Return the results that :func:`write_results` wrote.

    Raises:
        OSError: where there is no such file.
        ValueError: where it is none of a study, or of a version that is not known.
    """
    remedy = "Remedy: write it with `streaming-metrics study results STUDY.toml --json FILE`."
    try:
        read = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected results of a study as JSON, got: {error}. {remedy}") from error
    if not isinstance(read, dict) or read.get("format") != FORMAT:
        found = read.get("kind", read.get("format")) if isinstance(read, dict) else type(read).__name__
        raise ValueError(f"{path}: expected results of a study ({FORMAT!r}), got {found!r}. {remedy}")
    if read.get("version") != VERSION:
        raise ValueError(f"{path}: expected version {VERSION} of {FORMAT}, got {read.get('version')!r}. {remedy}")
    if lacking := [key for key in NEEDED if key not in read]:
        raise ValueError(f"{path}: expected {', '.join(NEEDED)}, got a file without {', '.join(lacking)}. {remedy}")
    return read


def told_of(results: Mapping[str, Any], condition: str) -> list[Told]:
    """Return what people say of one condition, a score for each task, or for each exposure of one."""
    found = []
    for task in results["tasks"]:
        key, name = SCORES[task["kind"]]
        for one in task["scores"]:
            if one["condition"] == condition and (estimate := one[key]):
                seen = one.get("exposure_ms")
                ends = (estimate[part] for part in ("value", "low", "high", "judgements", "raters"))
                found.append(Told(task["name"], name if seen is None else f"{name}, {seen:g} ms", *ends))
    return found


def condition_named(results: Mapping[str, Any], source: str) -> str | None:
    """Return the condition that a source of images names: by its path's last part, with or without its ending.

    Example:
        >>> found = {"tasks": [{"conditions": ["real", "epoch-03"]}]}
        >>> condition_named(found, "runs/epoch-03.zip"), condition_named(found, "runs/epoch-04/")
        ('epoch-03', None)
    """
    names = conditions_of(results)
    path = Path(source)
    return next((name for name in (source, path.name, path.stem) if name in names), None)


def conditions_of(results: Mapping[str, Any]) -> list[str]:
    """Return the conditions of all tasks."""
    return list(dict.fromkeys(name for task in results["tasks"] for name in task["conditions"]))
