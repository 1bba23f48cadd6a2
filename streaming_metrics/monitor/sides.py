"""Sides that measures read, beside what a monitor is given: each must be there, and be read by one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming_metrics.monitor.checks import refuse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streaming_metrics import GenerativeMetrics, Measure
    from streaming_metrics.features import Role
    from streaming_metrics.monitor.settings import Settings

KEPT: dict[Role, str] = {"train": "training", "heldout": "held-out"}
"""Roles whose images a monitor reads once and keeps, and what these are called."""
_READERS: dict[Role, str] = {"train": "AuthPct()", "heldout": "CTScore()"}


def refuse_sides(metric: GenerativeMetrics, settings: Settings) -> None:
    """Raise ValueError where measures read images to keep, or labels, that are not given, or none reads what is."""
    others = [role for role in metric.roles if role not in ("real", "fake", *KEPT)]
    refuse(bool(others), f"Expected measures of real, generated, training and held-out images, got one of {others}.")
    for role in KEPT:
        _refuse_kept(role, _named(metric.readers(role)), settings)
    labelled = {role: readers for role in metric.roles if (readers := metric.readers(role, "labels"))}
    from_batches = [role for role in labelled if role != "fake" and role not in settings.references]
    _refuse_labels(_named(one for readers in labelled.values() for one in readers), from_batches, settings)


def _refuse_kept(role: Role, readers: str, settings: Settings) -> None:
    is_given, images = role in settings.given, f"{KEPT[role]} images"
    refuse(
        bool(readers) and not is_given,
        f"{role}=: {readers} reads {images}, got none. Remedy: {role}= a DataLoader of them, or a reference file.",
    )
    refuse(
        is_given and not readers,
        f"{role}=: expected a measure that reads {images}, got none that does. Remedy: leave {role}= out, or add "
        f"such a measure, {_READERS[role]}.",
    )


def _refuse_labels(readers: str, from_batches: list[str], settings: Settings) -> None:
    is_given = settings.label_key is not None
    refuse(
        bool(from_batches) and not is_given,
        f"label_key=: {readers} reads labels of {' and '.join(from_batches)} images, got no way to them. Remedy: "
        "label_key= their key or position in a batch, or a function from a batch to its labels.",
    )
    refuse(
        is_given and not readers,
        "label_key=: expected a measure that reads labels, got none that does. Remedy: leave label_key= out, or add "
        "such a measure, IntraFID(classes=…).",
    )


def _named(measures: Iterable[Measure]) -> str:
    return ", ".join(dict.fromkeys(measure.describe() for measure in measures))
