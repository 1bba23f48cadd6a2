"""Refusal of measures that read what sources of images lack: captions, training images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming_metrics.measures.catalogue import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streaming_metrics.measures import Measure

BESIDE = {"captions"}
"""Columns that come beside images, and that no source of the command line has."""


def refuse_unread(measures: Iterable[Measure]) -> None:
    """Raise ValueError where a measure cannot be scored from the command line, however many images there are.

    Example:
        >>> from streaming_metrics import FID, AuthPct
        >>> refuse_unread([FID()])
        >>> refuse_unread([FID(), AuthPct()])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: Expected measures of real and generated images alone, got authpct, which reads training images. ...
    """
    found = {measure.label: _beside(measure) for measure in measures}
    told = "; ".join(f"{label}, which reads {' and '.join(what)}" for label, what in found.items() if what)
    if told:
        raise ValueError(
            f"Expected measures of real and generated images alone, got {told}. "
            "Remedy: leave them out here; GenerativeMetrics and GenerationMonitor take what they read."
        )


def _beside(measure: Measure) -> list[str]:
    entry = Entry(measure)
    return sorted(BESIDE & entry.columns) + ["training images"] * ("train" in entry.reads)
