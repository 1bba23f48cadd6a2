"""Sides that measures read, beside what a monitor is given: each must be there, and be read by one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming_metrics.monitor.checks import refuse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streaming_metrics import GenerativeMetrics, Measure
    from streaming_metrics.monitor.settings import Settings

GIVEN = ("real", "fake", "train")
"""Roles whose images a monitor can give."""


def refuse_sides(metric: GenerativeMetrics, settings: Settings) -> None:
    """Raise ValueError where measures read training images or labels that are not given, or none reads what is."""
    others = [role for role in metric.roles if role not in GIVEN]
    refuse(bool(others), f"Expected measures of real, generated and training images, got one that reads {others}.")
    _refuse_train(_named(metric.readers("train")), settings)
    labelled = {role: readers for role in metric.roles if (readers := metric.readers(role, "labels"))}
    from_batches = [role for role in labelled if role != "fake" and role not in settings.references]
    _refuse_labels(_named(one for readers in labelled.values() for one in readers), from_batches, settings)


def _refuse_train(readers: str, settings: Settings) -> None:
    is_given = settings.train is not None
    refuse(
        bool(readers) and not is_given,
        f"train=: {readers} reads training images, got none. Remedy: train= a DataLoader of them, or a reference file.",
    )
    refuse(
        is_given and not readers,
        "train=: expected a measure that reads training images, got none that does. Remedy: leave train= out, or add "
        "such a measure, AuthPct().",
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
