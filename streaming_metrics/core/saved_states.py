"""Samples that ranks or jobs have saved: added to a metric, or to one that the files alone make."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from streaming_metrics.core.shell import STATE_KIND, GenerativeMetrics
from streaming_metrics.extractors.recorded import Recorded
from streaming_metrics.files.reference import Reference
from streaming_metrics.files.tensors import about_of, read_tensors, tensors_like
from streaming_metrics.measures.registry import measures_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


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


def merged(paths: Sequence[str | Path], reference: str | Path | None = None) -> GenerativeMetrics:
    """Return a metric, without a network, that holds the samples of all state files.

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
    if any(name.startswith("real_frozen_") and bool(tensor[0]) for name, tensor in tensors.items()):
        metric.load_state_dict({name: tensor for name, tensor in tensors.items() if name.startswith("real_")})
    merge_states(metric, paths)
    return metric


def _metric_of(about: dict[str, Any], path: str | Path, reference: str | Path | None) -> GenerativeMetrics:
    record, measures = about.get("extractor"), about.get("measures")
    if not isinstance(record, dict) or not isinstance(measures, list):
        raise ValueError(
            f"{path}: written by version {about.get('version')}, it does not say which measures it holds. Remedy: "
            "build the metric in Python, and merge_states(metric, paths)."
        )
    known = None if reference is None else Reference.load(reference)
    try:
        found = measures_of(",".join(measures), about.get("parts"))
        if "name" in record:
            return GenerativeMetrics(found, Recorded(record), reference=known)
        widths = {"num_features": record["features"], "num_classes": record["classes"]}
        return GenerativeMetrics(found, None, **widths, reference=known)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, MemoryError, OverflowError) as error:
        raise ValueError(
            f"{path}: expected the measures and widths of a metric, got {measures} of {record}: {error}. Remedy: build "
            "the metric in Python, and merge_states(metric, paths)."
        ) from error


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
    """Return False for a file of no samples, or of a frozen real side alone: ranks without any write equal ones."""
    tensors = tensors_like(path, r"(real_count_n|fake_count_n|real_frozen)_[0-9a-f]+")
    real, fake, is_frozen = (
        any(bool(tensor.flatten()[:1].any()) for name, tensor in tensors.items() if name.startswith(start))
        for start in ("real_count", "fake_count", "real_frozen")
    )
    return fake or (real and not is_frozen)
