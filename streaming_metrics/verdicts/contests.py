"""Contests: each pair of generated sides, compared by the evidence of each score, in words and for files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import combinations
from math import isfinite, isnan
from typing import TYPE_CHECKING, Any

from streaming_metrics.verdicts.digits import rounded
from streaming_metrics.verdicts.holm import holm
from streaming_metrics.verdicts.paired import paired, unpaired

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.verdicts.evidence import Evidence
    from streaming_metrics.verdicts.paired import Comparison, Verdict

ALPHA = 0.05


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


def contests_of(sides: Mapping[str, Mapping[str, Evidence]], *, apart: bool = False) -> list[Contest]:
    """Return the contests of each pair of sides in each score that both have evidence of.

    p-values are adjusted for their number by Holm's steps.

    Args:
        sides: evidence by key, of each by name.
        apart: compare as if no two images had a seed in common.
    """
    compared, found = unpaired if apart else paired, []
    for (first, one), (second, other) in combinations(sides.items(), 2):
        found += [(first, second, compared(one[key], other[key], ALPHA)) for key in one if key in other]
    keys = list(dict.fromkeys(comparison.key for _, _, comparison in found))
    found.sort(key=lambda one: keys.index(one[2].key))
    adjusted = holm([comparison.p_value for _, _, comparison in found])
    return [Contest(first, second, one, p, not apart) for (first, second, one), p in zip(found, adjusted)]


def _interval(found: Comparison, value: float, low: float, high: float, sign: str = "") -> str:
    told, *ends = (rounded(one, found.error, sign) for one in (value, low, high))
    return f"{told} ({' to '.join(ends)})"


def _chance(p: float) -> str:
    return f"p {'' if p < 0.001 else '= '}{_p(p)}"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
