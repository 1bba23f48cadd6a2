"""Contests: each pair of generated sides, compared by the evidence of each score, in words and for files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from itertools import combinations
from math import isfinite, isnan
from typing import TYPE_CHECKING, Any

from streaming_metrics.cli.digits import rounded
from streaming_metrics.cli.facts import differences, facts_of
from streaming_metrics.cli.seeds import refuse_other_seeds
from streaming_metrics.files.atomic import atomic_write
from streaming_metrics.verdicts.holm import holm
from streaming_metrics.verdicts.paired import paired, unpaired

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from streaming_metrics.cli.results import Result
    from streaming_metrics.verdicts.paired import Comparison, Verdict

KIND = "streaming-metrics comparisons 1"
ALPHA = 0.05
REMEDY = "Remedy: score both with `compare --se` of the same options against the same real images."
WITH_EVIDENCE = "Remedy: score both with `compare --se` by fid, kid or another measure that knows each influence."


@dataclass(frozen=True)
class Contest:
    """Contest of two sides in one score.

    Args:
        first, second: names of the sides.
        comparison: of the first with the second.
        p_holm: p-value, adjusted for all contests of the table.
        is_paired: whether the images are of the same seeds.
    """

    first: str
    second: str
    comparison: Comparison
    p_holm: float
    is_paired: bool

    @property
    def verdict(self) -> Verdict:
        """Whether the first is better than the second, told at an error rate of 5 % over the whole table."""
        found = self.comparison
        if not self.p_holm < ALPHA:  # NaN is undecided
            return "undecided"
        return "better" if (found.difference < 0) == (found.better == "lower") else "worse"

    @property
    def words(self) -> str:
        """The verdict in a sentence."""
        found, told = self.comparison, f"{self.comparison.key}: {{}}, {_chance(self.p_holm)}"
        if isnan(found.z):
            why = "too few images to free a value of their bias"
            return f"{found.key}: {self.first} and {self.second} cannot be compared: {why}"
        if self.verdict == "undecided":
            by = f"{self.first} − {self.second} = {_interval(found, found.difference, found.low, found.high, '+')}"
            return told.format(f"{self.first} and {self.second} are not told apart: {by}")
        sign = 1 if found.difference > 0 else -1
        names = (self.first, self.second) if self.verdict == "better" else (self.second, self.first)
        low, high = sorted((sign * found.low, sign * found.high))
        by = _interval(found, sign * found.difference, low, high)
        return told.format(f"{names[0]} is better than {names[1]} by {by}")

    @property
    def details(self) -> str:
        """What the verdict stands on, in a line; empty where there is none."""
        found = self.comparison
        if isnan(found.z):
            return ""
        seeds = f"correlation {found.correlation:.3g}, {found.gain:.1f} × narrower than unpaired"
        how = seeds if self.is_paired else "unpaired, as if no two images had a seed in common"
        return f"{how}; p {_p(found.p_value)} before Holm"

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it; what is not finite is None."""
        told = {"first": self.first, "second": self.second, **asdict(self.comparison)}
        told |= {"p_holm": self.p_holm, "paired": self.is_paired, "verdict": self.verdict}
        return {what: None if isinstance(v, float) and not isfinite(v) else v for what, v in told.items()}


def contests(sides: Mapping[str, Result], *, apart: bool = False) -> list[Contest]:
    """Return the contests of each pair of sides in each score that both have evidence of.

    p-values are adjusted for their number by Holm's steps.

    Args:
        sides: results, by name.
        apart: compare as if no two images had a seed in common, which asks for nothing of them.

    Raises:
        ValueError: where sides were scored otherwise, against other real images, or are not of the same seeds.
    """
    found: list[tuple[str, str, Comparison]] = []
    for (first, one), (second, other) in combinations(sides.items(), 2):
        _refuse_unlike(first, one, second, other)
        if not apart:
            refuse_other_seeds(first, one, second, other)
        compared = unpaired if apart else paired
        for key in (key for key in one.evidence if key in other.evidence):
            found.append((first, second, compared(one.evidence[key], other.evidence[key], ALPHA)))
    if len(sides) < 2:
        raise ValueError(f"expected two sides or more to compare, got {', '.join(sides)}. Remedy: another file.")
    if not found:
        lacking = [name for name, one in sides.items() if not one.evidence] or [*sides]
        raise ValueError(
            f"expected evidence of one score in two sides, got none in {', '.join(lacking)}. {WITH_EVIDENCE}"
        )
    keys = list(dict.fromkeys(comparison.key for _, _, comparison in found))
    found.sort(key=lambda one: keys.index(one[2].key))
    adjusted = holm([comparison.p_value for _, _, comparison in found])
    return [Contest(first, second, one, p, not apart) for (first, second, one), p in zip(found, adjusted)]


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


def _interval(found: Comparison, value: float, low: float, high: float, sign: str = "") -> str:
    told, *ends = (rounded(one, found.error, sign) for one in (value, low, high))
    return f"{told} ({' to '.join(ends)})"


def _chance(p: float) -> str:
    return f"p {'' if p < 0.001 else '= '}{_p(p)}"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
