"""Samples that ranks or jobs have saved: added to a metric, or to one that the files alone make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streaming_metrics.extractors.recorded import Recorded
from streaming_metrics.generative import STATE_KIND, GenerativeMetrics
from streaming_metrics.measures.named import measures_of
from streaming_metrics.state_file import read_tensors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def merge_states(metric: GenerativeMetrics, paths: Sequence[str | Path]) -> None:
    """Add what :meth:`GenerativeMetrics.save_state` wrote, by any number of ranks or jobs, to ``metric``.

    Call it on every rank with the same paths: each rank reads its share, so that 3 files written by 3 ranks can be
    read by 2. Where a file is refused, this rank adds none.

    Args:
        metric: with the same measures and extractor.
        paths: of the files.

    Raises:
        FileNotFoundError: where a file is missing.
        ValueError: where one is damaged, or of another metric.
    """
    comm, states = metric._comm(), []
    for path in paths[comm.rank :: comm.world_size]:
        tensors, about = read_tensors(path, STATE_KIND)
        if about["fingerprint"] != metric.fingerprint:
            raise ValueError(
                f"{path}: expected features of {metric.fingerprint!r}, got features of {about['fingerprint']!r}."
            )
        metric._check_incoming(tensors)
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
        ValueError: where one is damaged or of another metric, or a measure is none of this library's.
    """
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
    found = measures_of(",".join(measures))
    if "name" in record:
        return GenerativeMetrics(found, Recorded(record), reference=reference)
    return GenerativeMetrics(
        found, None, num_features=record["features"], num_classes=record["classes"], reference=reference
    )
