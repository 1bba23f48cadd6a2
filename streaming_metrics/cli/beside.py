"""Beside: values of computed measures for the conditions of a study, from files of scores or a monitor's log."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from streaming_metrics.cli.several_results import load_one
from streaming_metrics.measures.keys import scalar_of
from streaming_metrics.plots.result_keys import ARROWS, by_group, leading, spread_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

EPOCH = re.compile(r"epoch[-=_]?0*(\d+)")


@dataclass(frozen=True)
class Computed:
    """Computed values of conditions.

    Args:
        values: by measure and condition, as they were reported.
        errors: standard errors of those that have them, by measure and condition.
    """

    values: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    errors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def better(self) -> dict[str, str]:
        """An arrow for what is better of each measure; empty where neither is known to be."""
        return {key: ARROWS[scalar_of(key).better] for key in self.values}

    def upward(self) -> dict[str, dict[str, float]]:
        """Return the values, turned so that higher is better."""
        signs = {key: -1.0 if arrow == "↓" else 1.0 for key, arrow in self.better.items()}
        return {key: {name: signs[key] * value for name, value in of.items()} for key, of in self.values.items()}


def read_computed(files: Sequence[str], conditions: Sequence[str]) -> Computed:
    """Return what files say of conditions.

    Args:
        files: ``condition=scores.json`` as ``compare --json`` wrote it, or a CSVLogger's ``metrics.csv``, whose epochs
            are those that conditions name: ``epoch-03``.
        conditions: of the study.

    Raises:
        ValueError: where a file names no condition of the study, or holds nothing that can be read.
        OSError: where there is no such file.
    """
    rows: dict[str, dict[str, float]] = {}
    for text in files:
        for name, row in _rows_of(text, conditions).items():
            rows.setdefault(name, {}).update(row)
    every = list(rows.values())
    keys = [key for of in by_group(leading(every)).values() for key in of] if every else []
    spreads = {key: spread for key in keys if (spread := spread_of(key, every)) and _is_error(spread)}
    values = {key: {name: row[key] for name, row in rows.items() if key in row} for key in keys}
    errors = {key: {name: row[of] for name, row in rows.items() if of in row} for key, of in spreads.items()}
    return Computed(values, errors)


def _rows_of(text: str, conditions: Sequence[str]) -> dict[str, dict[str, float]]:
    name, equals, file = text.partition("=")
    if equals and name in conditions:
        scores = load_one(file).scores
        return {name: {key: value for key, value in scores.items() if isfinite(value)}}
    if text.endswith(".csv"):
        return _of_log(Path(text), conditions)
    raise ValueError(
        f"--beside {text}: expected condition=scores.json, or a metrics.csv, with a condition of the study "
        f"({', '.join(conditions)}). Remedy: --beside {conditions[0] if conditions else 'NAME'}=scores.json."
    )


def _of_log(path: Path, conditions: Iterable[str]) -> dict[str, dict[str, float]]:
    """Return the last values of each condition's epoch in a CSVLogger's file."""
    epochs = {int(match[1]): name for name in conditions if (match := EPOCH.search(name))}
    rows: dict[str, dict[str, float]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            epoch = row.get("epoch") or ""
            if epoch.isdecimal() and (name := epochs.get(int(epoch))):
                found = {key: value for key, text in row.items() if key and (value := _finite(text)) is not None}
                rows.setdefault(name, {}).update(found)
    measured = {name: {key: row[key] for key in row if _is_measured(key)} for name, row in rows.items()}
    if not any(measured.values()):
        raise ValueError(
            f"--beside {path}: expected measures at the epochs of the study's conditions, got none. Remedy: name the "
            "conditions by their epochs, epoch-03, and give the metrics.csv of their run."
        )
    return measured


def _finite(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if isfinite(value) else None


def _is_measured(key: str) -> bool:
    """Return whether a column of a log is a measure's, rather than a loss or a step."""
    scalar = scalar_of(key)
    return scalar.better is not None or scalar.spread_of is not None


def _is_error(key: str) -> bool:
    """Return whether a spread is a standard error of the value, rather than a standard deviation of its parts."""
    return bool(scalar_of(key).about)
