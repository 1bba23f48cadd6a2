"""Do intervals of what people say cover, where raters and images differ, and raters do not judge equally often?

    python benchmarks/human_intervals.py [--studies 200] [--large]

Prints, per size of a study: how often 95 % intervals of mean opinions (raw, and normalised by rater), of preference
shares (middling, and near 1), of d′ and of the share taken for real hold what an endless population would give; and how
often two conditions that are alike are told apart at 5 %, which should be 5 % of the time. Then: what half-width a
study reaches once as many raters as ``still_needed`` asks for have come, over the one that was asked for. Everyone here
is simulated: no people.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from harness.common import table

from streaming_metrics.ratings.categorisation import categorise
from streaming_metrics.ratings.contrasts import contrast
from streaming_metrics.ratings.judgements import Judgements
from streaming_metrics.ratings.opinion import mean_opinions
from streaming_metrics.ratings.planning import still_needed
from streaming_metrics.ratings.preference import preference_share
from streaming_metrics.ratings.simulated import SimulatedRaters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streaming_metrics.ratings.estimate import Estimate

QUICK = [(10, 10, 20), (20, 40, 20), (50, 100, 10)]
LARGE = [(5, 10, 40), *QUICK, (10, 200, 40), (50, 10, 20), (100, 200, 20)]
"""Raters, images of a condition, and judgements of each rater at most: some give a quarter of them."""
ENDLESS = 4000
"""Raters, and images, of what stands for an endless population."""
SPREADS = {"leniency": 0.5, "side": 0.3, "criterion": 0.3}
QUALITIES = {"a": -0.4, "b": 0.2, "alike": 0.2, "far": 2.2, "real": 1.0}
UNIT_SPREAD = 0.4
HEAD = ["raters × images × each", "MOS", "normalised", "share", "share near 1", "d′", "fooled", "told apart"]
HALF_WIDTH = 0.25


@dataclass(frozen=True)
class Question:
    """Question that a study asks: a kind of task, of some conditions, and the estimate that is made of the answers."""

    kind: str
    conditions: tuple[str, ...]
    estimate: Callable[[Judgements], Estimate]
    real: str | None = None

    def judged(self, seed: int, raters: int, units: int, each: int, *, unequal: bool = True) -> Judgements:
        """Return the judgements of a study."""
        people = SimulatedRaters(count=raters, seed=seed, spreads=SPREADS)
        qualities = {name: QUALITIES[name] for name in self.conditions}
        categories = () if self.real else ("one", "two")
        rows = people.judge(
            self.kind,
            qualities,
            per_rater=each,
            units=units,
            unit_spread=UNIT_SPREAD,
            real=self.real,
            exposures_ms=(100.0,),
            categories=categories,
        )
        if not unequal:
            return rows
        most = np.random.default_rng([seed, 1]).integers(max(1, each // 4), each + 1, size=raters)
        last = {f"simulated-{number:03d}": int(one) for number, one in enumerate(most)}
        return Judgements(row for row in rows if row.trial < last[row.rater])


def from_the_mean(rows: Judgements) -> Estimate:
    """Return how far a condition's normalised score is from the mean of all scores: its interval is of that."""
    found, mean = mean_opinions(rows, normalised=True)["a"], float(rows.column("answer").mean())
    return replace(found, value=found.value - mean, low=found.low - mean, high=found.high - mean)


QUESTIONS = {
    "MOS": Question("opinion", ("a", "b", "alike"), lambda rows: mean_opinions(rows)["a"]),
    "normalised": Question("opinion", ("a", "b", "alike"), lambda rows: from_the_mean(rows)),
    "share": Question("preference", ("a", "b"), lambda rows: preference_share(rows, "b", "a")),
    "share near 1": Question("preference", ("a", "far"), lambda rows: preference_share(rows, "far", "a")),
    "d′": Question("categorisation", ("a", "real"), lambda rows: categorise(rows)[0].dprime, real="real"),
    "fooled": Question("categorisation", ("a", "real"), lambda rows: categorise(rows)[0].fooled, real="real"),
}
ALIKE = Question("opinion", ("b", "alike"), lambda rows: contrast(rows, "b", "alike").difference)


@cache
def truth(name: str, each: int) -> float:
    """Return what an endless population would give; normalised scores depend on how often each judges."""
    return QUESTIONS[name].estimate(QUESTIONS[name].judged(10**6, ENDLESS, ENDLESS, each)).value


def shares_of(size: tuple[int, int, int], studies: int) -> dict[str, float]:
    """Return how often each interval covers, and how often what is alike is told apart."""
    found = {}
    for name, question in QUESTIONS.items():
        estimates = [question.estimate(question.judged(seed, *size)) for seed in range(studies)]
        found[name] = float(np.mean([one.low <= truth(name, size[2]) <= one.high for one in estimates]))
    apart = [contrast(ALIKE.judged(seed, *size), "b", "alike").p < 0.05 for seed in range(studies)]
    return found | {"told apart": float(np.mean(apart))}


def planned(studies: int, raters: int = 10, units: int = 100, each: int = 20) -> float:
    """Return the mean half-width of studies with as many raters as a first one asked for, over what it wanted."""
    question, ratios = QUESTIONS["MOS"], []
    for seed in range(studies):
        first = question.judged(seed, raters, units, each, unequal=False).where(condition="a")
        values, who, what = (list(column) for column in zip(*((row.answer, row.rater, row.unit) for row in first)))
        needed = still_needed(values, who, what, HALF_WIDTH)
        if needed.raters:
            whole = question.judged(seed, raters + needed.raters, units, each, unequal=False)
            ratios.append(mean_opinions(whole)["a"].half_width / HALF_WIDTH)
    return float(np.mean(ratios))


def rows_of(sizes: Sequence[tuple[int, int, int]], studies: int) -> list[list[str]]:
    """Return the table's rows."""
    shown = []
    for size in sizes:
        shares: Mapping[str, Any] = shares_of(size, studies)
        shown.append([" × ".join(map(str, size)), *(f"{shares[name]:.3f}" for name in HEAD[1:])])
    return shown


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200, help="of each size, simulated")
    parser.add_argument("--large", action="store_true", help="more sizes")
    options = parser.parse_args()
    print(table(HEAD, rows_of(LARGE if options.large else QUICK, options.studies)))
    print(f"half-width reached, over the {HALF_WIDTH} that was asked for: {planned(options.studies // 5):.2f}")
    spread = (0.95 * 0.05 / options.studies) ** 0.5
    print(f"Intervals of 95 %; standard deviation of a share: {spread:.3f}. No people: simulated.")


if __name__ == "__main__":
    main()
