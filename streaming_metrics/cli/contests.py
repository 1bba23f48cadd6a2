"""Contests: each pair of generated sides, compared by the evidence of each score, in words and for files."""

from __future__ import annotations

import json
from itertools import combinations
from typing import TYPE_CHECKING

from streaming_metrics.cli.facts import differences, facts_of
from streaming_metrics.cli.seeds import refuse_other_seeds
from streaming_metrics.files.atomic import atomic_write
from streaming_metrics.verdicts.contests import Contest, contests_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from streaming_metrics.cli.results import Result

KIND = "streaming-metrics comparisons 1"
REMEDY = "Remedy: score both with `compare --se` of the same options against the same real images."
WITH_EVIDENCE = "Remedy: score both with `compare --se` by fid, kid or another measure that knows each influence."


def contests(sides: Mapping[str, Result], *, apart: bool = False) -> list[Contest]:
    """Return the contests of each pair of sides in each score that both have evidence of.

    p-values are adjusted for their number by Holm's steps.

    Args:
        sides: results, by name.
        apart: compare as if no two images had a seed in common, which asks for nothing of them.

    Raises:
        ValueError: where sides were scored otherwise, against other real images, or are not of the same seeds.
    """
    for (first, one), (second, other) in combinations(sides.items(), 2):
        _refuse_unlike(first, one, second, other)
        if not apart:
            refuse_other_seeds(first, one, second, other)
    if len(sides) < 2:
        raise ValueError(f"expected two sides or more to compare, got {', '.join(sides)}. Remedy: another file.")
    found = contests_of({name: one.evidence for name, one in sides.items()}, apart=apart)
    if not found:
        lacking = [name for name, one in sides.items() if not one.evidence] or [*sides]
        raise ValueError(
            f"expected evidence of one score in two sides, got none in {', '.join(lacking)}. {WITH_EVIDENCE}"
        )
    return found


def as_json(found: Iterable[Contest]) -> str:
    """Return contests as a JSON object."""
    return json.dumps({"kind": KIND, "comparisons": [one.plain() for one in found]}, indent=2, allow_nan=False)


def save(path: str | Path, found: Iterable[Contest]) -> None:
    """Write contests as JSON, whole or not at all."""
    with atomic_write(path) as partial:
        partial.write_text(as_json(found) + "\n", encoding="utf-8")


def lines_of(found: Iterable[Contest]) -> list[str]:
    """Return contests in lines: verdicts, and below each what it stands on."""
    found = list(found)
    told = f"Bias of so many images corrected where it is known; 95 % intervals; p by Holm's steps for {len(found)}:"
    pairs = [(f"- {one.words}", f"    {one.details}") for one in found]
    return [told, *(line for pair in pairs for line in pair if line.strip())]


def not_compared(sides: Mapping[str, Result]) -> list[str]:
    """Return a line of the scores that have no evidence; none where all have."""
    from streaming_metrics.measures.keys import scalar_of  # which imports PyTorch

    every = list(sides.values())
    scored = dict.fromkeys(key for one in every for key in one.scores if scalar_of(key).better)
    compared = {scalar_of(key).key for one in every for key in one.evidence}
    lacking = [key for key in scored if scalar_of(key).key.removesuffix("_corrected") not in compared]
    how = "how each sample moves them is not known"
    return [f"not compared: {', '.join(lacking)}: {how}"] if lacking else []


def _refuse_unlike(first: str, one: Result, second: str, other: Result) -> None:
    """Raise ValueError where scores do not compare for another reason than the generated images."""
    found = differences(facts_of(one), facts_of(other))
    apart = [d for d in found if (d.matters or d.of_errors) and d.what != "fake"]
    if apart:
        told = "; ".join(f"{d.what} {d.first} and {d.second}" for d in apart)
        raise ValueError(f"{first} and {second}: expected scores that compare, got {told}. {REMEDY}")
