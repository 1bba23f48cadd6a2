"""Errors asked for: measures with their standard errors, and with how many images in a row are of one prompt."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

from streaming_metrics.measures.errors import with_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming_metrics.measures.base import Measure

CLUSTER = "cluster"


def asked_for(measures: Sequence[Measure], *, errors: bool, per_prompt: int = 1) -> list[Measure]:
    """Return measures with their standard errors, where they have them and those are asked for.

    Args:
        measures: as they were named.
        errors: whether errors are asked for.
        per_prompt: how many images in a row are of one prompt, and so depend on each other.

    Raises:
        ValueError: where images of one prompt are told, and no errors are asked for or no measure takes that.

    Example:
        >>> from streaming_metrics import KID
        >>> [measure.describe() for measure in asked_for([KID()], errors=True)]
        ['kid(se=True)']
    """
    if not errors:
        if per_prompt != 1:
            raise ValueError("--per-prompt: expected errors to be asked for, which alone go by prompts. Remedy: --se.")
        return [*measures]
    found = with_errors(measures)
    if per_prompt == 1:
        return found
    if not any(CLUSTER in _options(one) for one in found):
        names = ", ".join(one.describe() for one in measures)
        raise ValueError(f"--per-prompt: expected measures whose errors are by prompts, got {names}. Remedy: fid.")
    return [_by_prompts(one, per_prompt) if CLUSTER in _options(one) else one for one in found]


def _by_prompts(measure: Measure, per_prompt: int) -> Measure:
    """Return a measure whose errors are by prompts; a reservoir holds whole ones."""
    changed = {CLUSTER: per_prompt}
    if "reservoir" in _options(measure):
        rows: int = getattr(measure, "reservoir")  # noqa: B009
        changed["reservoir"] = max(rows // per_prompt, 1) * per_prompt
    return replace(measure, **changed)


def for_reference(measures: Sequence[Measure], *, errors: bool) -> list[Measure]:
    """Return measures that keep of the real side what they keep of either: its file then serves as either side."""
    found = asked_for(measures, errors=errors)
    return [replace(one, both=True) if errors and "both" in _options(one) else one for one in found]


def _options(measure: Measure) -> set[str]:
    return {f.name for f in fields(measure)}
