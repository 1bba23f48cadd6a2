"""Do intervals of Bradley–Terry strengths cover, where raters differ in taste and side, and prompts in what they suit?

    python benchmarks/human_strengths.py [--studies 100] [--large]

Prints, per population and size of a study: how often 95 % intervals of strengths, of differences and of the left side's
advantage hold what an endless population would give; beside them intervals of bare counts, as if every judgement were
independent; and how often all conditions are in their true order.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from harness.common import table

from streaming_metrics.ratings.bradley_terry import bradley_terry
from streaming_metrics.ratings.davidson import Games, chances, fit
from streaming_metrics.ratings.judgement import Judgement
from streaming_metrics.ratings.judgements import Judgements
from streaming_metrics.ratings.preference import win_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

STRENGTHS = np.array([-0.9, -0.3, 0.3, 0.9])
NAMES = ("a", "b", "c", "d")
TIE, SIDE, ENDLESS = 0.5, 0.3, 400_000
HEAD = [
    "raters differ by",
    "prompts by",
    "raters × prompts × each",
    "strengths",
    "differences",
    "side",
    "counts",
    "order",
]
QUICK = [(10, 10, 20), (20, 40, 20), (50, 100, 10)]
LARGE = [*QUICK, (10, 200, 40), (50, 20, 40), (100, 200, 20)]
POPULATIONS = [(0.0, 0.0, True), (0.5, 0.5, True), (1.0, 0.3, True), (0.5, 0.5, False)]


@dataclass(frozen=True)
class Population:
    """Population of raters and prompts: how far they differ, in log-odds, of a condition and of the left side."""

    taste: float
    suits: float
    has_prompts: bool = True

    def answers(
        self, rng: np.random.Generator, raters: int, units: int, rater: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return the conditions ``(n, 2)``, the units of either ``(n, 2)``, and who won: 0 left, 1 none, 2 right."""
        n = len(rater)
        left = rng.integers(len(NAMES), size=n)
        shown = np.stack([left, (left + rng.integers(1, len(NAMES), size=n)) % len(NAMES)], 1)
        unit = rng.integers(units, size=(n, 2))
        if self.has_prompts:
            unit[:, 1] = unit[:, 0]
        taste = self.taste * rng.normal(size=(raters, len(NAMES)))
        suits = self.suits * rng.normal(size=(units, len(NAMES)))
        worth = STRENGTHS[shown] + taste[rater[:, None], shown] + suits[unit, shown]
        side = SIDE + self.taste * rng.normal(size=raters)
        won = np.stack(chances(worth[:, 0] - worth[:, 1] + side[rater], np.log(TIE)), 1)
        return shown, unit, (rng.random((n, 1)) > won.cumsum(1)).sum(1).clip(0, 2)

    def target(self) -> NDArray[np.float64]:
        """Return the parameters that endlessly many raters and prompts would give."""
        rng = np.random.default_rng(10**6)
        shown, _, how = self.answers(rng, ENDLESS, ENDLESS, np.arange(ENDLESS))
        return fit(Games(len(NAMES), shown[:, 0], shown[:, 1], np.eye(3)[how], sided=True)).parameters

    def study(self, seed: int, raters: int, units: int, each: int) -> Judgements:
        """Return the judgements of a study."""
        rater = np.repeat(np.arange(raters), each)
        shown, unit, how = self.answers(np.random.default_rng(seed), raters, units, rater)
        return Judgements(
            Judgement(
                study="simulated-00000000",
                task="preference",
                kind="preference",
                rater=f"simulated-{who}",
                trial=trial,
                items=(f"{NAMES[pair[0]]}/{of[0]}", f"{NAMES[pair[1]]}/{of[1]}"),
                conditions=(NAMES[pair[0]], NAMES[pair[1]]),
                answer=1 - outcome / 2,
                when="",
                prompt=f"prompt {of[0]}" if self.has_prompts else "",
            )
            for trial, (who, pair, of, outcome) in enumerate(zip(rater, shown.tolist(), unit.tolist(), how.tolist()))
        )


def covered(population: Population, size: tuple[int, int, int], studies: int) -> list[float]:
    """Return how often intervals of strengths, differences, the side and of counts cover, and the order is right."""
    target, hits = population.target(), []
    for seed in range(studies):
        judged = population.study(seed, *size)
        found, counted = bradley_terry(judged), bradley_terry(win_matrix(judged, NAMES))
        strengths = [one.low <= value <= one.high for one, value in zip(found.estimates().values(), target)]
        pairs = [(i, j) for i in range(len(NAMES)) for j in range(i)]
        differences, of_counts = ([one.difference(NAMES[i], NAMES[j]) for i, j in pairs] for one in (found, counted))
        gaps = [target[i] - target[j] for i, j in pairs]
        assert found.side is not None
        hits.append(
            [
                np.mean(strengths),
                np.mean([one.low <= gap <= one.high for one, gap in zip(differences, gaps)]),
                found.side.low <= target[len(NAMES)] <= found.side.high,
                np.mean([one.low <= gap <= one.high for one, gap in zip(of_counts, gaps)]),
                found.order == NAMES[::-1],
            ]
        )
    return np.mean(np.array(hits, dtype=float), 0).tolist()


def rows_of(sizes: Sequence[tuple[int, int, int]], studies: int) -> list[list[str]]:
    """Return the table's rows."""
    rows = []
    for taste, suits, has_prompts in POPULATIONS:
        for size in sizes:
            shares = covered(Population(taste, suits, has_prompts), size, studies)
            shown = " × ".join(map(str, size)) + ("" if has_prompts else ", no prompts")
            rows.append([f"{taste:g}", f"{suits:g}", shown, *(f"{share:.3f}" for share in shares)])
    return rows


def main(arguments: Sequence[str]) -> None:
    """Run it."""
    import argparse

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=100, help="of each size, simulated")
    parser.add_argument("--large", action="store_true", help="more sizes")
    given = parser.parse_args(arguments)
    print(table(HEAD, rows_of(LARGE if given.large else QUICK, given.studies)))
    spread = (0.95 * 0.05 / given.studies) ** 0.5
    print(
        f"Intervals of 95 %; standard deviation of a share of one interval a study: {spread:.3f}. No people: simulated."
    )


if __name__ == "__main__":
    main(sys.argv[1:])
