"""Samples that ranks or jobs have saved: added to a metric, or to one that the files alone make."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from streaming_metrics.core.references import by_role
from streaming_metrics.core.shell import STATE_KIND, GenerativeMetrics
from streaming_metrics.extractors.recorded import Recorded
from streaming_metrics.files.tensors import about_of, read_tensors, tensors_like
from streaming_metrics.measures.registry import measures_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from streaming_metrics.core.references import References


def merge_states(metric: GenerativeMetrics, paths: Sequence[str | Path]) -> None:
    """Add what :meth:`GenerativeMetrics.save_state` wrote, by any number of ranks or jobs, to ``metric``.

    Call it on every rank with the same paths: each rank reads its share, so that 3 files written by 3 ranks can be
    read by 2. Where a file is refused, this rank adds none. A file that is given twice, or with a copy of it, is
    refused on every rank: its samples would count twice.

    Args:
        metric: with the same measures and extractor.
        paths: of the files.

    Raises:
        FileNotFoundError: where a file is missing.
        ValueError: where one is damaged, of another metric, or given twice.
    """
    _check_distinct(paths)
    comm, states = metric.ranks(), []
    for path in paths[comm.rank :: comm.world_size]:
        tensors, about = read_tensors(path, STATE_KIND)
        if about["fingerprint"] != metric.fingerprint:
            raise ValueError(
                f"{path}: expected features of {metric.fingerprint!r}, got features of {about['fingerprint']!r}."
            )
        metric._checked_incoming(tensors)
        states.append(tensors)
    for tensors in states:
        metric.merge_state(tensors)


def merged(paths: Sequence[str | Path], reference: References | None = None) -> GenerativeMetrics:
    """Return a metric, without its networks, that holds the samples of all state files.

    Args:
        paths: files that :meth:`GenerativeMetrics.save_state` wrote, of equal measures and extractors.
        reference: what ``reference=`` was, where a measure counted against it (``PRDC(recall=False)``).

    Raises:
        FileNotFoundError: where a file is missing.
        ValueError: where one is damaged, of another metric or given twice, or a measure is none of this library's.
    """
    if not paths:
        raise ValueError("merged(): expected at least one state file, got none.")
    tensors, about = read_tensors(paths[0], STATE_KIND)
    metric = _metric_of(about, paths[0], reference)
    frozen = [role for role, name in metric._layout.frozen.items() if name in tensors and bool(tensors[name][0])]
    for role in frozen:
        metric.load_state_dict({name: tensor for name, tensor in tensors.items() if name.startswith(f"{role}_")})
    merge_states(metric, paths)
    return metric


def _metric_of(about: dict[str, Any], path: str | Path, reference: References | None) -> GenerativeMetrics:
    record, measures = about.get("extractor"), about.get("measures")
    if not isinstance(record, dict) or not isinstance(measures, list):
        raise ValueError(
            f"{path}: written by version {about.get('version')}, it does not say which measures it holds. Remedy: "
            "build the metric in Python, and merge_states(metric, paths)."
        )
    known = by_role(reference)
    try:
        found = measures_of(",".join(measures), about.get("parts"))
        if "networks" in about:
            reads = [replace(measure, on=on) for measure, on in zip(found, about["on"], strict=True)]
            return GenerativeMetrics(reads, **_of_several(about["networks"]), reference=known)
        if "name" in record:
            return GenerativeMetrics(found, Recorded(record), reference=known)
        widths = {"num_features": record["features"], "num_classes": record["classes"], "widths": record.get("widths")}
        return GenerativeMetrics(found, None, **widths, reference=known)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, MemoryError, OverflowError) as error:
        raise ValueError(
            f"{path}: expected the measures and widths of a metric, got {measures} of {record}: {error}. Remedy: build "
            "the metric in Python, and merge_states(metric, paths)."
        ) from error


def _of_several(records: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes a metric of several networks, by what a file says of each."""
    if all("name" in record for record in records.values()):
        return {"extractor": {name: Recorded(record) for name, record in records.items()}}
    widths: dict[str, Any] = {
        f"num_{what}": {name: record[what] for name, record in records.items()} for what in ("features", "classes")
    }
    further = {name: record["widths"] for name, record in records.items() if "widths" in record}
    return {"extractor": None, **widths, "widths": further}


def _check_distinct(paths: Sequence[str | Path]) -> None:
    """Raise ValueError where a file holds the samples of an earlier one: the same file, or a copy of it."""
    seen: dict[str, str | Path] = {}
    for path in paths:
        identities = {os.path.realpath(path)}
        if (about := about_of(path)) and _adds_samples(path):
            identities.add(f"sha256 {about.get('sha256')}")
        for again in identities & seen.keys():
            raise ValueError(
                f"{path}: holds the samples of {seen[again]} again, which would count twice. "
                "Remedy: give each file once."
            )
        seen |= dict.fromkeys(identities, path)


def _adds_samples(path: str | Path) -> bool:
    """Return False for a file of no samples, or of frozen sides alone: ranks without any write equal ones."""
    tensors = tensors_like(path, r"[a-z]+_(count_n|frozen)_[0-9a-f]+")
    said = {name.rpartition("_")[0] for name, tensor in tensors.items() if bool(tensor.flatten()[:1].any())}
    counted = {name.removesuffix("_count_n") for name in said if name.endswith("_count_n")}
    return any(f"{role}_frozen" not in said for role in counted)
