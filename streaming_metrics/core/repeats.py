"""Repeats told: how many samples are distinct, why some may have come twice, and what to do about it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from streaming_metrics.core.layout import DISTINCT
from streaming_metrics.statistics.distinct import CERTAIN

if TYPE_CHECKING:
    from streaming_metrics.features import Role
    from streaming_metrics.measures.base import Side
    from streaming_metrics.statistics import DistinctCount

HARMLESS = 0.01
"""Share of repeats that nothing is said of: a data set holds a few images twice, and padding adds a few to many; a
wrong way of dealing to ranks or workers repeats half of all samples and more."""


class RepeatsWarning(UserWarning):
    """A number is of fewer samples than it says: many of them came more than once."""


def distinct_of(side: Side) -> DistinctCount | None:
    """Return how many of a role's samples are distinct; None where some came from a file that does not say."""
    state = side.states.get(DISTINCT)
    found = DISTINCT.read(state) if state is not None else None
    return found if found and found.num_samples == side.num_samples else None


def has_repeats(found: DistinctCount) -> bool:
    """Return whether more samples are repeats than do no harm, whatever the count is off by.

    Example:
        >>> from streaming_metrics.statistics import DistinctCount
        >>> [has_repeats(DistinctCount(1000, distinct, True, 0.0, 1, 2)) for distinct in (1000, 995, 900)]
        [False, False, True]
    """
    repeats = found.num_samples - found.distinct
    return repeats > max(HARMLESS * found.num_samples, CERTAIN * found.error * found.distinct)


def warn_of_repeats(found: DistinctCount | None, role: Role, what: str) -> None:
    """Warn where more samples are repeats than do no harm; ``what`` they are, e.g. ``"images"``."""
    if found and has_repeats(found):
        warnings.warn(message_of(found, role, what), RepeatsWarning, stacklevel=5)


def message_of(found: DistinctCount, role: Role, what: str) -> str:
    """Return what is found, and the remedies.

    Example:
        >>> from streaming_metrics.statistics import DistinctCount
        >>> message_of(DistinctCount(300, 150, True, 0.0, 2, 2), "real", "images").partition(" The")[0]
        '300 real images, 150 of them distinct; every one came twice.'
        >>> message_of(DistinctCount(12, 11, True, 0.0, 1, 2), "fake", "samples").partition(" The")[0]
        '12 generated samples, 11 of them distinct; some came twice.'
    """
    side = "generated" if role == "fake" else role
    about = "" if found.is_exact else "about "
    error = f" (± {found.error:.1%})" if found.error else ""
    first = f"{found.num_samples} {side} {what}, {about}{found.distinct}{error} of them distinct"
    return f"{first}; {_how_often(found)}. {REMEDIES['fake' if role == 'fake' else 'real']}"


def _how_often(found: DistinctCount) -> str:
    if found.most == 1:  # none of those that were counted, so it is few others
        return "a few came very often"
    times = "twice" if found.most == 2 else f"{found.most} times"
    if found.fewest == found.most:
        return f"every one came {times}"
    return f"some came {times}" if found.most == 2 else f"some came up to {times}"


REMEDIES: dict[Role, str] = {
    "real": (
        "The scores weigh them so. Usual causes: an IterableDataset, or a loader, that every rank or dataloader worker "
        "reads whole; gather_for_metrics() before update(); samples that accelerate's even_batches=True or a "
        "DistributedSampler repeat to fill batches; a random_split() that each rank draws anew; a "
        "CombinedLoader('max_size_cycle'). Remedy: give each sample once, on one rank: UnpaddedSampler; DealtStream for"
        " streams; even_batches=False; update() with each rank's own batch; random_split(…, generator=) of one seed; "
        "mode 'max_size'. Ignore this where the data set itself repeats them."
    ),
    "fake": (
        "The scores weigh them so. Usual causes: a generator that repeats itself; a seed that is the same in every "
        "call or on every rank; gather_for_metrics() before update(). Remedy: look at the generated images; seed by "
        "rank and batch; update() with each rank's own batch."
    ),
}
